"""sensor_msgs/Image and CompressedImage -> BGR arrays.

`cv_bridge` does the colour conversions where it is installed; numpy and OpenCV where it is not (it is not
on PyPI). Both give the same pixels. The message's size fields are checked first, by the same code.
"""

from __future__ import annotations

import functools
import logging
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING

import cv2
import numpy as np

from d3pose_ros.compressed import decode
from d3pose_ros.image_error import ImageError

if TYPE_CHECKING:
    from sensor_msgs.msg import CompressedImage, Image

try:
    from cv_bridge import CvBridge
except ImportError:
    CvBridge = None

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Encoding:
    """How one encoding lies in memory and becomes BGR."""

    channels: int  # values per pixel and row; YUV 4:2:2 has 2
    code: int | None  # cv2 colour conversion to BGR; None: it is BGR
    bytes_per_value: int = 1
    extra_rows: float = 0.0  # chroma rows below the image, as a fraction of its height
    column_multiple: int = 1
    row_multiple: int = 1


_ENCODINGS: dict[str, _Encoding] = {
    "bgr8": _Encoding(3, None),
    "8UC3": _Encoding(3, None),  # what OpenCV pipelines publish, in OpenCV's order
    "rgb8": _Encoding(3, cv2.COLOR_RGB2BGR),
    "bgra8": _Encoding(4, cv2.COLOR_BGRA2BGR),
    "rgba8": _Encoding(4, cv2.COLOR_RGBA2BGR),
    "mono8": _Encoding(1, cv2.COLOR_GRAY2BGR),
    "8UC1": _Encoding(1, cv2.COLOR_GRAY2BGR),
    "mono16": _Encoding(1, cv2.COLOR_GRAY2BGR, bytes_per_value=2),
    # ROS names the first pixels of the first two rows, and so do these OpenCV constants.
    "bayer_rggb8": _Encoding(1, cv2.COLOR_BayerRGGB2BGR),
    "bayer_bggr8": _Encoding(1, cv2.COLOR_BayerBGGR2BGR),
    "bayer_gbrg8": _Encoding(1, cv2.COLOR_BayerGBRG2BGR),
    "bayer_grbg8": _Encoding(1, cv2.COLOR_BayerGRBG2BGR),
    # Two names each: sensor_msgs renamed them, drivers use both.
    "yuv422": _Encoding(2, cv2.COLOR_YUV2BGR_UYVY, column_multiple=2),
    "uyvy": _Encoding(2, cv2.COLOR_YUV2BGR_UYVY, column_multiple=2),
    "yuv422_yuy2": _Encoding(2, cv2.COLOR_YUV2BGR_YUY2, column_multiple=2),
    "yuyv": _Encoding(2, cv2.COLOR_YUV2BGR_YUY2, column_multiple=2),
    "nv12": _Encoding(1, cv2.COLOR_YUV2BGR_NV12, extra_rows=0.5, column_multiple=2, row_multiple=2),
    "nv21": _Encoding(1, cv2.COLOR_YUV2BGR_NV21, extra_rows=0.5, column_multiple=2, row_multiple=2),
}
SUPPORTED_ENCODINGS = tuple(_ENCODINGS)

# Encodings that every cv_bridge converts to bgr8. The others are converted here in any case.
_CV_BRIDGE_ENCODINGS = frozenset(
    ("rgb8", "bgra8", "rgba8", "mono8", "mono16", "yuv422", "yuv422_yuy2")
) | {name for name in _ENCODINGS if name.startswith("bayer_")}


@dataclass(frozen=True)
class DecodedImage:
    """A message with its pixels, decoded ahead of their use; or with what is wrong with it."""

    message: Image | CompressedImage
    bgr: np.ndarray | None
    error: Exception | None
    took_s: float

    @classmethod
    def of(cls, message: Image | CompressedImage) -> DecodedImage:
        """Never raises: `pixels` does."""
        began, bgr, error = perf_counter(), None, None
        try:
            bgr = to_bgr(message)
        except Exception as wrong:  # the thread that decodes must go on
            error = wrong
        return cls(message, bgr, error, perf_counter() - began)

    def pixels(self) -> np.ndarray:
        """uint8 [H, W, 3], blue first. Raises what `to_bgr` does."""
        if self.bgr is None:
            assert self.error is not None
            raise self.error
        return self.bgr


