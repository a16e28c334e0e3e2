"""People on their feet: planted feet stay, the legs follow, and the centre of mass is over them.

Legs that carry weight are solved from where the foot is (two bones, the knee bends one way); legs in
the air are given by their joints, or both mixed. The pelvis goes where the balance wants it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from tools.make_motions import limits
from tools.make_motions.curves import lower_envelope, smooth
from tools.make_motions.rig import J, rig
from tools.make_motions.rotations import about, blend, matrix, rotvec, swing, unit

SIDES = ("left", "right")
_STRETCH = 0.992  # of the leg's length, at most
_SOFT_S = 0.12
_CLAMP_SOFT_S = 0.04
_ROUNDS = 5
_MOST_TILT = np.radians(25)
_EDGE_M = 0.035  # from the ball of a foot to its edge


@dataclass
class Foot:
    """One foot over F frames."""

    ball: np.ndarray  # [F, 3] m, the ball of the foot; its height counts from the floor
    yaw: np.ndarray  # [F] rad, 0 points along +z
    heel: np.ndarray  # [F] rad, how far the heel is turned up about the ball
    planted: np.ndarray  # [F] 1 carries weight, 0 is in the air
    free: np.ndarray  # [F] 1 the leg's joints are those of the pose, 0 they follow the foot
    knee_out: np.ndarray  # [F] rad, how far the knee points outward of the foot


@dataclass
class Controls:
    """What a standing person does over F frames."""

    pose: np.ndarray  # [F, 24, 3] rotation vectors; those of legs matter where `free` is not 0
    pelvis: np.ndarray  # [F, 3, 3] in the world
    crouch: np.ndarray  # [F] m below the highest place that the planted feet allow
    support: np.ndarray  # [F, 2] x, z where the centre of mass is held
    feet: dict[str, Foot] = field(default_factory=dict)
    lowest: float = 0.33  # m, that the pelvis goes down to
    # Where the pelvis is not held by balance (seated, kneeling): share of, and place [F, 3] of it.
    held: np.ndarray | None = None
    place: np.ndarray | None = None


@dataclass
class _Sole:
    """Where a foot really is, once its ankle has had its say; F frames."""

    turn: np.ndarray  # [F, 3, 3] in the world
    ankle: np.ndarray  # [F, 3] m
    toes: np.ndarray  # [F] rad, what the toes turn back so as to stay flat


def solve(controls: Controls) -> tuple[np.ndarray, np.ndarray]:
    """Pose [F, 24, 3] and pelvis joint [F, 3]."""
    body = rig()
    pose = limits.clamp(controls.pose)
    rotations = matrix(smooth(pose, _CLAMP_SOFT_S) if len(pose) > 1 else pose)
    own_legs = rotations.copy()
    relief = {side: np.zeros((len(pose), 3)) for side in SIDES}
    root = np.stack([controls.support[:, 0], controls.support[:, 0], controls.support[:, 1]], 1)
    upright, tilt = controls.pelvis, np.zeros(len(pose))
    for _ in range(_ROUNDS):
        rotations[:, 0] = controls.pelvis = upright @ about(0, tilt)
        soles = {side: _sole(controls.feet[side], side, relief[side]) for side in SIDES}
        root[:, 1] = _height(controls, root, soles)
        target, loose = root, np.ones((len(pose), 1))
        if controls.held is not None and controls.place is not None:
            loose = 1 - controls.held[:, None]
            target = root * loose + controls.place * (1 - loose)
        for side in SIDES:
            relief[side] = _bend_leg(rotations, own_legs, controls, target, side, soles[side])
        tilt = np.clip(tilt + _tilt(rotations), -_MOST_TILT, _MOST_TILT)
        _, joints = body.pose(rotations, target)
        off = controls.support - (body.mass @ joints)[:, [0, 2]]
        root[:, [0, 2]] += smooth(off, 0.03) * loose
    return rotvec(rotations), target


def _tilt(rotations: np.ndarray) -> np.ndarray:
    """How much farther forward the pelvis should lean [F] rad, for hips that are bent too far."""
    hips = [J[f"{side}_hip"] for side in SIDES]
    bent = rotvec(rotations[:, hips])[..., 0]  # [F, 2], flexion is negative
    low, high = limits.RECORDED_LOW[hips, 0], limits.RECORDED_HIGH[hips, 0]
    return smooth((np.maximum(bent - high, 0) - np.maximum(low - bent, 0)).sum(1), _SOFT_S)


def _sole(foot: Foot, side: str, relief: np.ndarray) -> _Sole:
    """A foot on its ball, turned by `relief` [F, 3] rad in its own axes as far as the ankle wants it."""
    body = rig()
    turn = about(1, foot.yaw) @ about(0, foot.heel) @ matrix(relief)
    ball = foot.ball + np.array([0, body.ball_height, 0])
    ball[:, 1] += _EDGE_M * np.abs(np.sin(relief[:, 2]))
    ankle = ball - turn @ body.bones[J[f"{side}_foot"]]
    return _Sole(turn, ankle, foot.heel + relief[:, 0])


def _height(controls: Controls, root: np.ndarray, soles: dict[str, _Sole]) -> np.ndarray:
    """The pelvis's height [F]: as high as the planted legs reach, less the crouch."""
    body = rig()
    highest = []
    for side in SIDES:
        hip = (controls.pelvis @ body.bones[J[f"{side}_hip"]]) + root
        ankle = soles[side].ankle
        length = _STRETCH * sum(_lengths(side))
        across = ((hip - ankle)[:, [0, 2]] ** 2).sum(1)
        top = ankle[:, 1] + np.sqrt(np.maximum(length**2 - across, 0.05**2))
        in_the_air = (1 - controls.feet[side].planted) * 1.5
        highest.append(top - (hip - root)[:, 1] + in_the_air)
    highest_of_all = lower_envelope(np.minimum(*highest), _SOFT_S)
    # Approaches the lowest place softly, over the last 10 cm.
    room = np.maximum(highest_of_all - controls.lowest, 0.02)
    return highest_of_all - room * np.tanh(controls.crouch / room)


