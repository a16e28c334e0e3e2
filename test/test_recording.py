"""people.npz and summary.json: what goes in comes out, in the documented types and shapes."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from d3pose_core.camera import Intrinsics
from d3pose_core.errors import InputError
from d3pose_core.recording import (
    COLUMNS,
    PeopleRecorder,
    PeopleTable,
    RunStatistics,
    Summary,
    atomic_path,
)

INTRINSICS = Intrinsics(612.5, 611.0, 319.5, 239.25, 640, 480)
# Written out once more, from the documentation: the test must not follow a change of the code.
DOCUMENTED = {
    "frame": ("int64", ()),
    "time": ("float64", ()),
    "track_id": ("int64", ()),
    "global_orient": ("float32", (3,)),
    "body_pose": ("float32", (23, 3)),
    "betas": ("float32", (10,)),
    "transl": ("float32", (3,)),
    "joints": ("float32", (24, 3)),
    "joints_2d": ("float32", (24, 2)),
    "joint_confidence": ("float32", (24,)),
    "confidence": ("float32", ()),
}


def person(track_id: int, rng: np.random.Generator) -> SimpleNamespace:
    """The fields of a RecoveredPerson that are recorded, with random values."""
    values = {
        name: rng.normal(size=shape).astype(np.float32)
        for name, (dtype, shape) in DOCUMENTED.items()
        if dtype == "float32"
    }
    return SimpleNamespace(track_id=track_id, **values)


@settings(max_examples=25, deadline=None)
@given(
    people_per_frame=st.lists(st.integers(0, 3), max_size=8),
    seed=st.integers(0, 2**32 - 1),
)
def test_round_trip(
    people_per_frame: list[int], seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    rng = np.random.default_rng(seed)
    recorder = PeopleRecorder(INTRINSICS)
    written = []
    for index, count in enumerate(people_per_frame):
        people = [person(int(rng.integers(0, 100)), rng) for _ in range(count)]
        recorder.append(index, index / 30, people)
        written += [(index, index / 30, one) for one in people]

    path = tmp_path_factory.mktemp("people") / "people.npz"
    recorder.table().save(path)
    table = PeopleTable.load(path)

    assert len(table) == len(written)
    assert table.intrinsics == INTRINSICS
    for row, (index, time_s, one) in enumerate(written):
        assert (table.frame[row], table.time[row], table.track_id[row]) == (
            index,
            time_s,
            one.track_id,
        )
        for name in ("global_orient", "body_pose", "joints_2d", "confidence", "transl"):
            np.testing.assert_array_equal(getattr(table, name)[row], getattr(one, name))
    rows = table.rows_by_frame()
    expected = {index: count for index, count in enumerate(people_per_frame) if count}
    assert {index: len(found) for index, found in rows.items()} == expected
    assert all((table.frame[found] == index).all() for index, found in rows.items())


@pytest.mark.parametrize("rows", [0, 3])
def test_file_is_as_documented(rows: int, tmp_path: Path) -> None:
    """Whatever reads people.npz with plain numpy finds the documented names, types and shapes."""
    recorder = PeopleRecorder(INTRINSICS)
    rng = np.random.default_rng(0)
    recorder.append(5, 0.25, [person(index, rng) for index in range(rows)])
    recorder.table().save(tmp_path / "people.npz")

    with np.load(tmp_path / "people.npz") as arrays:
        assert set(arrays.files) == {*DOCUMENTED, "camera", "image_size"}
        for name, (dtype, shape) in DOCUMENTED.items():
            assert (arrays[name].dtype, arrays[name].shape) == (dtype, (rows, *shape)), name
        np.testing.assert_array_equal(arrays["camera"], [612.5, 611.0, 319.5, 239.25])
        np.testing.assert_array_equal(arrays["image_size"], [640, 480])
    assert [path.name for path in tmp_path.iterdir()] == ["people.npz"]


def test_wrong_shape_is_named_and_nothing_of_the_frame_kept() -> None:
    rng = np.random.default_rng(0)
    good, bad = person(1, rng), person(2, rng)
    bad.body_pose = np.zeros((21, 3), np.float32)
    recorder = PeopleRecorder(INTRINSICS)
    with pytest.raises(
        InputError, match=r"frame 4, person 2: body_pose must have shape \[23, 3\], got \[21, 3\]"
    ):
        recorder.append(4, 0.1, [good, bad])
    assert len(recorder.table()) == 0


@pytest.mark.parametrize("name", list(COLUMNS))
def test_table_refuses_wrong_types(name: str) -> None:
    recorder = PeopleRecorder(INTRINSICS)
    recorder.append(0, 0.0, [person(0, np.random.default_rng(0))])
    table = recorder.table()
    with pytest.raises(InputError, match=f"{name} must be"):
        replace(table, **{name: getattr(table, name).astype(np.float16)})


def test_files_that_are_not_people(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        PeopleTable.load(tmp_path / "people.npz")
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(InputError, match=r"text\.npz is not a people\.npz"):
        PeopleTable.load(tmp_path / "text.npz")
    np.savez(tmp_path / "other.npz", frame=np.zeros(3, np.int64))
    with pytest.raises(InputError, match="is not a people"):
        PeopleTable.load(tmp_path / "other.npz")


def test_summary_round_trip(tmp_path: Path) -> None:
    statistics = RunStatistics()
    for index in range(101):
        stages = {"observe": 10.0 + index, "network": 2.0}
        statistics.add(float(index), stages, track_ids=[1] if index < 50 else [1, 7])
    summary = Summary(
        frames=statistics.frames,
        people=len(statistics.track_ids),
        fps=24.5,
        latency_ms=statistics.latency_percentiles(),
        stages_ms=statistics.stage_medians(),
        device="cpu",
        weights="d3pose-landmarks",
        body="free-low",
        extra={"dropped": 3},
    )
    path = tmp_path / "new folder" / "summary.json"
    summary.save(path)

    written = json.loads(path.read_text())
    assert list(written) == [
        *("frames", "people", "fps", "latency_ms", "stages_ms", "device", "weights", "body"),
        *("version", "dropped"),
    ]
    assert (written["frames"], written["people"]) == (101, 2)
    assert written["latency_ms"] == {"p50": 50.0, "p95": 95.0, "p99": 99.0}
    assert written["stages_ms"] == {"observe": 60.0, "network": 2.0}
    assert written["version"]
    assert Summary.load(path) == summary


def test_summary_without_frames_is_still_json(tmp_path: Path) -> None:
    empty = RunStatistics().latency_percentiles()
    Summary(0, 0, 0.0, empty, {}, "cpu", "w", "free-low").save(tmp_path / "summary.json")
    assert json.loads((tmp_path / "summary.json").read_text())["latency_ms"]["p50"] is None


def test_summary_refuses_what_it_may_not_hold(tmp_path: Path) -> None:
    latency = RunStatistics().latency_percentiles()
    with pytest.raises(InputError, match=r"\['fps'\]"):
        Summary(0, 0, 0.0, latency, {}, "cpu", "w", "b", extra={"fps": 1})
    with pytest.raises(InputError, match="p50, p95 and p99"):
        Summary(0, 0, 0.0, {"p50": 1.0}, {}, "cpu", "w", "b")
    (tmp_path / "other.json").write_text("[1]")
    with pytest.raises(InputError, match="not a summary"):
        Summary.load(tmp_path / "other.json")


def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "summary.json"
    path.write_text("old")

    def interrupted() -> None:
        with atomic_path(path) as partial:
            partial.write_text("half of the new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["summary.json"]


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(InputError, match="choose another output folder"),
        atomic_path(tmp_path / "file" / "summary.json"),
    ):
        pass


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EFBIG, errno.EROFS])
def test_a_full_disk_is_an_error_for_users_and_leaves_nothing(tmp_path, number):
    path = tmp_path / "people.npz"
    with (
        pytest.raises(InputError, match=r"can't write .*people\.npz: .*make room"),
        atomic_path(path),
    ):
        raise OSError(number, os.strerror(number))
    assert list(tmp_path.iterdir()) == []


def test_other_errors_of_the_block_stay_what_they_are(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "people.npz"):
        (tmp_path / "the_clip.mp4").read_bytes()


def test_a_folder_where_the_file_goes(tmp_path: Path) -> None:
    (tmp_path / "summary.json").mkdir()
    with (
        pytest.raises(InputError, match="there is a folder of that name"),
        atomic_path(tmp_path / "summary.json"),
    ):
        pass
    assert [entry.name for entry in tmp_path.iterdir()] == ["summary.json"]
