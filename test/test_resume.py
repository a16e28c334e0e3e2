"""Runs that were killed and go on: in the end there is what an uninterrupted run leaves, to the last bit."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from d3pose_core import resume
from d3pose_core.clip_run import ClipOptions, run_clip
from d3pose_core.errors import InputError
from d3pose_core.model_files import model_path
from d3pose_core.recording import COLUMNS, PeopleTable
from d3pose_core.resume import FOLDER

FRAMES = 14
ROOT = Path(__file__).resolve().parents[1]


class Killed(BaseException):
    """Instead of SIGKILL, in this process: nothing is cleaned up for it."""


class Bar:
    """Counts, and kills at a frame."""

    def __init__(self, kill_at: int | None = None) -> None:
        self.count, self.kill_at = 0, kill_at

    def __call__(self, total: int, what: str, unit: str) -> Bar:
        return self

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def update(self, n: float = 1) -> None:
        self.count += 1
        if self.count == self.kill_at:
            raise Killed


def options(out: Path, **changes) -> ClipOptions:
    values = {"hfov_deg": 60.0, "body": "free-low", "max_frames": FRAMES, "overlay": False}
    return ClipOptions(clip=model_path("demo.mp4"), out=out, **values | changes)


def run(out: Path, kill_at: int | None = None, **changes) -> None:
    run_clip(options(out, **changes), Bar(kill_at), lambda text: None)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> PeopleTable:
    """Of a run that nobody interrupted."""
    out = tmp_path_factory.mktemp("whole")
    run(out)
    table = PeopleTable.load(out / "people.npz")
    assert len(table) > FRAMES / 2
    return table


@pytest.fixture(autouse=True)
def at_every_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resume, "PERIOD_S", 0.0)


def assert_same(path: Path, table: PeopleTable) -> None:
    found = PeopleTable.load(path)
    for name in COLUMNS:
        np.testing.assert_array_equal(getattr(found, name), getattr(table, name), err_msg=name)


def test_killed_twice(whole: PeopleTable, tmp_path: Path) -> None:
    for at in (6, 11):  # while the tracks are there
        with pytest.raises(Killed):
            run(tmp_path, kill_at=at, resume=True)
        assert not (tmp_path / "people.npz").exists()
    run(tmp_path, resume=True)
    assert_same(tmp_path / "people.npz", whole)
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["frames"] == FRAMES
    assert summary["latency_ms"]["p50"] > 0
    assert not (tmp_path / FOLDER).exists()


def test_killed_while_people_are_drawn(whole: PeopleTable, tmp_path: Path) -> None:
    """Nobody is looked for twice."""
    with pytest.raises(Killed):
        run(tmp_path, kill_at=FRAMES + 3, overlay=True, resume=True)
    bar = Bar()
    run_clip(options(tmp_path, overlay=True, resume=True), bar, lambda text: None, recovery=None)
    assert_same(tmp_path / "people.npz", whole)
    assert (tmp_path / "overlay.mp4").stat().st_size > 0
    stretches = json.loads((tmp_path / "summary.json").read_text())["frames"]
    assert stretches == FRAMES


def test_without_resume_it_starts_anew(whole: PeopleTable, tmp_path: Path) -> None:
    with pytest.raises(Killed):
        run(tmp_path, kill_at=6)
    assert (tmp_path / FOLDER).exists()
    run(tmp_path)
    assert_same(tmp_path / "people.npz", whole)


def test_other_settings_are_not_mixed(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        run(tmp_path, kill_at=3)
    with pytest.raises(InputError, match="max_people 5 then, 2 now"):
        run(tmp_path, max_people=2, resume=True)


def test_a_run_of_when_the_network_went_one_way_is_not_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as before:
        before.setattr(resume, "model_identity", lambda *_: {"weights_sha256": "the same"})
        with pytest.raises(Killed):
            run(tmp_path, kill_at=3)
    with pytest.raises(InputError, match="step None then, 'both ways' now"):
        run(tmp_path, resume=True)


def test_what_was_left_is_damaged(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        run(tmp_path, kill_at=3)
    (tmp_path / FOLDER / "people-000000.npz").write_bytes(b"damaged")
    with pytest.raises(InputError, match="is not a people"):
        run(tmp_path, resume=True)


def test_a_short_run_keeps_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resume, "PERIOD_S", 1e9)
    with pytest.raises(Killed):
        run(tmp_path, kill_at=3)
    assert not (tmp_path / FOLDER).exists()


def test_sigkill(whole: PeopleTable, tmp_path: Path) -> None:
    """The command itself, killed from outside, and resumed by the command."""
    arguments = ["video", str(model_path("demo.mp4")), "--out", str(tmp_path), "--hfov", "60"]
    arguments += [
        "--landmarks",
        "full",
        "--body",
        "free-low",
        "--max-frames",
        str(FRAMES),
        "--resume",
    ]
    code = "import sys, d3pose_core.resume as r; r.PERIOD_S = 0.0\n"
    code += "from d3pose_core.cli.main import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, *arguments]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while not (tmp_path / FOLDER / "people-000003.npz").exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "people.npz").exists()
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    assert_same(tmp_path / "people.npz", whole)
    assert {path.name for path in tmp_path.iterdir()} == {
        *("people.npz", "overlay.mp4", "summary.json"),
    }
