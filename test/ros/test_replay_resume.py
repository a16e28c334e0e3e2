"""A replay that was killed goes on: in the end bag and table are those of an uninterrupted one."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from d3pose_core import resume
from d3pose_core.errors import InputError
from d3pose_core.recording import COLUMNS, PeopleTable
from d3pose_core.resume import FOLDER
from d3pose_ros.bag import open_bag
from d3pose_ros.replay.run import ReplayOptions, run_replay
from test.fixtures.make_regression_bag import write_bag

FRAMES = 12
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bags") / "rendered"
    write_bag(path, FRAMES)
    return path


@pytest.fixture(scope="module")
def whole(bag: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole")
    run_replay(ReplayOptions(bag, out, body="free-low", overlay=False), say=lambda text: None)
    return out


def messages(path: Path) -> list[tuple[int, bytes]]:
    with open_bag(path) as bag:
        return [(received, bytes(data)) for _, received, data in bag.messages(bag.connections)]


def assert_same(out: Path, whole: Path) -> None:
    assert messages(out / "people.mcap") == messages(whole / "people.mcap")
    found, wanted = (PeopleTable.load(folder / "people.npz") for folder in (out, whole))
    for name in COLUMNS:
        np.testing.assert_array_equal(getattr(found, name), getattr(wanted, name), err_msg=name)


def killed_replay(bag: Path, out: Path, after: int) -> None:
    """The command, killed when it has kept its results so often; it keeps them after every image."""
    code = "import sys, d3pose_core.resume as r; r.PERIOD_S = 0.0\n"
    code += "from d3pose_core.cli.main import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "replay", str(bag), "--out", str(out), "--resume"]
    process = subprocess.Popen(
        [*command, "--body", "free-low", "--no-overlay"], cwd=ROOT, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 300
    while not (out / FOLDER / f"people-{after:06}.npz").exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()


def test_killed_twice(bag: Path, whole: Path, tmp_path: Path) -> None:
    killed_replay(bag, tmp_path, after=2)
    assert not (tmp_path / "people.mcap").exists()
    # What was found until then is there to be read.
    left = messages(tmp_path / "people.mcap")
    assert left == messages(whole / "people.mcap")[: len(left)]
    assert len(left) >= 2
    killed_replay(bag, tmp_path, after=6)
    options = ReplayOptions(bag, tmp_path, body="free-low", overlay=False, resume=True)
    summary = run_replay(options, say=lambda text: None)
    assert summary.frames == FRAMES
    assert_same(tmp_path, whole)
    assert {path.name for path in tmp_path.iterdir()} == {
        *("people.mcap", "people.npz", "summary.json"),
    }


def test_messages_that_are_gone(bag: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a bag would be worse than an error."""
    monkeypatch.setattr(resume, "PERIOD_S", 0.0)
    options = ReplayOptions(bag, tmp_path, body="free-low", overlay=False, max_frames=3)

    def fail(*_: object) -> None:
        raise InputError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(PeopleTable, "joined", fail)
        with pytest.raises(InputError, match="disk is full"):
            run_replay(options, say=lambda text: None)
    (tmp_path / "people.mcap").unlink()
    resumed = ReplayOptions(**vars(options) | {"resume": True})
    with pytest.raises(InputError, match="3 messages of the earlier run"):
        run_replay(resumed, say=lambda text: None)


def test_live_can_not_be_resumed(bag: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="can't be resumed"):
        run_replay(ReplayOptions(bag, tmp_path, live=True, resume=True))
