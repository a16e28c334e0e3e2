"""What the commands that process a clip print: a progress bar on the way, a table at the end."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from tqdm import tqdm

from d3pose_core.recording import Summary


class Bar(Protocol):
    """Shows how far something is."""

    def update(self, n: float = 1) -> object: ...


# Total (0: unknown), what is done, and in which unit -> a bar for the block.
Bars = Callable[[int, str, str], AbstractContextManager[Bar]]


def progress_bar(total: int, what: str, unit: str = "frame") -> tqdm:
    """A bar on stderr; `total` 0 is unknown. In a log file it is a line now and then."""
    interval_s = 0.2 if sys.stderr.isatty() else 5.0
    return tqdm(
        total=total or None, desc=what, unit=unit, mininterval=interval_s, dynamic_ncols=True
    )


def summary_table(summary: Summary, files: Sequence[Path]) -> str:
    """The summary and the files written, as an aligned table."""

    def milliseconds(value: float | None) -> str:
        return "-" if value is None else f"{value:.1f}"

    latency = " / ".join(milliseconds(summary.latency_ms[key]) for key in ("p50", "p95", "p99"))
    rows = [
        ("frames", str(summary.frames)),
        ("people", str(summary.people)),
        ("speed", f"{summary.fps:.1f} frames/s"),
        ("latency p50 / p95 / p99", f"{latency} ms"),
        *((f"  {stage}", f"{duration:.1f} ms") for stage, duration in summary.stages_ms.items()),
        *((name.replace("_", " "), _plain(value)) for name, value in summary.extra.items()),
        ("weights, body, device", f"{summary.weights}, {summary.body}, {summary.device}"),
        *((("written", "")[min(index, 1)], str(path)) for index, path in enumerate(files)),
    ]
    width = max(len(name) for name, _ in rows)
    rule = "-" * (width + 2 + max(len(value) for _, value in rows))
    return "\n".join([rule, *(f"{name:<{width}}  {value}" for name, value in rows), rule])


def _plain(value: object) -> str:
    """Counts by cause as "66 busy, 2 late", anything else as it is."""
    if isinstance(value, dict):
        return ", ".join(f"{count} {cause}" for cause, count in value.items()) or "0"
    return str(value)
