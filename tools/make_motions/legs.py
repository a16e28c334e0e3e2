"""Legs that follow their feet: hip, knee, ankle and toes from where hip and foot are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tools.make_motions import limits
from tools.make_motions.curves import smooth
from tools.make_motions.rig import SIDES, J, rig
from tools.make_motions.rotations import about, blend, matrix, rotvec, swing, unit

_EDGE_M = 0.035  # from the ball of a foot to its edge
# A foot goes up on its ball, turns and tilts no farther than this; the heel can't go into the floor.
_RELIEF = np.radians([0.0, -25, -18]), np.radians([70.0, 25, 18])
_HIGHEST_HEEL = np.radians(55)
_SOFT_S = 0.06
_SHORTEST_M, _LONGEST = 0.2, 0.998  # from hip to ankle, m and share of the leg's length


@dataclass
class Foot:
    """What is wanted of one foot over F frames."""

    ball: np.ndarray  # [F, 3] m, the ball of the foot; its height counts from the floor
    yaw: np.ndarray  # [F] rad, 0 points along +z
    heel: np.ndarray  # [F] rad, how far the heel is turned up about the ball
    planted: np.ndarray  # [F] 1 carries weight, 0 is in the air
    free: np.ndarray  # [F] 1 the leg's joints are those of the pose, 0 they follow the foot
    knee_out: np.ndarray  # [F] rad, how far the knee points outward of the foot


@dataclass
class Sole:
    """Where a foot really is, once its ankle has had its say; F frames."""

    turn: np.ndarray  # [F, 3, 3] in the world
    ankle: np.ndarray  # [F, 3] m
    toes: np.ndarray  # [F] rad, what the toes turn back so as to stay flat


def chain(side: str) -> list[int]:
    """Hip, knee, ankle and ball of the foot."""
    return [J[f"{side}_{name}"] for name in ("hip", "knee", "ankle", "foot")]


def lengths(side: str) -> tuple[float, float]:
    """Of thigh and shank, m."""
    _, knee, ankle, _ = rig().bones[chain(side)]
    return float(np.linalg.norm(knee)), float(np.linalg.norm(ankle))


def sole_of(foot: Foot, side: str, relief: np.ndarray) -> Sole:
    """A foot on its ball, turned by `relief` [F, 3] rad in its own axes as far as the ankle wants it."""
    turn = about(1, foot.yaw) @ about(0, foot.heel) @ matrix(relief)
    ball = foot.ball + np.array([0, rig().ball_height, 0])
    ball[:, 1] += _EDGE_M * np.abs(np.sin(relief[:, 2]))
    ankle = ball - turn @ rig().bones[J[f"{side}_foot"]]
    return Sole(turn, ankle, foot.heel + relief[:, 0])


def bend(
    side: str, foot: Foot, sole: Sole, pelvis: np.ndarray, root: np.ndarray, own: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """A leg between hip and ankle.

    Args:
        pelvis, root: [F, 3, 3] and [F, 3] m in the world.
        own: [F, 4, 3, 3] the leg's joints where the foot is free.

    Returns:
        The leg's joints [F, 4, 3, 3], and how the foot should turn to spare the ankle, [F, 3] rad.
    """
    bones = rig().bones[chain(side)]
    thigh, shank = lengths(side)
    along = sole.ankle - root - pelvis @ bones[0]
    distance = np.clip(np.linalg.norm(along, axis=1), _SHORTEST_M, _LONGEST * (thigh + shank))
    along = unit(along)
    forward = _knee_direction(side, foot, pelvis, along)
    cosine = (thigh**2 + distance**2 - shank**2) / (2 * thigh * distance)
    cosine = np.clip(cosine, -1, 1)[:, None]
    to_knee = cosine * along + np.sqrt(1 - cosine**2) * forward
    to_ankle = distance[:, None] * along - thigh * to_knee
    hinge, sideways = np.cross(forward, along), np.array([1.0, 0, 0])
    upper = _frame(hinge, to_knee) @ _frame(sideways, bones[1]).T
    lower = _frame(hinge, to_ankle) @ _frame(sideways, bones[2]).T
    solved = (
        np.swapaxes(pelvis, 1, 2) @ upper,
        np.swapaxes(upper, 1, 2) @ lower,
        np.swapaxes(lower, 1, 2) @ sole.turn,
        about(0, -sole.toes),
    )
    turns = np.stack(solved, 1)
    if foot.free.any():
        turns = blend(turns, own, np.broadcast_to(foot.free[:, None], turns.shape[:2]))
    return turns, _relief(side, foot, lower)


def _knee_direction(side: str, foot: Foot, pelvis: np.ndarray, along: np.ndarray) -> np.ndarray:
    """Unit vectors [F, 3] square to `along`: the knee of a leg that hangs points forward; that of one
    behind, down; of one in front, up."""
    out = foot.knee_out if side == "left" else -foot.knee_out
    forward = unit((about(1, foot.yaw + out)[..., 2] + 0.5 * pelvis[..., 2]) * [1, 0, 1])
    down = np.broadcast_to([0.0, -1, 0], along.shape)
    return (matrix(swing(down, along)) @ forward[..., None])[..., 0]


def _frame(hinge: np.ndarray, along: np.ndarray) -> np.ndarray:
    """Axes [..., 3, 3] with columns hinge (made square to `along`), along, and their product."""
    along = unit(along)
    hinge = unit(hinge - (hinge * along).sum(-1, keepdims=True) * along)
    return np.stack([hinge, along, np.cross(hinge, along)], -1)


def _relief(side: str, foot: Foot, shank: np.ndarray) -> np.ndarray:
    """How a flat foot must turn [F, 3] rad under a shank that leans farther than the ankle bends: the
    heel or an edge comes off the floor."""
    flat = about(1, foot.yaw) @ about(0, foot.heel)
    ankle = chain(side)[2]
    wanted = rotvec(np.swapaxes(shank, 1, 2) @ flat)
    allowed = np.clip(wanted, limits.RECORDED_LOW[ankle], limits.RECORDED_HIGH[ankle])
    relief = np.clip(rotvec(np.swapaxes(flat, 1, 2) @ shank @ matrix(allowed)), *_RELIEF)
    relief[:, 0] = np.minimum(relief[:, 0], np.maximum(_HIGHEST_HEEL - foot.heel, 0))
    return smooth(relief, _SOFT_S)


HIPS = [chain(side)[0] for side in SIDES]
