"""Clips in: frames with their index and time, or what is wrong with the file. Clips out: mp4."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

# FFmpeg writes its own complaints on a damaged file straight to stderr, beside our one-line error.
# The variable is read once, when OpenCV first opens a clip; a value set by the user stays.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

import cv2
import numpy as np

from d3pose_core.camera import Intrinsics
from d3pose_core.errors import InputError

logger = logging.getLogger(__name__)

# Containers estimate their frame count; so few frames less than promised are rounding, not damage.
COUNT_TOLERANCE = 2
FALLBACK_FPS = 30.0
# H.264 plays everywhere, but few builds of OpenCV can encode it; MPEG-4 part 2 is in all of them.
CODECS = ("avc1", "mp4v")


@contextmanager
def quiet_opencv() -> Iterator[None]:
    """Keep OpenCV's own log off stderr while something is tried whose failure we report."""
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(level)


@dataclass(frozen=True)
class Frame:
    """One decoded frame. `time_s` counts from the clip's start and increases strictly."""

    index: int
    time_s: float
    image: np.ndarray  # uint8 [H, W, 3], BGR


class FrameSource(Protocol):
    """Frames of one size and where they come from: a clip, or the images of a bag."""

    fps: float

    def __iter__(self) -> Iterator[Frame]: ...


@dataclass(frozen=True)
class View:
    """A part of the picture at another size.

    `crop` (x, y, width, height), clip px, is cut out and brought to `size` (width, height), px.
    None leaves that be.

    Raises:
        InputError: a crop or size that is empty or negative.
    """

    crop: tuple[int, int, int, int] | None = None
    size: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if self.crop is not None and not (
            len(self.crop) == 4 and min(self.crop[:2]) >= 0 and min(self.crop[2:]) > 0
        ):
            raise InputError(
                "crop must be x, y, width, height with x, y >= 0 and a positive size, "
                f"got {self.crop}"
            )
        if self.size is not None and not (len(self.size) == 2 and min(self.size) > 0):
            raise InputError(f"size must be a positive width, height, got {self.size}")

    def output_size(self, width: int, height: int) -> tuple[int, int]:
        """(width, height) of the result, px; InputError if the crop leaves the picture."""
        if self.crop is None:
            return self.size or (width, height)
        x, y, crop_width, crop_height = self.crop
        if x + crop_width > width or y + crop_height > height:
            raise InputError(
                f"the crop {self.crop} (x, y, width, height) leaves the picture, which is "
                f"{width} x {height}"
            )
        return self.size or (crop_width, crop_height)

    def apply(self, image: np.ndarray) -> np.ndarray:
        """Image [H, W, 3] -> the cropped and resized image."""
        if self.crop is not None:
            x, y, width, height = self.crop
            image = np.ascontiguousarray(image[y : y + height, x : x + width])
        if self.size is not None and self.size != (image.shape[1], image.shape[0]):
            shrinks = self.size[0] < image.shape[1]
            interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
            image = cv2.resize(image, self.size, interpolation=interpolation)
        return image

    def intrinsics(self, source: Intrinsics) -> Intrinsics:
        """The camera that took the view, given the one that took the whole picture."""
        x, y, crop_width, crop_height = self.crop or (0, 0, source.width, source.height)
        width, height = self.output_size(source.width, source.height)
        scale_x, scale_y = width / crop_width, height / crop_height
        return replace(
            source,
            fx=source.fx * scale_x,
            fy=source.fy * scale_y,
            # Pixel centres are at whole numbers: the edge, which the scaling keeps, is at -0.5.
            cx=(source.cx - x + 0.5) * scale_x - 0.5,
            cy=(source.cy - y + 0.5) * scale_y - 0.5,
            width=width,
            height=height,
        )


