"""Which landmarks a camera can really see: those in the image that nothing stands before."""

from __future__ import annotations

from enum import IntEnum

import torch
from torch import Tensor

from d3pose_core.skeleton import LANDMARK_NAMES, NUM_LANDMARKS


class Sight(IntEnum):
    """Whether a landmark can really be seen."""

    VISIBLE = 0
    BEHIND_SELF = 1  # behind another part of the body
    BEHIND_OBJECT = 2
    OUTSIDE = 3  # of the image, or behind the camera


# The body as capsules between (means of) landmarks: ends and radius, m. Radii and margins are those
# that agree best with depth buffers of the free body (`tools.measure_landmarks fit` prints how well).
_SIDED_CAPSULES = (
    (("hip", "hip", "hip", "other_hip"), ("shoulder", "shoulder", "other_shoulder"), 0.115),
    (("shoulder",), ("elbow",), 0.08),
    (("elbow",), ("wrist",), 0.036),
    (("wrist",), ("pinky", "index"), 0.03),
    (("hip",), ("knee",), 0.10),
    (("knee",), ("ankle",), 0.063),
    (("heel",), ("foot_index",), 0.027),
)
_MIDDLE_CAPSULES = (
    (("left_hip", "right_hip"), ("left_shoulder", "right_shoulder"), 0.16),
    (("left_ear", "right_ear"), ("mouth_left", "mouth_right"), 0.076),
    (("left_ear", "right_ear"), ("left_eye", "right_eye"), 0.04),
)
# A landmark is hidden by a surface that is nearer than itself by this much: as deep as it lies under
# its own skin, and some more.
_MARGIN_M = {
    "nose": 0.075,
    "left_ear": 0.025,
    "right_ear": 0.025,
    "mouth_left": 0.085,
    "mouth_right": 0.085,
    "shoulder": 0.10,
    "elbow": 0.09,
    "wrist": 0.04,
    "index": 0.065,
    "thumb": 0.075,
    "hip": 0.20,
    "knee": 0.10,
    "ankle": 0.11,
    "heel": 0.075,
    "foot_index": 0.045,
}
_MARGIN_ELSEWHERE_M = 0.055


def _capsules() -> tuple[Tensor, Tensor, Tensor]:
    """Ends [C, 33] twice, as weights of the landmarks, and radii [C]."""

    def weights(names: list[str]) -> Tensor:
        row = torch.zeros(NUM_LANDMARKS)
        for name in names:
            row[LANDMARK_NAMES.index(name)] += 1 / len(names)
        return row

    capsules = [(list(a), list(b), radius) for a, b, radius in _MIDDLE_CAPSULES]
    for side, other in (("left", "right"), ("right", "left")):
        for a, b, radius in _SIDED_CAPSULES:
            ends = [
                [n.replace("other", other) if "other" in n else f"{side}_{n}" for n in e]
                for e in (a, b)
            ]
            capsules.append((ends[0], ends[1], radius))
    starts, ends_, radii = zip(*capsules, strict=True)
    return (
        torch.stack([weights(names) for names in starts]),
        torch.stack([weights(names) for names in ends_]),
        torch.tensor(radii),
    )


_STARTS, _ENDS, _RADII = _capsules()
_MARGIN = torch.tensor(
    [
        _MARGIN_M.get(name, _MARGIN_M.get(name.split("_", 1)[-1], _MARGIN_ELSEWHERE_M))
        for name in LANDMARK_NAMES
    ]
)


def hidden_by_own_body(relative: Tensor) -> Tensor:
    """Which landmarks another part of the body hides, [B, T, 33] bool, from rough geometry.

    Args:
        relative: [B, T, 33, 3] landmarks about the mid-hip, m, seen along +z (as from far away).
    """
    start, axis = _STARTS @ relative, (_ENDS - _STARTS) @ relative  # [B, T, C, 3]
    length = axis[..., :2].square().sum(-1).clamp_min(1e-4)
    # Of every landmark and capsule [B, T, 33, C]; products instead of differences save memory traffic.
    px, py, pz = (relative[..., i, None] for i in range(3))
    sx, sy, sz = (start[..., None, :, i] for i in range(3))
    ax, ay, az = (axis[..., None, :, i] for i in range(3))
    dx, dy = px - sx, py - sy
    along = ((dx * ax + dy * ay) / length[..., None, :]).clamp_(0, 1)
    square = (dx - along * ax).square_() + (dy - along * ay).square_()
    bulge = _RADII.square() - square
    nearest = torch.addcmul(sz, along, az) - bulge.clamp_min(0).sqrt_()
    covers = (bulge > 0) & (nearest < pz - _MARGIN[:, None])
    return covers.any(-1)


def outside_image(rays: Tensor, depth: Tensor, half_size: Tensor) -> Tensor:
    """[B, T, 33] bool: beyond the border, or behind the camera.

    Args:
        rays: [B, T, 33, 2] (x/z, y/z).
        depth: [B, T, 33] m.
        half_size: [B, 2] tangents of half the fields of view.
    """
    return (rays.abs() > half_size[:, None, None]).any(-1) | (depth < 0.05)
