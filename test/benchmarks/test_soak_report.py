"""The verdict on a soak: a leak is seen, noise is not taken for one, a cut-off file is read."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest

from benchmarks.soak_report import COLUMNS, draw, fit_line, read_samples, verdict
from d3pose_core.errors import InputError

WARM_UP_S = 60.0


def steady(minutes: float = 20.0) -> dict[str, np.ndarray]:
    """Samples every 5 s of a node that grows during the warm-up only, with noise in all that is measured."""
    random = np.random.default_rng(0)
    elapsed = np.arange(5.0, 60 * minutes + 1, 5.0)
    count = len(elapsed)
    samples = {name: np.zeros(count) for name in COLUMNS}
    warming = np.minimum(elapsed / WARM_UP_S, 1.0)
    samples["elapsed_s"] = elapsed
    samples["resident_mib"] = 400 + 100 * warming + random.normal(0, 0.5, count)
    samples["private_mib"] = samples["resident_mib"] - 200
    samples["threads"] = 20.0 + (random.uniform(size=count) < 0.1)  # one that comes and goes
    samples["descriptors"] = np.full(count, 23.0)
    samples["cpu_s"] = 0.5 * elapsed
    for name, typical in (("p50", 20), ("p95", 40), ("p99", 60), ("max", 90)):
        samples[f"age_{name}_ms"] = typical * random.lognormal(0, 0.2, count)
    samples["received"] = 30 * elapsed
    samples["processed"] = 20 * elapsed
    samples["dropped_busy"] = 10 * elapsed
    return samples


def test_a_steady_node_is_good():
    judged = verdict(steady(), WARM_UP_S)
    assert judged["good"]
    assert all(judged["passed"].values())
    assert judged["cores_used"] == pytest.approx(0.5)
    assert judged["images"]["per_second"] == pytest.approx(20)
    assert judged["images"]["dropped_busy"] == 10 * (1200 - 60)
    assert judged["age_ms"]["median_of_p99"] == pytest.approx(60, rel=0.05)


@pytest.mark.parametrize(
    ("column", "per_hour", "fails"),
    [
        ("resident_mib", 40.0, "memory_drift"),  # 12.7 MiB of 500 in 19 minutes
        ("threads", 9.0, "no_thread_growth"),
        ("descriptors", 9.0, "no_descriptor_growth"),
        ("age_p99_ms", 40.0, "latency_p99_flat"),
    ],
)
def test_what_grows_is_named(column: str, per_hour: float, fails: str):
    samples = steady()
    growth = per_hour * samples["elapsed_s"] / 3600
    whole = column in ("threads", "descriptors")
    samples[column] = samples[column] + (np.floor(growth) if whole else growth)
    judged = verdict(samples, WARM_UP_S)
    assert not judged["good"]
    assert [name for name, good in judged["passed"].items() if not good] == [fails]


def test_the_drift_is_the_lines():
    samples = steady()
    samples["resident_mib"] = 500 + 6 * samples["elapsed_s"] / 3600
    judged = verdict(samples, WARM_UP_S)["resident_mib"]
    assert judged["drift_mib_per_hour"] == pytest.approx(6, abs=0.01)
    assert judged["drift_percent"] == pytest.approx(100 * 6 * (1140 / 3600) / 500.1, abs=0.002)


def test_the_lines_error_is_that_of_statistics():
    """Against the textbook: many lines through noise scatter as much as each says it may."""
    random = np.random.default_rng(1)
    time = np.arange(100.0)
    fits = [fit_line(time, 5 + random.normal(0, 2, 100)) for _ in range(300)]
    scatter = np.std([fit.change for fit in fits])
    assert np.mean([fit.change_stderr for fit in fits]) == pytest.approx(scatter, rel=0.1)


def test_too_short_a_soak_has_no_verdict():
    with pytest.raises(InputError, match="ran for 90 s, of which 60 s are warm-up"):
        verdict(steady(1.5), WARM_UP_S)


def write(path: Path, samples: dict[str, np.ndarray]) -> None:
    rows = zip(*(samples[name] for name in COLUMNS), strict=True)
    lines = [",".join(COLUMNS), *(",".join(map(str, row)) for row in rows)]
    path.write_text("\n".join(lines) + "\n")


def test_a_line_that_was_cut_off_is_left_out(tmp_path: Path):
    path = tmp_path / "samples.csv"
    samples = steady(2)
    write(path, samples)
    whole = path.read_text()
    lines = whole.splitlines()
    for kept in (len(lines[-1]) - 1, len(lines[-1]) // 2, 0):
        path.write_text("\n".join([*lines[:-1], lines[-1][:kept]]))
        read = read_samples(path)
        np.testing.assert_allclose(read["age_p99_ms"], samples["age_p99_ms"][:-1])
    path.write_text(whole)
    np.testing.assert_allclose(read_samples(path)["load"], samples["load"])
    path.write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="columns of a soak"):
        read_samples(path)


def test_the_picture_holds_every_curve():
    samples = steady()
    samples["age_p99_ms"][5] = np.nan  # nobody was seen for a while
    root = ElementTree.fromstring(draw(samples, WARM_UP_S, "a < b"))
    space = "{http://www.w3.org/2000/svg}"
    panels = root.findall(f"{space}svg")
    curves = [
        len([p for p in panel.iter(f"{space}path") if p.get("fill") == "none"]) for panel in panels
    ]
    assert curves == [2, 1, 2, 3, 1, 2]
    assert next(root.iter(f"{space}text")).text == "a < b"
