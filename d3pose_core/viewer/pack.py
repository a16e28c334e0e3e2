"""Arrays and scripts for a page in the browser, which has no other files to load."""

from __future__ import annotations

import base64
import gzip
import json
import struct
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np

from d3pose_core.body.load import FREE_BODIES, free_body_arrays
from d3pose_core.overlay import track_color
from d3pose_core.skeleton import JOINT_NAMES, JOINT_PARENTS

# Of a licensed body nothing may be copied into a page; the free ones pose alike, and this one is small.
PAGE_BODY = "free-low"
_FOLDER = Path(__file__).parent
_DTYPES = ("float32", "float64", "int32", "int8", "uint16", "uint8")


def pack(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Named arrays as `unpack` in body.js reads them: header length, JSON header, the arrays' bytes."""
    entries, offset = [], 0
    for name, array in arrays.items():
        if array.dtype.name not in _DTYPES:
            raise ValueError(f"{name} must be one of {', '.join(_DTYPES)}, got {array.dtype}")
        entries.append({"name": name, "dtype": array.dtype.name, "count": array.size})
    # The header's length depends on the offsets in it: it is padded to a fixed size.
    size = _aligned(4 + len(json.dumps(entries)) + 32 * len(entries))
    for entry, array in zip(entries, arrays.values(), strict=True):
        entry["offset"] = size + offset
        offset = _aligned(offset + array.nbytes)
    header = json.dumps(entries).ljust(size - 4).encode()
    parts = [struct.pack("<I", len(header)), header]
    for array in arrays.values():
        data = np.ascontiguousarray(array).tobytes()
        parts.append(data.ljust(_aligned(len(data)), b"\0"))
    return b"".join(parts)


def as_text(data: bytes) -> str:
    """gzipped and in base 64, as `unpackText` in body.js reads it; the same bytes give the same text."""
    return base64.b64encode(gzip.compress(data, mtime=0)).decode("ascii")


@lru_cache(maxsize=1)
def packed_body() -> bytes:
    """PAGE_BODY for `Body` in body.js; pose correctives to 1/127 of the largest, which is 0.1 mm."""
    arrays = free_body_arrays(PAGE_BODY)
    bones = np.argsort(-arrays.weights, axis=1, kind="stable")[:, :6]
    weights = np.take_along_axis(arrays.weights, bones, axis=1)
    weights /= weights.sum(axis=1, keepdims=True)
    regressor = arrays.joint_regressor.astype(np.float64)
    posedirs = arrays.posedirs.reshape(-1, 207).T
    unit = np.abs(posedirs).max() / 127
    parents = [255 if parent < 0 else parent for parent in JOINT_PARENTS]
    return pack(
        {
            "template": arrays.v_template.astype(np.float32),
            "shapedirs": arrays.shapedirs.astype(np.float32),
            "posedirs": np.rint(posedirs / unit).astype(np.int8),
            "posedirs_unit": np.array([unit], np.float32),
            "bone_index": bones.astype(np.uint8),
            "bone_weight": weights.astype(np.float32),
            "joint_template": (regressor @ arrays.v_template).astype(np.float32),
            "joint_shapedirs": np.tensordot(regressor, arrays.shapedirs, 1).astype(np.float32),
            "faces": arrays.faces.astype(np.uint16),
            "parents": np.array(parents, np.uint8),
        }
    )


def can_show(body_model: str) -> bool:
    """Whether PAGE_BODY shows poses and betas of this body as they are."""
    return body_model in FREE_BODIES


def axes_of_frame(frame_id: str) -> str:
    """How a page has to turn positions: "world" (z up) for REP-105's frames and a robot's base.

    Every other frame is taken for a camera's, whose people are in the optical convention, whatever the
    driver calls it.
    """
    name = frame_id.rpartition("/")[2]
    if "optical" in name:  # base_camera_color_optical_frame
        return "optical"
    return "world" if name.startswith(("map", "odom", "world", "earth", "base_")) else "optical"


def asset(name: str) -> str:
    """A script or style sheet of this folder."""
    return (_FOLDER / name).read_text(encoding="utf-8")


def constants() -> dict[str, object]:
    """What the scripts need to know: joint names, bones, colours of track ids (R, G, B, 0..1)."""
    colors = [[c / 255 for c in track_color(i)[::-1]] for i in range(8)]
    bones = [[parent, joint] for joint, parent in enumerate(JOINT_PARENTS) if parent >= 0]
    return {"jointNames": JOINT_NAMES, "bones": bones, "colors": colors}


def _aligned(size: int) -> int:
    """The next multiple of 8: where a number of any type may begin."""
    return (size + 7) // 8 * 8
