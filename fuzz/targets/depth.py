"""Depth images, and what is read off them at any pixels."""

from __future__ import annotations

import array
import struct

import numpy as np
from sensor_msgs.msg import Image

from d3pose_core.camera import Intrinsics
from d3pose_ros.depth_input import DepthBuffer, to_depth
from fuzz.fields import Fields
from fuzz.target import Target

_HEADER = "<BIIIBiI"  # encoding, width, height, step, big-endian, seconds, nanoseconds
_ENCODINGS = ("16UC1", "mono16", "32FC1", "8UC1", "")
_CAMERA = Intrinsics.from_hfov(60, 64, 48)
_PIXELS = np.array([[0.0, 0.0], [63.4, 47.4], [-1.0, 5.0], [1e30, 3.0], [np.nan, 1.0]])


def seeds() -> list[bytes]:
    data = bytes(range(256)) * 4
    return [
        struct.pack(_HEADER, number, 8, 6, 8 * size, 0, 100 + number, 5) + data[: 48 * size]
        for number, size in enumerate((2, 2, 4, 1))
    ]


def run(data: bytes) -> None:
    fields = Fields(data)
    number, width, height, step, bigendian, seconds, nanoseconds = fields.take(_HEADER)
    encoding = _ENCODINGS[number % len(_ENCODINGS)]
    message = Image(encoding=encoding, width=width, height=height, step=step)
    message.is_bigendian = bigendian
    message.header.stamp.sec, message.header.stamp.nanosec = seconds, nanoseconds
    message.data = array.array("B", fields.rest())
    buffer = DepthBuffer()
    buffer.add(message)
    buffer.add(message)
    assert buffer.nearest(seconds * 10**9 + nanoseconds, 0.0) is message
    depth = to_depth(message)
    values = depth.at(_PIXELS, _CAMERA)
    assert values.shape == (len(_PIXELS),)
    assert not np.isinf(values).any()


TARGET = Target(seeds, run, weight=3)
