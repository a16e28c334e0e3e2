"""Transforms in any order, in circles, from any time, and questions about them."""

from __future__ import annotations

import contextlib
import struct

import numpy as np
from geometry_msgs.msg import Transform

from d3pose_core.errors import D3PoseError
from d3pose_ros.tf_buffer import TransformBuffer
from d3pose_ros.transforms import from_message, to_message
from fuzz.fields import Fields
from fuzz.target import Target

_FRAMES = ("map", "odom", "base_link", "camera", "/camera", "", "body_1", "\N{SNOWMAN}")
_STEP = "<BBBq7d"  # what to do, parent, child, stamp, quaternion, translation
_MOST_STEPS = 60


def seeds() -> list[bytes]:
    def insert(parent: int, child: int, stamp: int, kind: int = 0) -> bytes:
        return struct.pack(_STEP, kind, parent, child, stamp, 0, 0, 0.6, 0.8, 1, 2, 3)

    tree = insert(0, 1, 10**9) + insert(1, 2, 10**9) + insert(2, 3, 10**9, 1)
    later = insert(0, 1, 2 * 10**9) + insert(1, 2, 2 * 10**9)
    ask = struct.pack(_STEP, 2, 0, 3, 15 * 10**8, *[0.0] * 7)
    loop = insert(3, 0, 10**9)
    back = struct.pack(_STEP, 3, 0, 0, 10**9, *[0.0] * 7)
    return [tree + later + ask, tree + loop + ask, later + back + tree + ask]


def run(data: bytes) -> None:
    fields = Fields(data)
    buffer = TransformBuffer()
    for _ in range(_MOST_STEPS):
        if not fields.left:
            break
        kind, parent, child, stamp, *numbers = fields.take(_STEP)
        names = _FRAMES[parent % len(_FRAMES)], _FRAMES[child % len(_FRAMES)]
        # A question that can't be answered is what the node counts; it goes on with the next.
        with contextlib.suppress(D3PoseError), np.errstate(all="ignore"):
            _step(buffer, kind % 4, names, stamp, numbers)


def _step(
    buffer: TransformBuffer, kind: int, names: tuple[str, str], stamp: int, numbers: list[float]
) -> None:
    if kind == 2:
        found = buffer.lookup(*names, stamp)
        assert np.isfinite(found.rotation).all(), found
        assert np.abs(found.rotation @ found.rotation.T - np.eye(3)).max() < 1e-6, found
        to_message(found)
    elif kind == 3:
        buffer.forget_after(stamp)
    else:
        message = Transform()
        rotation, place = message.rotation, message.translation
        rotation.x, rotation.y, rotation.z, rotation.w = numbers[:4]
        place.x, place.y, place.z = numbers[4:]
        buffer.insert(*names, stamp, from_message(message), static=kind == 1)


TARGET = Target(seeds, run, weight=2)
