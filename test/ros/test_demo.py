"""`d3pose demo`: the real thing on 40 frames, and what it says when a process fails."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from rosbags.rosbag2 import Reader

from d3pose_core.camera import Intrinsics
from d3pose_core.cli.main import main
from d3pose_core.errors import D3PoseError
from d3pose_core.video import ClipReader
from d3pose_ros.bag import BagWriter, read_bag
from d3pose_ros.demo.clip import DEMO_CLIP
from d3pose_ros.demo.processes import Child, ProcessFailed, graph_environment, wait_until
from d3pose_ros.demo.results import read_people
from test.helpers.model_cache import link_needed_files

PEOPLE = "/d3pose/people"
FRAMES = 40
# px in the demo's images: where the man on the block stands in these frames, by eye.
MAN_HIPS, MAN_HEAD_TOP, MAN_FEET = (257, 144), 35, 265


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output folder of a run in a process of its own, as a user starts it who has no npm."""
    out = tmp_path_factory.mktemp("demo")
    cache = link_needed_files(tmp_path_factory.mktemp("cache"))
    result = subprocess.run(
        [
            *(sys.executable, "-m", "d3pose_core.cli.main", "demo"),
            *("--out", str(out), "--max-frames", str(FRAMES)),
        ],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        env={**os.environ, "D3POSE_CACHE": str(cache)},
    )
    assert result.returncode == 0, result.stdout + result.stderr
    (out / "stdout.txt").write_text(result.stdout)
    return out


def read_stamps(demo: Path, topic: str) -> list[int]:
    """Header stamps of a topic, ns."""
    stamps = [each.message.header.stamp for each in read_bag(demo / "people.mcap", (topic,))]
    return [stamp.sec * 10**9 + stamp.nanosec for stamp in stamps]


def test_every_frame_is_accounted_for(demo: Path) -> None:
    """Each image was processed, dropped for a cause, or lost; one message for each processed."""
    summary = json.loads((demo / "summary.json").read_text())
    assert summary["images_published"] == FRAMES
    unprocessed = sum(summary["images_dropped"].values()) + summary["images_lost_in_transport"]
    assert summary["frames"] + unprocessed == FRAMES
    assert summary["frames"] >= 3
    assert set(summary["images_dropped"]) <= {"busy"}
    with Reader(demo / "people.mcap") as reader:
        counts = {each.topic: each.msgcount for each in reader.connections}
    assert counts[PEOPLE] == summary["frames"]
    assert counts["/camera/camera_info"] == FRAMES


def test_stamps_are_the_images_own(demo: Path) -> None:
    camera, people = read_stamps(demo, "/camera/camera_info"), read_stamps(demo, PEOPLE)
    assert set(people) <= set(camera)
    assert people == sorted(set(people))
    assert people[0] == camera[0], "the first frame is not lost"
    np.testing.assert_allclose(np.diff(camera), 1e9 / 30, atol=1e3)
    (frame_id,) = {
        each.message.header.frame_id for each in read_bag(demo / "people.mcap", (PEOPLE,))
    }
    assert frame_id == "camera_optical_frame"


def test_the_man_on_the_block_is_found(demo: Path) -> None:
    """Where he stands in the picture, upright, at a possible distance, under one id."""
    messages = [each.message for each in read_bag(demo / "people.mcap", (PEOPLE,))]
    ids = [person.track_id for message in messages for person in message.persons]
    assert len(ids) >= 0.8 * len(messages)
    man = max(set(ids), key=ids.count)
    people = [each for message in messages for each in message.persons if each.track_id == man]
    pixels = np.array([each.joints_2d for each in people]).reshape(-1, 24, 2)
    hips = np.median(pixels[:, 0], axis=0)
    np.testing.assert_allclose(hips, MAN_HIPS, atol=40)
    assert (pixels[:, 15, 1] < pixels[:, [7, 8], 1].min(axis=1)).mean() > 0.9, "head above feet"
    distances = np.array([each.joints[0].z for each in people])
    assert 3 < np.median(distances) < 15


def test_overlay_shows_him(demo: Path) -> None:
    clip = ClipReader(demo / "overlay.mp4")
    frames = [frame.image for frame in clip]
    assert len(frames) == FRAMES
    assert (clip.width, clip.height, clip.fps) == (800 + 540, 600, 30)
    original = ClipReader(_demo_clip(), DEMO_CLIP.view, max_frames=FRAMES)
    *_, last = original
    changed = np.abs(frames[-1][:, :800].astype(int) - last.image).max(axis=-1) > 60
    rows, columns = np.nonzero(changed)
    assert len(rows) > 2000, "a mesh is drawn"
    assert abs(np.median(columns) - MAN_HIPS[0]) < 60
    assert MAN_HEAD_TOP - 40 < np.percentile(rows, 5) < np.percentile(rows, 95) < MAN_FEET + 60


