"""`d3pose video`: files it leaves, and what it says about input that is wrong.

The recovery is a stand-in that finds one person, but for one test with the real one.
"""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from d3pose_core.body import load_body
from d3pose_core.camera import Intrinsics
from d3pose_core.cli.main import main
from d3pose_core.landmark_models import BOTH_WAYS, FULL, HEAVY
from d3pose_core.model_files import model_path
from d3pose_core.recording import PeopleTable
from d3pose_core.recovery import MeshRecovery, RecoveredPerson
from d3pose_core.video import ClipReader

FRAMES, FPS = 12, 25.0


class StandInRecovery:
    """One person who walks away from the camera; remembers what it was asked."""

    def __init__(self) -> None:
        self.body = load_body("free-low")
        self.stage_times_ms = {"observe": 2.0, "network": 1.0}
        self.calls: list[tuple[float, Intrinsics]] = []
        self.ups: list[np.ndarray | None] = []
        self.made_with: dict[str, object] = {}

    def __call__(
        self,
        image: np.ndarray,
        stamp_s: float,
        intrinsics: Intrinsics,
        up: np.ndarray | None = None,
    ) -> list[RecoveredPerson]:
        self.calls.append((stamp_s, intrinsics))
        self.ups.append(up)
        orient, pose = np.array([np.pi, 0, 0], np.float32), np.zeros((23, 3), np.float32)
        betas = np.zeros(10, np.float32)
        transl = np.array([0, 0.2, 3 + stamp_s], np.float32)
        tensors = (torch.from_numpy(value)[None] for value in (orient, pose, betas, transl))
        joints = self.body.joints(*tensors)[0].numpy()
        pixels = intrinsics.project(joints).astype(np.float32)
        certain = np.ones(24, np.float32)
        return [RecoveredPerson(7, 0.9, orient, pose, betas, transl, joints, pixels, certain, 0.0)]


@pytest.fixture
def recovery(monkeypatch: pytest.MonkeyPatch) -> StandInRecovery:
    stand_in = StandInRecovery()

    def from_pretrained(*args: object, **kwargs: object) -> StandInRecovery:
        stand_in.made_with = kwargs
        return stand_in

    monkeypatch.setattr(MeshRecovery, "from_pretrained", from_pretrained)
    return stand_in


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), FPS, (160, 120))
    rng = np.random.default_rng(0)
    for _ in range(FRAMES):
        writer.write(rng.integers(0, 255, (120, 160, 3), np.uint8))
    writer.release()
    return path


@pytest.mark.parametrize(
    ("arguments", "up"),
    [
        ([], None),
        (["--pitch", "30"], [0.0, -(0.75**0.5), -0.5]),
        (["--roll", "30"], [-0.5, -(0.75**0.5), 0.0]),
        (["--pitch", "-90", "--roll", "10"], [0.0, 0.0, 1.0]),
    ],
)
def test_the_cameras_tilt_is_passed_on(
    recovery: StandInRecovery, clip: Path, tmp_path: Path, arguments: list[str], up: list[float]
) -> None:
    assert main(["video", str(clip), "--out", str(tmp_path), "--hfov", "60", *arguments]) == 0
    assert len(recovery.ups) == FRAMES
    for told in recovery.ups:
        if up is None:
            assert told is None
        else:
            np.testing.assert_allclose(told, up, atol=1e-9)


@pytest.mark.parametrize("wrong", ["steep", "181", "nan"])
def test_a_tilt_that_is_no_angle_is_refused(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], wrong: str
) -> None:
    with pytest.raises(SystemExit):
        main(["video", str(clip), "--out", str(tmp_path), "--pitch", wrong])
    assert f"expected degrees from -180 to 180, got '{wrong}'" in capsys.readouterr().err


