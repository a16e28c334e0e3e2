"""sensor_msgs/CompressedImage -> pixels: the JPEG and PNG of `compressed_image_transport`.

`format` is "ORIGINAL; CODEC compressed STORED", e.g. "bgr8; jpeg compressed bgr8": ORIGINAL is the encoding
of the raw image, STORED the order in which the codec was given its channels. Drivers also write just
"jpeg", or nothing. The codec is recognised by the data, which cannot be wrong about it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from d3pose_ros.image_error import ImageError

if TYPE_CHECKING:
    from sensor_msgs.msg import CompressedImage

_JPEG_START, _JPEG_SCAN, _JPEG_END = b"\xff\xd8\xff", b"\xff\xda", b"\xff\xd9"
_PNG_START, _PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND"
# Twice an 8K picture. A small file may claim, and hold, far more pixels than there is memory for.
MAX_PIXELS = 2**26
# A progressive JPEG goes over all its pixels again in each scan. About ten are usual; a file of some kB may
# have thousands.
_MOST_SCANNED = 16 * MAX_PIXELS
_DEPTH_ENCODINGS = ("16UC1", "32FC1")
# A picture's orientation tag turns it away from what camera_info describes; pixels stay where they are.
_COLOUR = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
_AS_STORED = cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION


def decode(message: CompressedImage) -> tuple[np.ndarray, str]:
    """The pixels, uint8, and their encoding as in sensor_msgs/Image.

    That is [H, W, 3] "bgr8", or [H, W] "bayer_..." where a camera's mosaic was compressed as it is.

    Raises:
        ImageError: no data, another codec, or data that is damaged or cut off.
    """
    data = bytes(message.data)
    if not data:
        raise ImageError("empty_image", "got a compressed image without data; check the driver")
    original, _, stored = message.format.partition(";")
    if original.strip() in _DEPTH_ENCODINGS:
        raise ImageError(
            "unsupported_encoding",
            f"got a compressed depth image, of format {message.format!r}, where pictures are wanted: remap "
            "image to the colour camera's topic",
        )
    _check_complete(data, message.format)
    _check_size(data, message.format)
    is_mosaic = original.strip().startswith("bayer_")
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), _AS_STORED if is_mosaic else _COLOUR)
    except cv2.error as error:  # e.g. a header that promises more pixels than OpenCV allows
        raise _damaged(data, message.format, error.err) from error
    if image is None:
        raise _damaged(data, message.format, "it cannot be decoded")
    if image.dtype == np.uint16:
        image = (image // 257).astype(np.uint8)
    if is_mosaic and image.ndim == 2:
        return image, original.strip().rstrip("0123456789") + "8"
    image = image[..., :3]
    if "compressed rgb" in stored:
        image = image[..., ::-1]  # the codec took the first channel, red, for blue
    return np.ascontiguousarray(image), "bgr8"


def _check_complete(data: bytes, form: str) -> None:
    """Decoders fill what is missing at the end with grey and say nothing."""
    if data.startswith(_JPEG_START):
        # A thumbnail in the header has an end of its own, before the picture's scan.
        complete = data.rfind(_JPEG_END) > data.rfind(_JPEG_SCAN)
    elif data.startswith(_PNG_START):
        complete = data.rfind(_PNG_END) >= 0
    else:
        raise ImageError(
            "unsupported_encoding",
            f"got a compressed image of format {form!r} that is neither JPEG nor PNG (it begins with "
            f"{data[:4]!r}): publish it with image_transport's `compressed`",
        )
    if not complete:
        raise _damaged(data, form, "its end is missing")


def _check_size(data: bytes, form: str) -> None:
    """By the header, before anything is decoded."""
    width, height = _png_size(data) if data.startswith(_PNG_START) else _jpeg_size(data)
    if width * height > MAX_PIXELS:
        raise _damaged(data, form, f"its header claims {width}x{height} pixels")
    scans = data.count(_JPEG_SCAN) if data.startswith(_JPEG_START) else 1
    if scans * width * height > _MOST_SCANNED:
        raise _damaged(data, form, f"it goes over its {width}x{height} pixels {scans} times")


def _png_size(data: bytes) -> tuple[int, int]:
    """Width and height, px, which the first chunk begins with."""
    size = data[16:24]
    return int.from_bytes(size[:4], "big"), int.from_bytes(size[4:], "big")


def _jpeg_size(data: bytes) -> tuple[int, int]:
    """Width and height, px, of the frame header; (0, 0) without one, which is left to the decoder."""
    position = 2
    while (position := data.find(b"\xff", position)) >= 0 and position + 9 <= len(data):
        marker = data[position + 1]
        if marker == 0xFF:  # padding
            position += 1
        elif marker in (0x00, 0x01) or 0xD0 <= marker <= 0xD9:  # they have nothing after them
            position += 2
        elif marker == 0xDA:  # the picture begins
            break
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = data[position + 5 : position + 7], data[position + 7 : position + 9]
            return int.from_bytes(width, "big"), int.from_bytes(height, "big")
        else:
            position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return 0, 0


def _damaged(data: bytes, form: str, reason: str) -> ImageError:
    return ImageError(
        "malformed_image",
        f"got a damaged compressed image of format {form!r} with {len(data)} bytes: {reason}",
    )