def to_bgr(
    message: Image | CompressedImage, bridge: Callable[[Image], np.ndarray] | None = None
) -> np.ndarray:
    """The image as uint8 [H, W, 3], blue first; a bgr8 image is a view into the message.

    Args:
        message: any image in one of `SUPPORTED_ENCODINGS`, with or without padded rows, or a JPEG or PNG.
        bridge: converts an image to BGR; by default cv_bridge where it is installed.

    Raises:
        ImageError: an empty image, an encoding that is not supported, or less data than the header says.
    """
    if hasattr(message, "format"):  # by its fields: messages out of bags have classes of their own
        pixels, name = decode(message)
        code = _ENCODINGS[name].code if name in _ENCODINGS else cv2.COLOR_GRAY2BGR
        return pixels if code is None else cv2.cvtColor(pixels, code)
    rows = _rows(message)
    encoding = _ENCODINGS[message.encoding]
    if encoding.code is None:
        return np.ascontiguousarray(rows).reshape(message.height, message.width, 3)
    bridge = bridge or _working(CvBridge)
    if bridge is not None and message.encoding in _CV_BRIDGE_ENCODINGS:
        return bridge(message)
    if encoding.bytes_per_value == 2:
        values = np.ascontiguousarray(rows).view(">u2" if message.is_bigendian else "<u2")
        # 65535 / 255 = 257: the whole 16-bit range becomes the whole 8-bit range.
        rows = np.round(values.astype(np.float32) / 257).astype(np.uint8)
    shape = (rows.shape[0], message.width, encoding.channels)
    pixels = np.ascontiguousarray(rows).reshape(shape[:2] if encoding.channels == 1 else shape)
    return cv2.cvtColor(pixels, encoding.code)


def _rows(message: Image) -> np.ndarray:
    """The rows of the image without padding, uint8 [rows, bytes per row], after all checks."""
    size = f"{message.width}x{message.height}"
    encoding = _ENCODINGS.get(message.encoding)
    if message.width == 0 or message.height == 0 or len(message.data) == 0:
        raise ImageError(
            "empty_image",
            f"got an empty image: {size}, encoding {message.encoding!r}, {len(message.data)} bytes; "
            "check the camera driver",
        )
    if encoding is None:
        raise ImageError(
            "unsupported_encoding",
            f"got an image with encoding {message.encoding!r}; supported are "
            f"{', '.join(SUPPORTED_ENCODINGS)}. Set the driver's pixel format, or convert with image_proc",
        )
    if message.width % encoding.column_multiple or message.height % encoding.row_multiple:
        raise ImageError(
            "malformed_image", f"got {message.encoding} of {size}: that encoding needs even sizes"
        )
    row_bytes = message.width * encoding.channels * encoding.bytes_per_value
    if message.step < row_bytes:
        raise ImageError(
            "malformed_image",
            f"got step {message.step}, but a row of {message.width} {message.encoding} pixels has "
            f"{row_bytes} bytes",
        )
    row_count = int(message.height * (1 + encoding.extra_rows))
    if len(message.data) < row_count * message.step:
        raise ImageError(
            "malformed_image",
            f"got {len(message.data)} bytes of data, but {size} {message.encoding} with step "
            f"{message.step} has {row_count * message.step}: the image is cut off",
        )
    data = np.frombuffer(message.data, np.uint8, count=row_count * message.step)
    return data.reshape(row_count, message.step)[:, :row_bytes]


@functools.cache
def _working(bridge_class: type | None) -> Callable[[Image], np.ndarray] | None:
    """Conversion by cv_bridge, if it converts: one built for another OpenCV or numpy fails in use only."""
    if bridge_class is None:
        return None
    from sensor_msgs.msg import Image

    bridge = bridge_class()
    trial = Image(height=1, width=1, encoding="rgb8", step=3, data=array("B", (1, 2, 3)))
    try:
        converted = bridge.imgmsg_to_cv2(trial, desired_encoding="bgr8")
        if converted.tolist() != [[[3, 2, 1]]]:
            raise ValueError(f"the colour 1, 2, 3 became {converted.tolist()}")
    except Exception as error:  # whatever a broken installation raises
        logger.warning(
            "cv_bridge is installed but does not work (%s: %s); images are converted without it. It has to "
            "be built for the numpy and OpenCV that are installed",
            type(error).__name__,
            error,
        )
        return None
    return lambda message: bridge.imgmsg_to_cv2(message, desired_encoding="bgr8")