class ClipReader:
    """Frames of a clip from its start; iterate as often as you like (each opens the file anew).

    Attributes:
        width, height: of the frames delivered (after `view`), px.
        source_size: (width, height) of the clip itself, px.
        fps: frames per second as the container says, or 30 with a warning when that is not sane.
        frame_count: frames the container promises, at most `max_frames`; an estimate (0: unknown).
        frames_read: number of frames the last complete iteration delivered.

    Raises:
        InputError: no such file, not a video, cut off before its first frame, or a crop that leaves
            the picture.
    """

    def __init__(
        self, path: str | Path, view: View | None = None, max_frames: int | None = None
    ) -> None:
        self.path = Path(path)
        self.view = view or View()
        if max_frames is not None and max_frames < 1:
            raise InputError(f"max_frames must be at least 1, got {max_frames}")
        self.max_frames = max_frames
        self.frames_read = 0

        capture = self._open()
        fps = capture.get(cv2.CAP_PROP_FPS)
        promised = capture.get(cv2.CAP_PROP_FRAME_COUNT)
        decoded, image = capture.read()
        capture.release()
        if not decoded:
            raise InputError(
                f"{self.path} has no frame that can be decoded: it is empty, cut off, or its codec "
                "is unknown; play it, or convert it with `ffmpeg -i CLIP -c:v mjpeg clip.avi`"
            )
        # The size of a decoded frame counts, not the header's: OpenCV heeds the rotation tag.
        self.source_size = (image.shape[1], image.shape[0])
        self.width, self.height = self.view.output_size(*self.source_size)
        self.fps = fps
        if not (math.isfinite(fps) and 1.0 <= fps <= 1000.0):
            logger.warning("%s says %s frames/s; taking %s", self.path, fps, FALLBACK_FPS)
            self.fps = FALLBACK_FPS
        self._promised = int(promised) if math.isfinite(promised) and promised > 0 else 0
        self.frame_count = min(self._promised, max_frames) if max_frames else self._promised

    def _open(self) -> cv2.VideoCapture:
        if not self.path.exists():
            raise InputError(f"no such clip: {self.path}; give the path of a video file")
        if not self.path.is_file():
            raise InputError(f"{self.path} is not a file; give the path of a video file")
        if _is_playlist(self.path):
            raise InputError(
                f"{self.path} ({self.path.stat().st_size} bytes) can't be read as a video: it is a text, "
                "such as a playlist, which would have other files opened; give the path of a video file"
            )
        try:
            # FFmpeg alone: OpenCV's other backends take a name with digits for a picture sequence.
            with quiet_opencv():
                capture = cv2.VideoCapture(str(self.path), cv2.CAP_FFMPEG)
        except cv2.error as error:
            raise InputError(f"OpenCV can't open {self.path}: {error}") from error
        if not capture.isOpened():
            raise InputError(
                f"{self.path} ({self.path.stat().st_size} bytes) can't be read as a video: it is "
                "another kind of file, or cut off before its index; play it, or copy it again"
            )
        return capture

    def __iter__(self) -> Iterator[Frame]:
        capture = self._open()
        index, time_s = 0, -1.0 / self.fps
        try:
            while self.max_frames is None or index < self.max_frames:
                decoded, image = capture.read()
                if not decoded:
                    self._warn_if_short(index)
                    break
                time_s = self._time_after(time_s, capture.get(cv2.CAP_PROP_POS_MSEC) / 1000)
                yield Frame(index, time_s, self.view.apply(image))
                index += 1
        finally:
            capture.release()
        self.frames_read = index

    def _time_after(self, previous_s: float, container_s: float) -> float:
        """The container's time if it moves on from the previous frame's, else one period later."""
        if math.isfinite(container_s) and container_s >= 0 and container_s > previous_s:
            return container_s
        return previous_s + 1 / self.fps

    def _warn_if_short(self, decoded: int) -> None:
        if self._promised - decoded > COUNT_TOLERANCE:
            logger.warning(
                "%s is cut off or damaged: it promises %d frames and %d could be decoded; "
                "going on with those",
                self.path,
                self._promised,
                decoded,
            )


def _is_playlist(path: Path) -> bool:
    """Whether a file begins as a text: FFmpeg follows the names in playlists to any file."""
    with path.open("rb") as file:
        start = file.read(12)
    is_text = bool(start) and all(byte in b"\t\r\n" or 32 <= byte < 127 for byte in start)
    return is_text and not start.startswith((b"RIFF", b"YUV4MPEG2"))  # of AVI and raw video


# OpenCV writes a rate as a fraction of whole numbers, to 0.001, and MPEG-4 takes none over 65535.
_FINEST_RATE = 65.0


class ClipWriter:
    """Writes an mp4, in H.264 where the installed OpenCV can and in MPEG-4 part 2 (mp4v) else.

    Use as a context manager; the file is complete when the block ends.

    Raises:
        InputError: the file can't be written, also when the block ends (a full disk), or a frame has
            another size than the first.
    """

    def __init__(self, path: str | Path, fps: float, size: tuple[int, int]) -> None:
        """`size` (width, height), px; both must be even, as the codecs want it. Rates over 65 are rounded."""
        if size[0] % 2 or size[1] % 2:
            raise InputError(f"a clip's width and height must be even, got {size[0]} x {size[1]}")
        self.path = Path(path)
        self.size = size
        self._written = 0
        if fps > _FINEST_RATE:
            fps = round(fps, 1)
        for codec in CODECS:
            with quiet_opencv():
                fourcc = cv2.VideoWriter.fourcc(*codec)
                self._writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, fourcc, fps, size)
            if self._writer.isOpened():
                self.codec = codec
                return
        raise InputError(
            f"can't write {path}: OpenCV {cv2.__version__} opens no encoder of {', '.join(CODECS)} "
            "there; check that the folder exists and can be written to"
        )

    def write(self, image: np.ndarray) -> None:
        """Append one frame, uint8 [H, W, 3] BGR."""
        if image.shape != (self.size[1], self.size[0], 3):
            raise InputError(
                f"{self.path} takes frames of {self.size[0]} x {self.size[1]}, "
                f"got an image of shape {list(image.shape)}"
            )
        self._writer.write(image)
        self._written += 1

    def __enter__(self) -> ClipWriter:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._writer.release()
        if kind is None and self._written and not self._can_be_read():
            raise InputError(f"can't write {self.path}: the clip is damaged; is the disk full?")

    def _can_be_read(self) -> bool:
        """OpenCV says nothing when a file cannot be written, and an mp4's index comes at its end."""
        with quiet_opencv():
            clip = cv2.VideoCapture(str(self.path), cv2.CAP_FFMPEG)
            try:
                return bool(clip.read()[0]) and (
                    round(clip.get(cv2.CAP_PROP_FRAME_COUNT)) >= self._written - COUNT_TOLERANCE
                )
            finally:
                clip.release()