def test_summary_and_table(demo: Path) -> None:
    summary = json.loads((demo / "summary.json").read_text())
    assert summary["people"] >= 1
    assert (summary["weights"], summary["body"], summary["device"]) == (
        "d3pose-landmarks",
        "free-low",
        "cpu",
    )
    assert 0 < summary["latency_ms"]["p50"] <= summary["latency_ms"]["p99"]
    assert {"observe", "network", "publish", "total"} <= set(summary["stages_ms"])
    shown = (demo / "stdout.txt").read_text()
    assert re.search(rf"^images published +{FRAMES}$", shown, re.MULTILINE)
    assert str(demo / "overlay.mp4") in shown
    assert {path.name for path in demo.iterdir()} == {
        *("people.mcap", "overlay.mp4", "summary.json", "logs", "stdout.txt")
    }


def test_weights_that_are_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--out", str(tmp_path), "--weights", "nowhere.safetensors"]) == 2
    assert "d3pose: error: no weights at 'nowhere.safetensors'" in capsys.readouterr().err


def test_files_that_were_not_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("D3POSE_CACHE", str(tmp_path / "empty"))
    assert main(["demo", "--out", str(tmp_path)]) == 2
    assert "run `d3pose models fetch`" in capsys.readouterr().err


def test_a_node_that_cannot_be_configured_ends_the_demo(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its own sentence reaches the user; nobody waits for a time-out."""
    began = time.monotonic()
    assert main(["demo", "--out", str(tmp_path), "--device", "nonsense", "--max-frames", "2"]) == 2
    assert "cannot use device 'nonsense'" in capsys.readouterr().err
    assert time.monotonic() - began < 60


def test_a_process_that_ends_by_itself_is_reported_with_its_log(tmp_path: Path) -> None:
    environment = graph_environment(1, tmp_path)
    child = Child("camera", "d3pose_ros.demo.camera", ["no.mp4", "--hfov", "60"], environment)
    try:
        with pytest.raises(ProcessFailed, match=r"camera process ended with status 2") as caught:
            wait_until(lambda: False, [child], 60, "the impossible")
    finally:
        child.stop()
    assert "d3pose: error: no such clip: no.mp4" in str(caught.value)
    assert str(tmp_path / "camera.log") in str(caught.value)


def test_a_process_that_does_not_heed_an_interrupt_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"
    script += 'print(\'{"event": "deaf"}\', flush=True)\nsignal.pause()\n'
    (tmp_path / "deaf_process.py").write_text(script)
    monkeypatch.setattr("d3pose_ros.demo.processes.STOP_TIMEOUT_S", 0.5)
    environment = {**graph_environment(1, tmp_path), "PYTHONPATH": str(tmp_path)}
    child = Child("deaf", "deaf_process", [], environment)
    assert child.events(timeout_s=30) == [{"event": "deaf"}]
    child.stop()
    assert "deaf process did not end within 0.5 s" in capsys.readouterr().err


def test_graph_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No robot on the network is disturbed, whatever the user's shell is set to."""
    monkeypatch.setenv("ROS_DOMAIN_ID", "0")
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "SUBNET")
    monkeypatch.setenv("ROS_DISCOVERY_SERVER", "10.0.0.1:11811")
    environment = graph_environment(42, tmp_path)
    assert environment["ROS_DOMAIN_ID"] == "42"
    assert environment["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "LOCALHOST"
    assert "ROS_DISCOVERY_SERVER" not in environment
    assert environment["PATH"] == os.environ["PATH"]


def test_a_message_without_an_image_is_an_error(tmp_path: Path) -> None:
    from rclpy.serialization import serialize_message

    from d3pose_ros.msg import SmplPersonArray

    with BagWriter(tmp_path / "people.mcap") as bag:
        bag.add_topic(PEOPLE, "d3pose_ros/msg/SmplPersonArray")
        bag.write(PEOPLE, 1, serialize_message(SmplPersonArray()))
    intrinsics = Intrinsics.from_hfov(60, 64, 48)
    with pytest.raises(D3PoseError, match="no image's stamp"):
        read_people(tmp_path / "people.mcap", PEOPLE, {10**9: 0}, intrinsics)
    recorded = read_people(tmp_path / "people.mcap", PEOPLE, {0: 5}, intrinsics)
    assert recorded.processed == {5}
    assert recorded.statistics.latency_percentiles()["p50"] == 0.0


def _demo_clip() -> Path:
    from d3pose_core.model_files import model_path

    return model_path(DEMO_CLIP.name)