def _lengths(side: str) -> tuple[float, float]:
    bones = rig().bones
    thigh, shank = bones[J[f"{side}_knee"]], bones[J[f"{side}_ankle"]]
    return float(np.linalg.norm(thigh)), float(np.linalg.norm(shank))


def _frame(hinge: np.ndarray, along: np.ndarray) -> np.ndarray:
    """Axes [..., 3, 3] with columns hinge (made square to `along`), along, and their product."""
    along = unit(along)
    hinge = unit(hinge - (hinge * along).sum(-1, keepdims=True) * along)
    return np.stack([hinge, along, np.cross(hinge, along)], -1)


def _bend_leg(
    rotations: np.ndarray,
    own_legs: np.ndarray,
    controls: Controls,
    root: np.ndarray,
    side: str,
    sole: _Sole,
) -> np.ndarray:
    """Writes hip, knee, ankle and toes of one leg; returns how its foot should turn [F, 3] to spare
    the ankle."""
    body, foot = rig(), controls.feet[side]
    chain = [J[f"{side}_{name}"] for name in ("hip", "knee", "ankle", "foot")]
    thigh_bone, shank_bone = body.bones[chain[1]], body.bones[chain[2]]
    thigh, shank = _lengths(side)
    along = sole.ankle - root - controls.pelvis @ body.bones[chain[0]]
    distance = np.clip(np.linalg.norm(along, axis=1), 0.2, 0.998 * (thigh + shank))
    along = unit(along)
    out = foot.knee_out if side == "left" else -foot.knee_out
    forward = about(1, foot.yaw + out)[..., 2]
    forward = unit((forward + 0.5 * controls.pelvis[..., 2]) * [1, 0, 1])
    # The knee of a leg that hangs points forward; that of one behind, down; of one in front, up.
    down = np.broadcast_to([0.0, -1, 0], along.shape)
    forward = (matrix(swing(down, along)) @ forward[..., None])[..., 0]
    cosine = (thigh**2 + distance**2 - shank**2) / (2 * thigh * distance)
    cosine = np.clip(cosine, -1, 1)[:, None]
    to_knee = cosine * along + np.sqrt(1 - cosine**2) * forward
    to_ankle = distance[:, None] * along - thigh * to_knee
    hinge = np.cross(forward, along)
    sideways = np.array([1.0, 0, 0])
    upper = _frame(hinge, to_knee) @ _frame(sideways, thigh_bone).T
    lower = _frame(hinge, to_ankle) @ _frame(sideways, shank_bone).T
    ankle = np.swapaxes(lower, 1, 2) @ sole.turn
    solved = (
        np.swapaxes(controls.pelvis, 1, 2) @ upper,
        np.swapaxes(upper, 1, 2) @ lower,
        ankle,
        about(0, -sole.toes),
    )
    for joint, turn in zip(chain, solved, strict=True):
        in_the_air = foot.free.any()
        rotations[:, joint] = blend(turn, own_legs[:, joint], foot.free) if in_the_air else turn

    # A flat foot under a shank that leans too far: the heel or an edge comes off the floor.
    flat = about(1, foot.yaw) @ about(0, foot.heel)
    wanted = rotvec(np.swapaxes(lower, 1, 2) @ flat)
    allowed = np.clip(wanted, *_ANKLE[side])
    relief = np.clip(rotvec(np.swapaxes(flat, 1, 2) @ lower @ matrix(allowed)), *_RELIEF)
    relief[:, 0] = np.minimum(relief[:, 0], np.maximum(_HIGHEST_HEEL - foot.heel, 0))
    return smooth(relief, 0.06)


def _ankle_range(side: str) -> tuple[np.ndarray, np.ndarray]:
    joint = J[f"{side}_ankle"]
    return limits.RECORDED_LOW[joint], limits.RECORDED_HIGH[joint]


_ANKLE = {side: _ankle_range(side) for side in SIDES}
# A foot goes up on its ball, turns and tilts no farther than this; the heel can't go into the floor.
_RELIEF = np.radians([0.0, -25, -18]), np.radians([70.0, 25, 18])
_HIGHEST_HEEL = np.radians(55)
