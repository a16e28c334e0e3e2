"""What was measured, as JSON and as text. docs/performance.md describes both."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from d3pose_core.bench.run import Bench
from d3pose_core.bench.stages import Case, Timing
from d3pose_core.recording import atomic_path
from d3pose_core.runtime import TORCH

SCHEMA = "d3pose-bench-1"
# Below this a stage's floor says nothing: what it costs is calling functions.
_LEAST_FLOOR_MS = 0.01


def as_dict(bench: Bench) -> dict[str, Any]:
    """The contents of the JSON file."""
    return {
        "schema": SCHEMA,
        "machine": bench.machine,
        "load_after": bench.load_after,
        "versions": bench.versions,
        "options": asdict(bench.options),
        "runtime": bench.runtime,
        "skipped": bench.skipped,
        "floor": [asdict(rates) for rates in bench.floors.values()],
        "needs": _needs(bench),
        "start_up": [
            {**asdict(each), "total_s": round(each.total_s, 3)} for each in bench.start_ups
        ],
        "cases": [_case(bench, case) for case in bench.cases],
    }


def save(bench: Bench, path: Path) -> None:
    """Writes the JSON file, whole or not at all. Raises InputError where that's not possible."""
    with atomic_path(path) as partial:
        text = json.dumps(as_dict(bench), indent=1, allow_nan=False)
        partial.write_text(text + "\n", encoding="utf-8")


def _needs(bench: Bench) -> dict[str, Any]:
    needs = bench.needs
    by_people = {"network": needs.network, "body": needs.body, "mesh": needs.mesh}
    return {
        "landmarks": asdict(needs.landmarks),
        "detect": asdict(needs.detect),
        **{
            stage: {str(people): asdict(work) for people, work in works.items()}
            for stage, works in by_people.items()
        },
    }


def _case(bench: Bench, case: Case) -> dict[str, Any]:
    floors = floors_ms(bench, case)
    timings = {**case.stages, **case.extra}
    return {
        **asdict(case),
        "fps": round(case.fps, 2),
        "floor_ms": {stage: round(value, 5) for stage, value in floors.items()},
        "times_floor": {
            stage: round(timings[stage].p50 / value, 2)
            for stage, value in floors.items()
            if value >= _LEAST_FLOOR_MS and timings[stage].share > 0
        },
    }


def floors_ms(bench: Bench, case: Case) -> dict[str, float]:
    """The least time of each stage that has one on this machine, ms: of one run of the detector."""
    threaded = ["detect", "landmarks"] + ["network"] * (bench.runtime == TORCH)
    return {
        stage: bench.floors[case.threads if stage in threaded else 1].time_ms(
            # An image is new each time; weights stay in the cache.
            work,
            in_cache=stage != "decode",
        )
        for stage, work in bench.needs.of_case(case).items()
    }


def text(bench: Bench) -> str:
    """A page for people."""
    return "\n".join(_lines(bench))


def _lines(bench: Bench) -> Iterator[str]:
    machine = bench.machine
    yield (
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gib']} GiB; "
        f"load {machine['load']} before, {bench.load_after} after; the network runs in {bench.runtime}; "
        f"landmarks: {bench.options.landmarks}"
    )
    if machine["load"] > 0.5:
        yield "NOTE: the machine was busy with other things: times are too long, above all p95"
    yield from (f"NOT MEASURED: {reason}" for reason in bench.skipped)
    yield ""
    for rates in bench.floors.values():
        yield (
            f"floor, {rates.threads} threads           {rates.gflops:.0f} GFLOP/s, "
            f"{rates.cached_gbps:.0f} GB/s cached, {rates.memory_gbps:.0f} GB/s memory"
        )
    needs = bench.needs
    first = min(needs.network)
    one = (
        ("landmarks", needs.landmarks),
        ("detect", needs.detect),
        (f"network ({first} people)", needs.network[first]),
        (f"mesh ({first} people)", needs.mesh[first]),
    )
    yield "needed                   " + "; ".join(
        f"{name} {work.mflop:.4g} MFLOP, {work.megabytes:.3g} MB" for name, work in one
    )
    for each in bench.start_ups:
        yield (
            f"start, {each.people} people          import {each.import_s:.2f} s, load {each.load_s:.2f} s, "
            f"first frame {each.first_frame_s:.2f} s; peak memory {each.peak_mib:.0f} MiB "
            f"with {each.tracked} tracked"
        )
    yield ""
    yield "ms, median/p95 of the frames in which the stage ran; in brackets their share, if not all"
    stages = [*bench.cases[0].stages, *bench.cases[0].extra]
    yield from _table(
        ["people", "image", "threads", "tracked", "frames/s", "end to end", "added", *stages],
        [
            [*_name(case), f"{case.tracked:.2f}", f"{case.fps:.1f}"]
            + [_cell(each) for each in (case.end_to_end, case.added)]
            + [_cell({**case.stages, **case.extra}[stage]) for stage in stages]
            for case in bench.cases
        ],
    )
    yield ""
    yield "medians in units of the floor"
    with_floor = list(floors_ms(bench, bench.cases[0]))
    rows = []
    for case in bench.cases:
        ratios = _case(bench, case)["times_floor"]
        cells = [f"{ratios[stage]:.1f}" if stage in ratios else "-" for stage in with_floor]
        rows.append([*_name(case), *cells])
    yield from _table(["people", "image", "threads", *with_floor], rows)


def _table(header: list[str], rows: list[list[str]]) -> Iterator[str]:
    """Right-aligned columns as wide as they need to be."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    for row in (header, *rows):
        yield "  ".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True))


def _name(case: Case) -> list[str]:
    return [str(case.people), f"{case.width}x{case.height}", str(case.threads)]


def _cell(timing: Timing) -> str:
    if timing.share == 0:
        return "-"
    digits = 1 if timing.p50 >= 10 else 2
    cell = f"{timing.p50:.{digits}f}/{timing.p95:.{digits}f}"
    return cell if timing.share > 0.995 else f"{cell} ({timing.share:.0%})"
