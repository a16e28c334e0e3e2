"""Clips: times, sizes, crops with their intrinsics, and every way in which a file can be wrong."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from d3pose_core.camera import Intrinsics
from d3pose_core.errors import InputError
from d3pose_core.video import ClipReader, ClipWriter, View

WIDTH, HEIGHT, FPS, FRAMES = 64, 48, 25.0, 40


def write_clip(path: Path, fourcc: str = "MJPG") -> Path:
    """A clip whose frame number can be read from its grey level."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*fourcc), FPS, (WIDTH, HEIGHT))
    assert writer.isOpened()
    for index in range(FRAMES):
        writer.write(np.full((HEIGHT, WIDTH, 3), 5 * index, np.uint8))
    writer.release()
    return path


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip") / "clip 1.avi")


def test_frames_come_in_order_with_their_times(clip: Path) -> None:
    reader = ClipReader(clip)
    frames = list(reader)

    assert (reader.width, reader.height, reader.fps, reader.frame_count) == (64, 48, 25.0, 40)
    assert [frame.index for frame in frames] == list(range(FRAMES))
    np.testing.assert_allclose(
        [frame.time_s for frame in frames], np.arange(FRAMES) / FPS, atol=1e-6
    )
    levels = [float(frame.image.mean()) for frame in frames]
    np.testing.assert_allclose(levels, 5 * np.arange(FRAMES), atol=3)
    assert reader.frames_read == FRAMES
    assert len(list(reader)) == FRAMES, "a second pass starts from the beginning"


def test_mp4_times(tmp_path: Path) -> None:
    times = [frame.time_s for frame in ClipReader(write_clip(tmp_path / "clip.mp4", "mp4v"))]
    np.testing.assert_allclose(times, np.arange(FRAMES) / FPS, atol=1e-6)


def test_max_frames(clip: Path) -> None:
    reader = ClipReader(clip, max_frames=7)
    assert reader.frame_count == 7
    assert len(list(reader)) == 7


@pytest.mark.parametrize(
    ("container", "expected"),
    [
        ([0.0, 0.0, 0.0], [0.0, 0.1, 0.2]),  # a container without times
        ([0.0, float("nan"), 0.15], [0.0, 0.1, 0.15]),
        ([-1.0, 0.05, 0.3], [0.0, 0.05, 0.3]),  # variable rate, negative start
        ([5.0, 4.0, 5.05], [5.0, 5.1, 5.2]),  # runs backwards
    ],
)
def test_times_increase_whatever_the_container_says(
    clip: Path, container: list[float], expected: list[float]
) -> None:
    reader = ClipReader(clip)
    reader.fps = 10.0
    time_s, times = -0.1, []
    for container_s in container:
        time_s = reader._time_after(time_s, container_s)
        times.append(time_s)
    np.testing.assert_allclose(times, expected, atol=1e-9)


def test_view_crops_and_resizes(clip: Path) -> None:
    reader = ClipReader(clip, View(crop=(8, 4, 32, 24), size=(16, 12)), max_frames=1)
    (frame,) = reader
    assert frame.image.shape == (12, 16, 3)
    assert (reader.width, reader.height, reader.source_size) == (16, 12, (64, 48))


def test_a_crop_outside_the_picture_is_named(clip: Path) -> None:
    with pytest.raises(InputError, match=r"leaves the picture, which is 64 x 48"):
        ClipReader(clip, View(crop=(40, 0, 32, 24)))


@given(
    x=st.integers(0, 200),
    y=st.integers(0, 100),
    width=st.integers(50, 400),
    height=st.integers(50, 300),
    scale=st.floats(0.3, 3),
)
def test_view_intrinsics_see_the_same_point(
    x: int, y: int, width: int, height: int, scale: float
) -> None:
    """A point projected by the view's camera lies where the cropped and scaled picture shows it."""
    source = Intrinsics(700.0, 710.0, 310.0, 205.0, 640, 480)
    size = (round(width * scale), round(height * scale))
    view = View((x, y, width, height), size).intrinsics(source)
    point = np.array([0.3, -0.2, 4.0])
    whole = source.project(point)
    expected = (whole - (x, y) + 0.5) * (size[0] / width, size[1] / height) - 0.5
    np.testing.assert_allclose(view.project(point), expected, atol=1e-6)
    assert (view.width, view.height) == size


def test_missing_clip() -> None:
    with pytest.raises(InputError, match=r"no such clip: nowhere/clip\.mp4"):
        ClipReader("nowhere/clip.mp4")


def test_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a file"):
        ClipReader(tmp_path)


def test_not_a_video(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "notes01.mp4"
    path.write_text("not a video\n" * 50)
    with pytest.raises(InputError, match=r"\(600 bytes\) can't be read as a video"):
        ClipReader(path)
    assert capfd.readouterr().err == "", "only the error speaks"


def test_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "empty.mp4"
    path.touch()
    with pytest.raises(InputError, match=r"\(0 bytes\) can't be read as a video"):
        ClipReader(path)


def test_truncated_clip_gives_its_frames_and_a_warning(
    clip: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cut = tmp_path / "cut.avi"
    data = clip.read_bytes()
    cut.write_bytes(data[: len(data) // 2])
    with caplog.at_level(logging.WARNING):
        frames = list(ClipReader(cut))
    assert 5 < len(frames) < FRAMES
    assert f"promises 40 frames and {len(frames)} could be decoded" in caplog.text


def test_clip_cut_off_before_its_first_frame(clip: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.avi"
    cut.write_bytes(clip.read_bytes()[:4096])
    with pytest.raises(InputError, match=r"no frame that can be decoded|can't be read as a video"):
        ClipReader(cut)


def test_a_whole_clip_warns_of_nothing(clip: Path, caplog: pytest.LogCaptureFixture) -> None:
    list(ClipReader(clip))
    assert caplog.text == ""


FULL_DISK = """
import resource, sys
from pathlib import Path
import numpy as np
from d3pose_core.errors import InputError
from d3pose_core.video import ClipWriter

resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))  # files end there, as on a full disk
random = np.random.default_rng(0)
writer = ClipWriter(Path(sys.argv[1]), 30.0, (320, 240))
for _ in range(5):
    writer.write(random.integers(0, 255, (240, 320, 3), np.uint8))
try:
    writer.__exit__(None)
except InputError as error:
    print(error)
"""


def test_a_full_disk_is_noticed(tmp_path):
    """OpenCV says nothing: the clip is looked at when it is done. In a process whose files end early."""
    command = [sys.executable, "-c", FULL_DISK, str(tmp_path / "clip.mp4")]
    said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    assert "clip.mp4: the clip is damaged; is the disk full" in said


@pytest.mark.parametrize("fps", [23.976, 29.97, 59.94, 73.219, 90.1234, 239.7612, 1000.0])
def test_any_cameras_rate_can_be_written(tmp_path: Path, fps: float):
    path = tmp_path / "clip.mp4"
    with ClipWriter(path, fps, (64, 48)) as writer:
        for _ in range(3):
            writer.write(np.zeros((48, 64, 3), np.uint8))
    assert ClipReader(path).fps == pytest.approx(fps, rel=2e-3)
