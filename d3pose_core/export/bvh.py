"""BVH: the SMPL skeleton as a hierarchy of offsets, then one line of Euler angles a frame.

The root has the channels `Xposition Yposition Zposition` and every joint `Zrotation Xrotation Yrotation`
(degrees): a joint's rotation is Rz @ Rx @ Ry, the usual order of motion-capture files. The root's offset
is zero, so that its position channels are the position of the pelvis. All joints rest unrotated in the
T-pose. A BVH file says neither its unit nor its frame; the first is an option here (centimetres unless
told otherwise), the second the caller's.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import roma
import torch

from d3pose_core.errors import InputError
from d3pose_core.export.track import MotionTrack
from d3pose_core.recording import atomic_path
from d3pose_core.skeleton import JOINT_NAMES, JOINT_PARENTS, NUM_JOINTS

EULER_ORDER = "ZXY"
UNITS_PER_METRE = {"cm": 100.0, "m": 1.0}
_ROTATION_CHANNELS = " ".join(f"{axis}rotation" for axis in EULER_ORDER)
# A leaf's end site carries no motion: it only prolongs the last bone, by this share of its length.
_END_SITE = 0.5


def write_bvh(
    track: MotionTrack, rest_joints: np.ndarray, rate_hz: float, path: Path, unit: str = "cm"
) -> None:
    """Write the motion at an even rate.

    Args:
        rest_joints: [24, 3] m, of the person's unposed body.
        unit: of lengths, "cm" or "m".

    Raises:
        InputError: unknown unit, or the file can't be written.
    """
    if unit not in UNITS_PER_METRE:
        raise InputError(f"unit must be one of {', '.join(UNITS_PER_METRE)}, got {unit!r}")
    scale = UNITS_PER_METRE[unit]
    even = track.resampled(rate_hz)
    order = _file_order()
    angles = roma.rotmat_to_euler(EULER_ORDER, torch.from_numpy(even.rotations), degrees=True)
    # Without jumps of a full turn, so that tools may interpolate.
    angles = np.unwrap(angles.numpy(), axis=0, period=360.0)[:, order]
    frames = np.concatenate([even.pelvis * scale, angles.reshape(len(angles), -1)], 1)

    with atomic_path(path) as partial, open(partial, "w", encoding="ascii") as file:
        file.write("HIERARCHY\n")
        file.writelines(_joint_lines(0, rest_joints * scale, ""))
        file.write(f"MOTION\nFrames: {len(frames)}\nFrame Time: {1 / rate_hz:.9f}\n")
        np.savetxt(file, frames, fmt="%.6f")


def _children(joint: int) -> list[int]:
    return [child for child in range(NUM_JOINTS) if JOINT_PARENTS[child] == joint]


def _file_order(joint: int = 0) -> list[int]:
    """The joints depth first, as a BVH file nests them."""
    return [joint, *(below for child in _children(joint) for below in _file_order(child))]


def _joint_lines(joint: int, rest: np.ndarray, indent: str) -> Iterator[str]:
    """The block of a joint and all that hangs on it; `rest` [24, 3] in the unit of the file."""
    parent = JOINT_PARENTS[joint]
    bone = rest[joint] - rest[parent] if parent >= 0 else np.zeros(3)
    yield f"{indent}{'JOINT' if parent >= 0 else 'ROOT'} {JOINT_NAMES[joint]}\n{indent}{{\n"
    inside = indent + "  "
    yield f"{inside}OFFSET {_numbers(bone)}\n"
    if parent >= 0:
        yield f"{inside}CHANNELS 3 {_ROTATION_CHANNELS}\n"
    else:
        yield f"{inside}CHANNELS 6 Xposition Yposition Zposition {_ROTATION_CHANNELS}\n"
    for child in _children(joint):
        yield from _joint_lines(child, rest, inside)
    if not _children(joint):
        yield f"{inside}End Site\n{inside}{{\n{inside}  OFFSET {_numbers(_END_SITE * bone)}\n{inside}}}\n"
    yield f"{indent}}}\n"


def _numbers(values: np.ndarray) -> str:
    return " ".join(f"{value:.6f}" for value in values)
