"""Depth images (REP-118) that belong to colour images by their stamps; none is waited for."""

from __future__ import annotations

import threading
from collections import deque

import numpy as np
from sensor_msgs.msg import Image

from d3pose_core.depth import DepthImage
from d3pose_ros.image_error import ImageError

# A colour image is worked on while newer depth images come in: so much of the past is kept.
_BUFFER_S, _BUFFER_LENGTH = 1.0, 30

# Type of the values without byte order, and what a value of 1 means in metres.
_ENCODINGS = {"16UC1": ("u2", 1e-3), "mono16": ("u2", 1e-3), "32FC1": ("f4", 1.0)}


class DepthBuffer:
    """The depth images of the last second. `add` may come from another thread than the rest."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._images: deque[tuple[int, Image]] = deque(maxlen=_BUFFER_LENGTH)

    def add(self, image: Image) -> None:
        """Keeps the image. Stamps that go back start afresh: a bag that is played again."""
        stamp_ns = _nanoseconds(image)
        with self._lock:
            newest = self._images[-1][0] if self._images else stamp_ns
            if abs(stamp_ns - newest) > _BUFFER_S * 1e9:
                self._images.clear()
            self._images.append((stamp_ns, image))
            while stamp_ns - self._images[0][0] > _BUFFER_S * 1e9:
                self._images.popleft()

    def clear(self) -> None:
        """Forgets all."""
        with self._lock:
            self._images.clear()

    def nearest(self, stamp_ns: int, tolerance_s: float) -> Image | None:
        """The image of the same moment, or the nearest in time within the tolerance."""
        with self._lock:
            images = list(self._images)
        found = min(images, key=lambda pair: abs(pair[0] - stamp_ns), default=None)
        if found is None or abs(found[0] - stamp_ns) > tolerance_s * 1e9:
            return None
        return found[1]


def to_depth(message: Image) -> DepthImage:
    """The depth image in a message, as a view into it.

    Raises:
        ImageError: not 16UC1 (mm) or 32FC1 (m), or less data than the header says.
    """
    if message.encoding not in _ENCODINGS:
        raise ImageError(
            "unsupported_encoding",
            f"got a depth image with encoding {message.encoding!r}; supported are 16UC1 (mm) and 32FC1 (m), "
            "as in REP-118",
        )
    kind, unit_m = _ENCODINGS[message.encoding]
    dtype = np.dtype(kind).newbyteorder(">" if message.is_bigendian else "<")
    width, height, step = message.width, message.height, message.step
    if not (width and height) or step < width * dtype.itemsize or step % dtype.itemsize:
        raise ImageError(
            "malformed_image",
            f"got a depth image of {width}x{height} {message.encoding} with step {step}",
        )
    if len(message.data) < step * height:
        raise ImageError(
            "malformed_image",
            f"got a depth image with {len(message.data)} bytes, but {width}x{height} with step {step} has "
            f"{step * height}: it is cut off",
        )
    values = np.frombuffer(message.data, dtype, count=height * step // dtype.itemsize)
    return DepthImage(values.reshape(height, -1)[:, :width], unit_m)


def _nanoseconds(image: Image) -> int:
    return image.header.stamp.sec * 10**9 + image.header.stamp.nanosec