def test_leaves_the_three_files(
    recovery: StandInRecovery, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "a" / "b"
    assert main(["video", str(clip), "--out", str(out), "--intrinsics", "150,151,80,60"]) == 0

    table = PeopleTable.load(out / "people.npz")
    np.testing.assert_array_equal(table.frame, np.arange(FRAMES))
    np.testing.assert_allclose(table.time, np.arange(FRAMES) / FPS, atol=1e-6)
    assert table.intrinsics == Intrinsics(150, 151, 80, 60, 160, 120)
    assert [stamp for stamp, _ in recovery.calls] == table.time.tolist()
    assert len(list(ClipReader(out / "overlay.mp4"))) == FRAMES
    summary = json.loads((out / "summary.json").read_text())
    assert (summary["frames"], summary["people"], summary["body"]) == (FRAMES, 1, "free-low")
    assert summary["stages_ms"] == {"observe": 2.0, "network": 1.0}
    assert summary["fps"] > 0
    assert 0 < summary["latency_ms"]["p50"] <= summary["latency_ms"]["p99"]
    shown = capsys.readouterr().out
    assert str(out / "overlay.mp4") in shown
    assert f"frames                   {FRAMES}" in shown


def test_the_real_recovery_on_real_footage(tmp_path: Path) -> None:
    """The man on the block is found where he stands, upright, in (nearly) every frame."""
    arguments = ["--out", str(tmp_path), "--hfov", "65", "--max-frames", "20"]
    arguments += ["--landmarks", "full", "--body", "free-low"]
    assert main(["video", str(model_path("demo.mp4")), *arguments]) == 0
    table = PeopleTable.load(tmp_path / "people.npz")
    assert table.intrinsics.width == 1768
    near = np.abs(table.joints_2d[:, 0] - (648, 238)).max(axis=1) < 60  # his hips, by eye
    assert near.sum() >= 18
    man = table.joints_2d[near]
    assert (man[:, 15, 1] < man[:, [7, 8], 1].min(axis=1)).mean() > 0.9, "head above feet"
    reprojected = table.intrinsics.project(table.joints.astype(float))
    np.testing.assert_allclose(reprojected, table.joints_2d, atol=0.05)


@pytest.mark.parametrize(
    ("arguments", "ran"),
    [([], HEAVY + BOTH_WAYS), (["--landmarks", "full"], FULL), (["--landmarks", "heavy"], HEAVY)],
)
def test_the_landmark_network_that_runs_is_said(
    recovery: StandInRecovery,
    clip: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    ran: str,
) -> None:
    """The best that is there, if nothing is said."""
    monkeypatch.setattr("d3pose_core.model_files.state", lambda entry: "ok")
    command = ["video", str(clip), "--out", str(tmp_path), "--max-frames", "2", *arguments]
    assert main(command) == 0
    assert recovery.made_with["landmarks"] == ran
    assert json.loads((tmp_path / "summary.json").read_text())["landmarks"] == ran


def test_without_a_camera_the_assumption_is_said(
    recovery: StandInRecovery, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["video", str(clip), "--out", str(tmp_path), "--max-frames", "2"]) == 0
    assert "taking a horizontal field of view of 60 degrees" in capsys.readouterr().out
    assert recovery.calls[0][1] == Intrinsics.from_hfov(60, 160, 120)
    assert len(recovery.calls) == 2


def test_hfov(recovery: StandInRecovery, clip: Path, tmp_path: Path) -> None:
    assert main(["video", str(clip), "--out", str(tmp_path), "--hfov", "90"]) == 0
    assert recovery.calls[0][1].fx == pytest.approx(80)


def test_truncated_clip_is_done_as_far_as_it_goes(
    recovery: StandInRecovery, clip: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cut = tmp_path / "cut.avi"
    data = clip.read_bytes()
    cut.write_bytes(data[: len(data) // 2])
    assert main(["video", str(cut), "--out", str(tmp_path / "out"), "--hfov", "60"]) == 0
    frames = json.loads((tmp_path / "out" / "summary.json").read_text())["frames"]
    assert 1 < frames < FRAMES
    assert f"promises {FRAMES} frames and {frames} could be decoded" in caplog.text


def one_line_error(capfd: pytest.CaptureFixture[str]) -> str:
    """All of stderr, which must be one line that a user can read (LiteRT may greet before it)."""
    lines = [line for line in capfd.readouterr().err.splitlines() if "INFO: Created" not in line]
    assert len(lines) == 1
    assert lines[0].startswith("d3pose: error: ")
    return lines[0]


def test_missing_clip(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["video", str(tmp_path / "no.mp4"), "--out", str(tmp_path / "out")]) == 2
    assert f"no such clip: {tmp_path / 'no.mp4'}" in one_line_error(capfd)
    assert not (tmp_path / "out").exists()


def test_not_a_clip(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "notes.mp4"
    path.write_text("this is not a video")
    assert main(["video", str(path), "--out", str(tmp_path)]) == 2
    assert "can't be read as a video" in one_line_error(capfd)


def test_missing_weights(clip: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    arguments = ["--out", str(tmp_path), "--hfov", "60", "--weights", "nowhere.safetensors"]
    assert main(["video", str(clip), *arguments]) == 2
    assert "nowhere.safetensors" in one_line_error(capfd)


def test_output_folder_that_cannot_be_made(
    clip: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    arguments = ["--out", str(tmp_path / "file" / "out"), "--hfov", "60"]
    assert main(["video", str(clip), *arguments]) == 2
    assert "can't make the output folder" in one_line_error(capfd)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--intrinsics", "1,2,3"], "expected four numbers fx,fy,cx,cy, got '1,2,3'"),
        (["--intrinsics", "1,2,3,nan"], "expected finite numbers"),
        (["--intrinsics", "1,2,3,4", "--hfov", "60"], "not allowed with argument"),
        (["--max-people", "0"], "expected a whole number of at least 1, got '0'"),
    ],
)
def test_bad_arguments(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["video", "clip.mp4", "--out", "out", *arguments])
    assert message in capsys.readouterr().err


def test_impossible_field_of_view(
    clip: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["video", str(clip), "--out", str(tmp_path), "--hfov", "200"]) == 2
    assert "1..179 degrees, got 200" in one_line_error(capfd)


@pytest.mark.parametrize(
    ("intrinsics", "words"),
    [("80,80,5000,45", "89 degrees past the lens' axis"), ("80,8,80,45", "far from square")],
)
def test_intrinsics_of_no_camera(
    intrinsics: str, words: str, clip: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["video", str(clip), "--out", str(tmp_path), "--intrinsics", intrinsics]) == 2
    assert words in one_line_error(capfd)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["x" * 300, "--out", "out"], "File name too long"),
        (["{clip}", "--out", "out\0put"], "can't make the output folder"),
        (["{clip}", "--out", "out", "--device", "meta"], "cannot use device 'meta'"),
    ],
)
def test_what_the_system_refuses_is_said_in_a_line(
    arguments, words, clip: Path, tmp_path: Path, monkeypatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["video", *(part.replace("{clip}", str(clip)) for part in arguments)]) == 2
    assert words in capfd.readouterr().err.splitlines()[-1]
