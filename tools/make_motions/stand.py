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
from tools.make_motions.rotations import about, blend, matrix, rotvec, unit

SIDES = ("left", "right")
_STRETCH = 0.992  # of the leg's length, at most
_SOFT_S = 0.12


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


def solve(controls: Controls) -> tuple[np.ndarray, np.ndarray]:
    """Pose [F, 24, 3] and pelvis joint [F, 3]."""
    body = rig()
    rotations = matrix(limits.clamp(controls.pose))
    rotations[:, 0] = controls.pelvis
    ankles = {side: _ankle(controls.feet[side], side) for side in SIDES}
    root = np.stack([controls.support[:, 0], controls.support[:, 0], controls.support[:, 1]], 1)
    root[:, 1] = 0.9
    for _ in range(4):
        root[:, 1] = _height(controls, root, ankles)
        if controls.held is not None and controls.place is not None:
            share = controls.held[:, None]
            target = root * (1 - share) + controls.place * share
        else:
            target = root
        for side in SIDES:
            _bend_leg(rotations, controls, target, side, ankles[side])
        _, joints = body.pose(rotations, target)
        off = controls.support - (body.mass @ joints)[:, [0, 2]]
        root[:, [0, 2]] += smooth(off, 0.03)
    pose = rotvec(rotations)
    return pose, target


def _ankle(foot: Foot, side: str) -> tuple[np.ndarray, np.ndarray]:
    """The foot's rotation [F, 3, 3] and its ankle [F, 3] in the world."""
    body = rig()
    turn = about(1, foot.yaw) @ about(0, foot.heel)
    ball = foot.ball + np.array([0, body.ball_height, 0])
    return turn, ball - turn @ body.bones[J[f"{side}_foot"]]


def _height(controls: Controls, root: np.ndarray, ankles: dict) -> np.ndarray:
    """The pelvis's height [F]: as high as the planted legs reach, less the crouch."""
    body = rig()
    highest = []
    for side in SIDES:
        hip = (controls.pelvis @ body.bones[J[f"{side}_hip"]]) + root
        ankle = ankles[side][1]
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
    controls: Controls,
    root: np.ndarray,
    side: str,
    ankle: tuple[np.ndarray, np.ndarray],
) -> None:
    """Writes hip, knee, ankle and toes of one leg."""
    body, foot = rig(), controls.feet[side]
    chain = [J[f"{side}_{name}"] for name in ("hip", "knee", "ankle", "foot")]
    thigh_bone, shank_bone = body.bones[chain[1]], body.bones[chain[2]]
    thigh, shank = _lengths(side)
    foot_turn, target = ankle
    hip = root + controls.pelvis @ body.bones[chain[0]]
    along = target - hip
    distance = np.clip(np.linalg.norm(along, axis=1), 0.25, 0.998 * (thigh + shank))
    along = unit(along)
    out = foot.knee_out if side == "left" else -foot.knee_out
    forward = about(1, foot.yaw + out)[..., 2]
    forward = unit(forward + 0.5 * controls.pelvis[..., 2])
    forward = unit(forward - (forward * along).sum(1, keepdims=True) * along)
    cosine = (thigh**2 + distance**2 - shank**2) / (2 * thigh * distance)
    cosine = np.clip(cosine, -1, 1)[:, None]
    to_knee = cosine * along + np.sqrt(1 - cosine**2) * forward
    to_ankle = distance[:, None] * along - thigh * to_knee
    hinge = np.cross(forward, along)
    sideways = np.array([1.0, 0, 0])
    upper = _frame(hinge, to_knee) @ _frame(sideways, thigh_bone).T
    lower = _frame(hinge, to_ankle) @ _frame(sideways, shank_bone).T
    solved = [
        np.swapaxes(controls.pelvis, 1, 2) @ upper,
        np.swapaxes(upper, 1, 2) @ lower,
        np.swapaxes(lower, 1, 2) @ foot_turn,
        about(0, -foot.heel),
    ]
    given = matrix(limits.clamp(controls.pose)[:, chain])
    for joint, turn, own in zip(chain, solved, np.moveaxis(given, 1, 0), strict=True):
        rotations[:, joint] = blend(turn, own, foot.free) if foot.free.any() else turn
