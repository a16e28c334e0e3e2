"""What a clip must keep to; those that don't are thrown away and made again."""

from __future__ import annotations

import numpy as np

from d3pose_core.data.motions import SHARD_FPS
from tools.make_motions import limits
from tools.make_motions.clip import Clip
from tools.make_motions.geometry import segment_distance
from tools.make_motions.rig import J, rig
from tools.make_motions.rotations import matrix

SINKS_M = 0.045  # the skin's points, whose bulges `Rig.skin_points` leaves out
FLOATS_M = 0.06
SLIDES_M = 0.01  # a planted foot, in all
OUTSIDE_DEG = 10.0  # beyond the limits
FASTEST_M_S = 9.0  # of any joint
HARDEST_M_S2 = 140.0  # acceleration of any joint
OVERLAP_M = 0.035  # of two limbs, for longer than a moment
_MOMENT = 0.03  # share of the frames

# Limbs as capsules: first and last joint, how far beyond it, radius m.
_LIMBS = {
    f"{side} {name}": (J[f"{side}_{first}"], J[f"{side}_{last}"], beyond, radius)
    for side in ("left", "right")
    for name, first, last, beyond, radius in (
        ("upper arm", "shoulder", "elbow", 1.0, 0.04),
        ("forearm", "elbow", "wrist", 1.0, 0.032),
        ("hand", "wrist", "hand", 1.8, 0.02),
        ("thigh", "hip", "knee", 1.0, 0.065),
        ("shank", "knee", "ankle", 1.0, 0.05),
        ("foot", "ankle", "foot", 1.3, 0.04),
    )
}
_LIMBS |= {
    "trunk": (J["spine1"], J["neck"], 0.8, 0.10),
    "head": (J["neck"], J["head"], 2.6, 0.085),
}
_ARM, _LEG = ("forearm", "hand"), ("thigh", "shank", "foot")
_PAIRS = [
    *((f"{s} {a}", other) for s in ("left", "right") for a in _ARM for other in ("trunk", "head")),
    *((f"{s} upper arm", "head") for s in ("left", "right")),
    *(
        (f"{s} {a}", f"{t} {b}")
        for s in ("left", "right")
        for a in _ARM
        for t in ("left", "right")
        for b in _LEG
    ),
    *((f"left {a}", f"right {b}") for a in (*_ARM, "upper arm") for b in _ARM),
    *((f"left {a}", f"right {b}") for a in _LEG for b in _LEG if "thigh" not in (a, b) or a != b),
    *((f"{s} {a}", "trunk") for s in ("left", "right") for a in ("shank", "foot")),
]


def faults(clip: Clip) -> dict[str, float]:
    """The rules that a clip breaks, and how far it goes; empty for a good clip."""
    world, joints = rig().pose(matrix(clip.pose), clip.root)
    lowest = rig().skin_points(world, joints)[..., 1].min(1)
    velocity = np.diff(joints, axis=0) * SHARD_FPS
    acceleration = np.diff(velocity, axis=0) * SHARD_FPS
    found = {
        "outside the limits, deg": (np.degrees(limits.beyond(clip.pose).max()), OUTSIDE_DEG),
        "sinks, m": (-lowest.min(), SINKS_M),
        "floats, m": (lowest.max(), FLOATS_M),
        "slides, m": (slide(clip, joints), SLIDES_M),
        "speed, m/s": (np.linalg.norm(velocity, axis=-1).max(), FASTEST_M_S),
        "acceleration, m/s2": (np.linalg.norm(acceleration, axis=-1).max(), HARDEST_M_S2),
        "overlap, m": (overlap(joints), OVERLAP_M),
    }
    return {name: float(value) for name, (value, most) in found.items() if not value <= most}


def slide(clip: Clip, joints: np.ndarray) -> float:
    """How far a planted ball of a foot moves across the floor, at most, m."""
    most = 0.0
    for side, planted in clip.planted.items():
        ball = joints[:, J[f"{side}_foot"]][:, [0, 2]]
        # Each time that it stands begins anew.
        edges = np.flatnonzero(np.diff(planted.astype(int), prepend=0, append=0))
        for start, end in edges.reshape(-1, 2):
            most = max(most, float(np.ptp(ball[start:end], axis=0).max()))
    return most


def overlap(joints: np.ndarray) -> float:
    """How deep limbs are inside each other, m: the depth that a moment's share of the frames exceeds."""
    ends = {
        n: (joints[:, a], joints[:, a] + b * (joints[:, c] - joints[:, a]))
        for n, (a, c, b, _) in _LIMBS.items()
    }
    first = np.stack([np.stack(ends[a]) for a, _ in _PAIRS])  # [N, 2, F, 3]
    second = np.stack([np.stack(ends[b]) for _, b in _PAIRS])
    radii = np.array([_LIMBS[a][3] + _LIMBS[b][3] for a, b in _PAIRS])
    distance = segment_distance(first[:, 0], first[:, 1], second[:, 0], second[:, 1])
    depth = (radii[:, None] - distance).max(0)  # [F]
    return float(np.quantile(depth, 1 - _MOMENT))
