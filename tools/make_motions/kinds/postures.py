"""Postures on and near the floor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tools.make_motions import limits, upper
from tools.make_motions.arms import ARM, MIRROR, ArmBank, arm_bank
from tools.make_motions.ground import lie_down, over_feet, stand_on
from tools.make_motions.rig import J, mirror, mirror_name
from tools.make_motions.rotations import about, rotvec

Leg = tuple[float, float, float, float, float]


@dataclass(frozen=True)
class Posture:
    """Angles in degrees, before each person does it in his own way."""

    pitch: float  # of the pelvis: forward
    bend: float  # of the spine: forward
    left: Leg  # hip flexion, out, turned out; knee; toes pointed
    spread: float  # how different people do it
    rests_on: tuple[str, ...] = ()  # parts of the body; none: it lies as it falls
    right: Leg | None = None  # None: like the left one
    roll: float = 0.0  # of the pelvis about its own length
    # Where the hands are: about the chest (left hand: x left, y up along the trunk, z front), m, or
    # which poses of arms are allowed; None is any.
    hands: tuple[float, float, float] | upper.Style | None = None


def _not_behind(b: ArmBank) -> np.ndarray:
    return (b.hand[:, 2] > -0.06) & (b.elbow[:, 2] > -0.06)


def _not_in_front(b: ArmBank) -> np.ndarray:
    return (np.abs(b.hand[:, 2] - 0.05) < 0.15) & (b.elbow[:, 2] < 0.15)


def _above_the_hips(b: ArmBank) -> np.ndarray:
    return b.hand[:, 1] > -0.3


_ON_ALL_FOURS = (0.18, 0.05, 0.55)
POSTURES: dict[str, Posture] = {
    "stand": Posture(2, 3, (4, 5, 2, 8, 0), 3, ("soles",)),
    "stoop": Posture(45, 40, (75, 8, 5, 60, -10), 8, ("soles",), hands=(0.25, -0.2, 0.5)),
    "squat": Posture(12, 35, (105, 16, 8, 130, -25), 7, ("soles",), hands=_above_the_hips),
    "half kneel": Posture(
        5,
        10,
        (88, 8, 5, 90, 2),
        5,
        ("left soles", "right knees", "right insteps"),
        (-2, 5, 0, 95, 38),
        hands=_above_the_hips,
    ),
    "kneel": Posture(3, 8, (4, 7, 0, 95, 38), 4, ("knees", "insteps")),
    "heels": Posture(10, 15, (60, 9, 0, 138, 42), 4, ("knees", "insteps"), hands=_above_the_hips),
    "all fours": Posture(82, 5, (82, 7, 0, 88, 35), 9, ("knees", "hands"), hands=_ON_ALL_FOURS),
    "bear": Posture(70, 10, (85, 7, 0, 40, -25), 9, ("balls", "hands"), hands=(0.2, 0.2, 0.55)),
    "plank": Posture(75, 0, (2, 5, 0, 6, -30), 4, ("balls", "hands"), hands=_ON_ALL_FOURS),
    "prone": Posture(90, -8, (0, 9, 5, 10, 40), 8, hands=_not_in_front),
    "supine": Posture(-90, 4, (1, 9, 15, 4, 25), 5, hands=_not_behind),
    "knees up": Posture(-88, 6, (48, 6, 0, 95, 10), 8, hands=_not_behind),
    "legs up": Posture(-86, 14, (85, 8, 0, 30, 10), 14, hands=_not_behind),
    "side": Posture(-90, 12, (50, 3, 0, 60, 20), 18, roll=90, hands=(0.05, 0.05, 0.42)),
    "long sit": Posture(-8, 22, (82, 12, 8, 12, 10), 8, ("seat", "heels"), hands=_above_the_hips),
    "bent sit": Posture(-14, 30, (95, 10, 5, 95, 5), 8, ("seat", "heels"), hands=(0.2, -0.2, 0.42)),
    "lean sit": Posture(
        -38, 18, (58, 10, 5, 75, 5), 9, ("seat", "heels", "hands"), hands=(0.28, -0.42, -0.25)
    ),
    "cross sit": Posture(
        -8, 28, (104, 42, 45, 128, 5), 4, ("seat", "ankles"), hands=_above_the_hips
    ),
}


def take(
    rng: np.random.Generator, posture: Posture, before: np.ndarray | None, mirrored: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Someone in that posture: rotation vectors [24, 3] and how the pelvis is turned [3, 3].

    Args:
        before: [24, 3] the posture that it is reached from.
        mirrored: left and right change places.
    """
    if mirrored and before is not None:
        before = mirror(before)
    key = np.zeros((24, 3))
    trunk = np.radians(np.array([posture.bend, 0, 0]) + rng.normal(size=3) * [8, 8, 7])
    for joint, share in upper.SPINE.items():
        key[joint] = trunk * share
    up = np.radians(max(posture.pitch, 0.0) * 0.6 + posture.bend)
    key[J["neck"]] = key[J["head"]] = upper.looks(rng, np.array([up]))[0] / 2
    for side, sign in (("left", 1), ("right", -1)):
        leg = (posture.right or posture.left) if side == "right" else posture.left
        spread = posture.spread * np.array([1, 0.5, 0.4, 1, 0.6])
        flex, out, turn, knee, toes = np.radians(np.array(leg) + rng.normal(size=5) * spread)
        hip = about(2, sign * out) @ about(0, -flex) @ about(1, sign * turn)
        key[J[f"{side}_hip"]] = rotvec(hip)
        key[J[f"{side}_knee"], 0] = np.clip(knee, 0, np.radians(145))
        key[J[f"{side}_ankle"], 0] = toes
        if "balls" in posture.rests_on:
            key[J[f"{side}_foot"], 0] = -np.radians(35)
        key[ARM[side]] = _arm(rng, posture, side, before)
    key = limits.clamp(mirror(key) if mirrored else key)
    roll = np.radians(posture.roll + rng.normal() * (0 if posture.rests_on else 8))
    turned = about(0, np.radians(posture.pitch + rng.normal() * 4))
    turned = turned @ about(1, -roll if mirrored else roll)
    if posture.rests_on == ("soles",):
        turned = over_feet(key, turned)
    elif posture.rests_on:
        parts = tuple(mirror_name(p) if mirrored else p for p in posture.rests_on)
        turned = stand_on(parts, key, turned)
    else:
        turned = lie_down(key[None], turned[None], 12 if posture.roll else 120)[0]
    return limits.clamp(key), turned


def _arm(
    rng: np.random.Generator, posture: Posture, side: str, before: np.ndarray | None
) -> np.ndarray:
    bank, flip = arm_bank(), MIRROR if side == "right" else 1.0
    last = None if before is None else before[ARM[side]] * flip
    if isinstance(posture.hands, tuple):
        place = np.array(posture.hands) + rng.normal(size=3) * 0.05
        return bank.reach(rng, place, last) * flip
    return bank.pick(rng, (posture.hands or upper.anywhere)(bank), last) * flip
