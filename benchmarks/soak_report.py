"""What a soak's CSV says: a verdict, and a picture of it.

Every quantity is fitted by a straight line from the end of the warm-up on.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from d3pose_core.errors import InputError
from d3pose_core.evaluation import charts
from d3pose_core.evaluation.charts import Line, line_chart

COLUMNS = (
    *("elapsed_s", "resident_mib", "private_mib", "threads", "descriptors", "cpu_s"),
    *("messages", "people", "age_p50_ms", "age_p95_ms", "age_p99_ms", "age_max_ms"),
    *("received", "processed", "dropped_busy", "dropped_other", "load"),
)

# The limits of the verdict.
MEMORY_DRIFT_PERCENT = 2.0  # over the whole run after the warm-up
LATENCY_DRIFT_PERCENT = 10.0  # of the p99, over the same time
SHORTEST_S = 60.0  # after the warm-up; less says nothing

ACCENT, BAD, GOOD, SOFT = "#1f6fb2", "#c8452d", "#2c8a57", "#8a93a1"


@dataclass(frozen=True)
class Fit:
    """A straight line through samples of one quantity."""

    at_start: float
    change: float  # from the first to the last sample
    change_stderr: float  # of `change`, if samples were independent

    @property
    def percent(self) -> float:
        """The change in percent of the start."""
        return 100 * self.change / self.at_start if self.at_start else math.nan


def fit_line(time: np.ndarray, value: np.ndarray) -> Fit:
    """Least squares. `time` [N] s, increasing; `value` [N]; N >= 3, and nan is left out."""
    good = np.isfinite(value)
    time, value = time[good], value[good]
    if len(time) < 3:
        raise InputError(f"a line needs 3 samples at least, got {len(time)}")
    span = time[-1] - time[0]
    x = (time - time[0]) / span
    slope, start = np.polyfit(x, value, 1)
    residual = value - (start + slope * x)
    variance = float(residual @ residual) / (len(x) - 2) / float(((x - x.mean()) ** 2).sum())
    return Fit(float(start), float(slope), math.sqrt(variance))


def read_samples(path: Path) -> dict[str, np.ndarray]:
    """The columns of a soak's CSV, each [N]; a last line that was cut off is left out.

    Raises InputError for a file that is no such CSV.
    """
    text = path.read_text(encoding="utf-8")
    rows = list(csv.reader(text[: text.rfind("\n") + 1].splitlines()))
    if not rows or tuple(rows[0]) != COLUMNS:
        raise InputError(f"{path} does not begin with the columns of a soak, got {rows[:1]}")
    values = np.array([[float(cell) for cell in row] for row in rows[1:]]).reshape(-1, len(COLUMNS))
    return dict(zip(COLUMNS, values.T, strict=True))


def verdict(samples: Mapping[str, np.ndarray], warm_up_s: float) -> dict[str, Any]:
    """Drifts after the warm-up, and whether each is within its limit. InputError for too short a run.

    `latency_p99_flat`: the fitted p99 rises by less than LATENCY_DRIFT_PERCENT over the run, or by less
    than two standard errors of the fit.
    """
    elapsed = samples["elapsed_s"]
    after = elapsed >= warm_up_s
    if after.sum() < 3 or elapsed[-1] - warm_up_s < SHORTEST_S:
        last = f"{elapsed[-1]:.0f}" if len(elapsed) else "0"
        raise InputError(
            f"the soak ran for {last} s, of which {warm_up_s:.0f} s are warm-up: "
            f"at least {SHORTEST_S:.0f} s after it are needed for a verdict"
        )
    late = {name: column[after] for name, column in samples.items()}
    time = late["elapsed_s"]
    hours = (time[-1] - time[0]) / 3600
    resident, private = (fit_line(time, late[name]) for name in ("resident_mib", "private_mib"))
    p99, p99_median = fit_line(time, late["age_p99_ms"]), _median(late["age_p99_ms"])
    # Of the median: a burst of other work on the machine bends the line, and its start with it.
    p99_percent, p99_error = (100 * v / p99_median for v in (p99.change, p99.change_stderr))
    cores = fit_line(time, _cores(samples)[after])
    threads, descriptors = (_growth(late[name]) for name in ("threads", "descriptors"))
    passed = {
        "memory_drift": abs(resident.percent) < MEMORY_DRIFT_PERCENT,
        "no_thread_growth": threads <= 0,
        "no_descriptor_growth": descriptors <= 0,
        "latency_p99_flat": p99_percent < LATENCY_DRIFT_PERCENT or p99_percent < 2 * p99_error,
    }
    received, processed, busy, other = (
        int(late[name][-1] - late[name][0])
        for name in ("received", "processed", "dropped_busy", "dropped_other")
    )
    return {
        "good": all(passed.values()),
        "passed": passed,
        "limits": {
            "memory_drift_percent": MEMORY_DRIFT_PERCENT,
            "latency_p99_drift_percent": LATENCY_DRIFT_PERCENT,
        },
        "minutes": round(elapsed[-1] / 60, 2),
        "warm_up_minutes": round(warm_up_s / 60, 2),
        "samples": len(time),
        "resident_mib": {
            "after_warm_up": round(resident.at_start, 2),
            "drift_percent": round(resident.percent, 3),
            "drift_mib_per_hour": round(resident.change / hours, 3),
            "lowest": round(float(late["resident_mib"].min()), 2),
            "highest": round(float(late["resident_mib"].max()), 2),
        },
        "private_mib_per_hour": round(private.change / hours, 3),
        "threads": {"growth": threads, "most": int(late["threads"].max())},
        "descriptors": {"growth": descriptors, "most": int(late["descriptors"].max())},
        "age_ms": {
            **{f"median_of_{q}": round(_median(late[f"age_{q}_ms"]), 2) for q in ("p50", "p95")},
            "median_of_p99": round(p99_median, 2),
            "p99_drift_ms_per_hour": round(p99.change / hours, 3),
            "p99_drift_percent": round(p99_percent, 2),
            "p99_drift_stderr_percent": round(p99_error, 2),
            "highest": round(float(np.nanmax(late["age_max_ms"])), 1),
        },
        "images": {
            "received": received,
            "processed": processed,
            "dropped_busy": busy,
            "dropped_other": other,
            "per_second": round(processed / (time[-1] - time[0]), 2),
        },
        # Where other work took the processor away, latency says as much about that.
        "cores_used": round(_median(_cores(late)), 3),
        "cores_used_drift_percent": round(100 * cores.change / _median(_cores(late)), 1),
        "machine_load_median": round(_median(late["load"]), 2),
    }


def _cores(samples: Mapping[str, np.ndarray]) -> np.ndarray:
    """Processor time a second, sample by sample; nan for the first."""
    nan = np.array([np.nan])
    return np.concatenate([nan, np.diff(samples["cpu_s"]) / np.diff(samples["elapsed_s"])])


def draw(samples: Mapping[str, np.ndarray], warm_up_s: float, title: str) -> str:
    """An SVG file: memory, latency, images, processor, threads and descriptors over the time in minutes."""
    minutes = samples["elapsed_s"] / 60
    seconds = np.diff(samples["elapsed_s"], prepend=0.0)

    def rate(name: str) -> np.ndarray:
        per_second = np.diff(samples[name], prepend=np.nan) / seconds
        return np.where(per_second >= 0, per_second, np.nan)

    resident = samples["resident_mib"]
    late = np.where(samples["elapsed_s"] >= warm_up_s, resident, np.nan)
    panels = (
        (
            "resident memory, MiB",
            ((resident, ACCENT, "resident"), (samples["private_mib"], SOFT, "private")),
            0.0,
        ),
        (
            "resident memory after the warm-up, magnified, MiB",
            ((late, ACCENT, "resident"),),
            float(np.floor(np.nanmin(late))) - 5,
        ),
        (
            "age of people when received, ms",
            ((samples["age_p99_ms"], BAD, "p99"), (samples["age_p50_ms"], ACCENT, "p50")),
            0.0,
        ),
        (
            "images a second",
            (
                (rate("received"), SOFT, "received"),
                (rate("processed"), GOOD, "processed"),
                (rate("dropped_busy"), BAD, "left out: busy"),
            ),
            0.0,
        ),
        ("processor cores in use", ((_cores(samples), ACCENT, "cores"),), 0.0),
        (
            "threads and open descriptors",
            (
                (samples["threads"], ACCENT, "threads"),
                (samples["descriptors"], GOOD, "descriptors"),
            ),
            0.0,
        ),
    )
    parts, y = [f'<text x="{charts.LEFT}" y="26" class="title">{escape(title)}</text>'], 40
    for caption, curves, bottom in panels:
        lines = [
            Line(minutes, np.where(values >= bottom, values, np.nan), color)
            for values, color, _ in curves
        ]
        marks = [(warm_up_s / 60, "end of the warm-up")]
        chart = line_chart(lines, (0.0, float(minutes[-1])), marks=marks, unit="min", bottom=bottom)
        names = "".join(
            f'<tspan dx="14" fill="{color}">{escape(name)}</tspan>' for _, color, name in curves
        )
        parts.append(
            f'<text x="{charts.LEFT}" y="{y + 16}" class="caption">{caption}{names}</text>'
        )
        size = f'width="{charts.WIDTH}" height="{charts.HEIGHT}"'
        parts.append(chart.replace("<svg ", f'<svg x="0" y="{y + 20}" {size} ', 1))
        y += 20 + charts.HEIGHT
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {charts.WIDTH} {y}" '
        f'width="{charts.WIDTH}" height="{y}">{_STYLE}'
        f'<rect width="{charts.WIDTH}" height="{y}" fill="#ffffff"/>{"".join(parts)}</svg>\n'
    )


# A file of its own has no page around it whose style sheet it could use.
_STYLE = """<style>
svg { --bad: #c8452d; }
text { fill: #5d6675; font: 12px system-ui, "DejaVu Sans", sans-serif; }
.title { fill: #1d2129; font-size: 18px; }
.caption { fill: #1d2129; font-size: 13px; }
.caption tspan { font-weight: 600; }
.grid { stroke: #dfe3e9; stroke-width: 1; }
</style>"""


def _growth(counts: np.ndarray) -> int:
    """From the median of the first fifth to that of the last: one short-lived thread is no growth."""
    fifth = max(1, len(counts) // 5)
    return int(np.median(counts[-fifth:]) - np.median(counts[:fifth]))


def _median(values: np.ndarray) -> float:
    return float(np.nanmedian(values))
