"""People on their feet: planted feet stay, the legs follow, and the centre of mass is over them.

Legs that carry weight are solved from where the foot is; legs in the air are given by their joints, or
both are mixed. The pelvis goes where the balance wants it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tools.make_motions import limits
from tools.make_motions.curves import lower_envelope, smooth
from tools.make_motions.legs import HIPS, Foot, Sole, bend, chain, lengths, sole_of
from tools.make_motions.rig import SIDES, rig
from tools.make_motions.rotations import about, matrix, rotvec

_STRETCH = 0.992  # of the leg's length, at most
_SOFT_S = 0.12
_CLAMP_SOFT_S = 0.04
_MOST_TILT = np.radians(25)
# Legs, pelvis and centre of mass depend on each other: each round halves what is left, and more.
_ROUNDS = 5


@dataclass(frozen=True)
class Held:
    """A pelvis that something else than balance carries: a seat."""

    share: np.ndarray  # [F] 1 fully, 0 not at all
    place: np.ndarray  # [F, 3] m, of the pelvis joint


@dataclass(frozen=True)
class Controls:
    """What a standing person does over F frames."""

    pose: np.ndarray  # [F, 24, 3] rotation vectors; those of legs matter where a foot is free
    pelvis: np.ndarray  # [F, 3, 3] in the world
    crouch: np.ndarray  # [F] m below the highest place that the planted feet allow
    support: np.ndarray  # [F, 2] x, z where the centre of mass is held
    feet: dict[str, Foot]
    lowest: float = 0.33  # m, that the pelvis goes down to
    held: Held | None = None


def solve(controls: Controls) -> tuple[np.ndarray, np.ndarray]:
    """Pose [F, 24, 3] and pelvis joint [F, 3]."""
    frames = len(controls.pose)
    rotations = matrix(smooth(limits.clamp(controls.pose), _CLAMP_SOFT_S))
    own = {side: rotations[:, chain(side)] for side in SIDES}
    relief = {side: np.zeros((frames, 3)) for side in SIDES}
    tilt, where = np.zeros(frames), controls.support.copy()
    for _ in range(_ROUNDS):
        rotations[:, 0] = pelvis = controls.pelvis @ about(0, tilt)
        soles = {side: sole_of(controls.feet[side], side, relief[side]) for side in SIDES}
        root = np.stack([where[:, 0], np.zeros(frames), where[:, 1]], 1)
        root[:, 1] = _height(controls, pelvis, root, soles)
        loose = np.ones(frames)
        if controls.held:
            loose = 1 - controls.held.share
            root = root * loose[:, None] + controls.held.place * controls.held.share[:, None]
        for side in SIDES:
            foot, legs = controls.feet[side], chain(side)
            rotations[:, legs], relief[side] = bend(
                side, foot, soles[side], pelvis, root, own[side]
            )
        tilt = np.clip(tilt + _more_tilt(rotations), -_MOST_TILT, _MOST_TILT)
        _, joints = rig().pose(rotations, root)
        off = controls.support - (rig().mass @ joints)[:, [0, 2]]
        where = where + smooth(off, 0.03) * loose[:, None]
    return rotvec(rotations), root


def _more_tilt(rotations: np.ndarray) -> np.ndarray:
    """How much farther forward the pelvis should lean [F] rad, for hips that are bent too far."""
    bent = rotvec(rotations[:, HIPS])[..., 0]  # [F, 2], flexion is negative
    low, high = limits.RECORDED_LOW[HIPS, 0], limits.RECORDED_HIGH[HIPS, 0]
    return smooth((np.maximum(bent - high, 0) - np.maximum(low - bent, 0)).sum(1), _SOFT_S)


def _height(
    controls: Controls, pelvis: np.ndarray, root: np.ndarray, soles: dict[str, Sole]
) -> np.ndarray:
    """The pelvis's height [F]: as high as the planted legs reach, less the crouch."""
    tops = []
    for side, hip_joint in zip(SIDES, HIPS, strict=True):
        hip = pelvis @ rig().bones[hip_joint]
        ankle = soles[side].ankle
        across = ((root + hip - ankle)[:, [0, 2]] ** 2).sum(1)
        length = _STRETCH * sum(lengths(side))
        top = ankle[:, 1] + np.sqrt(np.maximum(length**2 - across, 0.05**2)) - hip[:, 1]
        tops.append(top + 1.5 * (1 - controls.feet[side].planted))
    highest = lower_envelope(np.minimum(*tops), _SOFT_S)
    # Approaches the lowest place softly.
    room = np.maximum(highest - controls.lowest, 0.02)
    return highest - room * np.tanh(controls.crouch / room)
