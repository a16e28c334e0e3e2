"""sensor_msgs/CompressedImage: JPEG and PNG data, damaged, cut off, or far larger than they look."""

from __future__ import annotations

import array
import struct
import zlib

import cv2
import numpy as np
from sensor_msgs.msg import CompressedImage

from d3pose_ros.images import to_bgr
from fuzz.fields import Fields, text
from fuzz.target import Target

_PNG = b"\x89PNG\r\n\x1a\n"
_FORMATS = (
    "bgr8; jpeg compressed bgr8",
    "rgb8; png compressed rgb8",
    "bayer_rggb8; png compressed mono8",
    "mono16; png compressed ",
    "jpeg",
    "",
)


def seeds() -> list[bytes]:
    """Small pictures of every kind that the decoder tells apart."""
    rng = np.random.default_rng(0)
    colour = rng.integers(0, 256, (12, 16, 3), np.uint8)
    pictures = [
        (".jpg", colour, []),
        (".jpg", colour, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]),
        (".jpg", colour[..., 0], []),
        (".png", colour, []),
        (".png", colour[..., 0], []),
        (".png", rng.integers(0, 65536, (6, 8), np.uint16), []),
        (".png", rng.integers(0, 256, (6, 8, 4), np.uint8), []),
    ]
    inputs = []
    for number, (suffix, picture, options) in enumerate(pictures):
        _, data = cv2.imencode(suffix, picture, options)
        inputs.append(b"\1" + text(_FORMATS[number % len(_FORMATS)]) + data.tobytes())
    # A header that promises what nobody can hold.
    huge = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    inputs.append(b"\1" + text("png") + _png([(b"IHDR", huge), (b"IDAT", b""), (b"IEND", b"")]))
    return inputs


def _png(chunks: list[tuple[bytes, bytes]]) -> bytes:
    parts = [_PNG]
    for kind, content in chunks:
        crc = zlib.crc32(kind + content)
        parts.append(struct.pack(">I", len(content)) + kind + content + struct.pack(">I", crc))
    return b"".join(parts)


def with_checksums(data: bytes) -> bytes:
    """A PNG whose checksums are right again: a wrong one would keep every change from the decoder."""
    if not data.startswith(_PNG):
        return data
    chunks, at = [], len(_PNG)
    while at + 8 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    return _png(chunks)


def run(data: bytes) -> None:
    fields = Fields(data)
    mend = fields.number() % 2
    message = CompressedImage(format=fields.text())
    content = fields.rest()
    message.data = array.array("B", with_checksums(content) if mend else content)
    image = to_bgr(message)
    assert image.dtype == np.uint8, image.dtype
    assert image.shape[2:] == (3,), image.shape


TARGET = Target(
    seeds,
    run,
    (
        b"\xff\xd8\xff",
        b"\xff\xd9",
        b"\xff\xda",
        b"\xff\xc0",
        b"\xff\xc2",
        b"IHDR",
        b"IDAT",
        b"IEND",
        b"PLTE",
        b"tRNS",
        b"acTL",
        b"eXIf",
        b"bayer_",
        b"compressed rgb",
        b"\xff\xff",
    ),
    weight=3,
)
