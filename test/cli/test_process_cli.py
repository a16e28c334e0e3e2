"""`d3pose process`: many recordings, of which some fail; started again it goes on."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from d3pose_core.cli import process
from d3pose_core.cli.main import main
from d3pose_core.engine import ENGINES
from d3pose_core.recording import PeopleTable
from d3pose_core.recordings import assign_folders
from test.fixtures.make_regression_bag import write_bag
from test.helpers import process_jobs
from test.helpers.ray_here import need_ray

ROOT = Path(__file__).resolve().parents[2]
FRAMES = 6


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bags") / "walk"
    write_bag(path, FRAMES)
    return path


def write_clip(path: Path) -> None:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25.0, (160, 120))
    for level in (50, 100, 150):
        writer.write(np.full((120, 160, 3), level, np.uint8))
    writer.release()


def totals(out: Path) -> dict:
    return json.loads((out / "process.json").read_text())


def test_bags_and_clips_each_into_its_folder(
    bag: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The real recovery, all in one process; of five recordings three can be read."""
    write_clip(tmp_path / "clip.avi")
    shutil.copy(next(bag.glob("*.mcap")), tmp_path / "again.mcap")
    (tmp_path / "torn.mcap").write_bytes(next(bag.glob("*.mcap")).read_bytes()[:10_000])
    sources = [str(bag), str(tmp_path / "clip.avi"), str(tmp_path / "torn.mcap")]
    sources += [str(tmp_path / "nowhere.mp4"), str(tmp_path / "again.mcap")]
    out = tmp_path / "out"
    argv = ["process", *sources, "--out", str(out), "--workers", "1", "--body", "free-low"]
    assert main(argv) == 1
    assert totals(out)["done"] == 3
    assert totals(out)["frames"] == 2 * FRAMES + 3
    (worker,) = totals(out)["workers"].values()
    assert worker["recordings"] == 3
    assert set(totals(out)["failed"]) == {"torn", "nowhere"}
    assert len(PeopleTable.load(out / "walk" / "people.npz")) > 0
    for name in ("walk", "clip"):
        left = {path.name for path in (out / name).iterdir()}
        assert left >= {"people.npz", "summary.json", "done.json", "log.txt"}
        assert not left & {"failed.json", "overlay.mp4", "started.json", ".resume"}
    assert (out / "walk" / "people.mcap").is_file()
    torn = json.loads((out / "torn" / "failed.json").read_text())
    assert "not a readable bag" in torn["reason"]
    assert not (out / "torn" / "done.json").exists()
    shown = capsys.readouterr().out
    assert "failed: torn: " in shown
    assert "all, in" in shown

    # Started again: one is mended, one stays as it is, and what is done is not done again.
    shutil.copy(next(bag.glob("*.mcap")), tmp_path / "torn.mcap")
    done_before = (out / "walk" / "people.npz").stat().st_mtime_ns
    assert main(argv) == 1
    assert (totals(out)["done"], totals(out)["done_before"]) == (1, 3)
    assert set(totals(out)["failed"]) == {"nowhere"}
    assert not (out / "torn" / "failed.json").exists()
    assert (out / "walk" / "people.npz").stat().st_mtime_ns == done_before
    # The same as `d3pose replay`, to the last bit, whatever the process did before.
    replay = ["replay", str(bag), "--out", str(tmp_path / "replay"), "--body", "free-low"]
    assert main([*replay, "--no-overlay"]) == 0
    people = (tmp_path / "replay" / "people.npz").read_bytes()
    for name in ("walk", "again", "torn"):
        assert (out / name / "people.npz").read_bytes() == people


