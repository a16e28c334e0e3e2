"""sensor_msgs/Image: sizes, encodings and data that do not fit each other."""

from __future__ import annotations

import array
import struct

import numpy as np
from sensor_msgs.msg import Image

from d3pose_ros.images import SUPPORTED_ENCODINGS, to_bgr
from fuzz.fields import Fields
from fuzz.target import Target

_HEADER = "<BIIIB"  # encoding, width, height, step, big-endian
_OTHER = len(SUPPORTED_ENCODINGS)  # and above: a text of any kind


def seeds() -> list[bytes]:
    """A small image of every encoding, and one of none."""
    inputs = []
    for number, encoding in enumerate(SUPPORTED_ENCODINGS):
        width, height, step = 6, 4, 6 * 8
        data = bytes(range(256)) * 2
        inputs.append(struct.pack(_HEADER, number, width, height, step, 0) + data[: step * 6])
        assert encoding
    inputs.append(struct.pack(_HEADER, _OTHER, 4, 4, 12, 0) + b"\x05rgb16" + bytes(48))
    return inputs


def message_of(data: bytes) -> Image:
    """The message in an input."""
    fields = Fields(data)
    number, width, height, step, bigendian = fields.take(_HEADER)
    encoding = SUPPORTED_ENCODINGS[number] if number < _OTHER else fields.text()
    message = Image(encoding=encoding, width=width, height=height, step=step)
    message.is_bigendian = bigendian
    message.data = array.array("B", fields.rest())
    return message


def run(data: bytes) -> None:
    message = message_of(data)
    image = to_bgr(message)
    assert image.dtype == np.uint8, image.dtype
    assert image.shape == (message.height, message.width, 3), image.shape


TARGET = Target(seeds, run, tuple(name.encode() for name in SUPPORTED_ENCODINGS), weight=3)