@pytest.mark.parametrize("engine", ENGINES)
def test_a_killed_process_costs_its_recording_only(
    engine: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if engine == "ray":
        need_ray()
    monkeypatch.setattr(process, "process_recording", process_jobs.by_name)
    names = ("killed", "a", "wrong", "b", "c")
    for name in names:
        (tmp_path / f"{name}.mcap").write_text(name)
    out = tmp_path / "out"
    argv = ["process", *(str(tmp_path / f"{name}.mcap") for name in names), "--out", str(out)]
    argv += ["--workers", "2", "--engine", engine]
    assert main(argv) == 1
    assert totals(out)["done"] == 3
    assert totals(out)["frames"] == 3 * process_jobs.FRAMES
    assert sum(each["recordings"] for each in totals(out)["workers"].values()) == 3
    failed = {
        name: json.loads((out / name / "failed.json").read_text()) for name in ("killed", "wrong")
    }
    lost = {"local": "killed by SIGKILL, 2 times", "ray": "its process was lost"}
    assert lost[engine] in failed["killed"]["reason"]
    assert failed["wrong"]["reason"] == "ZeroDivisionError: by nought"
    assert any("by_name" in line for line in failed["wrong"]["details"])

    assert main(argv) == 1
    assert (totals(out)["done"], totals(out)["done_before"]) == (0, 3)
    assert "2 failed before (--retry-failed tries them again); 0 to do" in capsys.readouterr().out
    assert set(totals(out)["failed"]) == {"killed", "wrong"}
    assert main([*argv, "--retry-failed"]) == 1
    assert "; 2 to do" in capsys.readouterr().out


def test_an_attempt_that_was_cut_short_is_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What going on means is the replay's and the clip's affair; it is asked of them."""
    clip = tmp_path / "clip.avi"
    write_clip(clip)
    asked: list[bool] = []

    def run_clip(options, *_):
        asked.append(options.resume)
        os.write(2, b"said by a library\n")  # as C does
        raise KeyboardInterrupt

    monkeypatch.setattr("d3pose_core.clip_run.run_clip", run_clip)
    monkeypatch.setattr(process, "_recovery", lambda settings: None)
    settings = process.Settings(
        None,
        None,
        None,
        60.0,
        "d3pose-landmarks",
        "free-low",
        "cpu",
        "auto",
        "full",
        5,
        None,
        False,
    )
    (recording,) = assign_folders([clip], tmp_path / "out")
    for identity, anew in (
        ({"a": 1}, False),
        ({"a": 1}, False),
        ({"a": 2}, False),
        ({"a": 2}, True),
    ):
        job = process.Job(recording, settings, identity, anew)
        with pytest.raises(KeyboardInterrupt):
            process.process_recording(job, lambda amount: None)
    assert asked == [False, True, False, False]
    assert "said by a library" in (recording.folder / "log.txt").read_text()


def test_other_settings_need_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(process, "process_recording", process_jobs.by_name)
    (tmp_path / "a.mcap").write_text("a")
    argv = ["process", str(tmp_path / "a.mcap"), "--out", str(tmp_path / "out"), "--workers", "1"]
    assert main([*argv, "--hfov", "70"]) == 0
    assert main([*argv, "--hfov", "71"]) == 2
    assert "hfov_deg 70.0, now 71.0" in capsys.readouterr().err
    assert main([*argv, "--hfov", "71", "--redo"]) == 0
    assert main([*argv, "--hfov", "71"]) == 0


def test_what_cannot_work_is_said_before_anything_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["process", str(tmp_path / "a.mcap"), "--out", str(tmp_path / "out")]
    for more, said in (
        (["--engine", "slurm"], "local, ray"),
        (["--weights", "nowhere.safetensors"], "nowhere.safetensors"),
        (["--body", "nowhere.npz"], "nowhere.npz"),
    ):
        assert main([*argv, *more]) == 2
        assert said in capsys.readouterr().err


def test_bags_are_read_without_ros(bag: Path, tmp_path: Path) -> None:
    """Machines that only process recordings need no ROS."""
    blocked = [
        "rclpy",
        "rcl_interfaces",
        "sensor_msgs",
        "std_msgs",
        "geometry_msgs",
        "builtin_interfaces",
    ]
    script = f"import sys; sys.modules.update(dict.fromkeys({blocked}))\n"
    script += (
        "from d3pose_ros.replay.run import ReplayOptions, run_replay; from pathlib import Path\n"
    )
    script += (
        f"run_replay(ReplayOptions(Path({str(bag)!r}), Path({str(tmp_path)!r}), body='free-low', "
    )
    script += "max_frames=2, overlay=False))"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "people.mcap").is_file()
