"""Trunk, head and arms: what people do with them, as curves for `stand` and `ground`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from d3pose_core.data.motions import SHARD_FPS
from tools.make_motions.arms import ARM, MIRROR, ArmBank, arm_bank
from tools.make_motions.curves import Schedule, sway
from tools.make_motions.rig import J

# How the spine's joints share a bend about x, y and z: as much as each can.
SPINE = {
    J["spine1"]: np.array([0.46, 0.36, 0.33]),
    J["spine2"]: np.array([0.40, 0.36, 0.36]),
    J["spine3"]: np.array([0.14, 0.28, 0.31]),
}
# The head shares a turn half and half.
_NECK = {J["neck"]: 0.5, J["head"]: 0.5}

Style = Callable[[ArmBank], np.ndarray]  # bank -> which poses are allowed, [N] bool
Styles = dict[Style, float]  # how often each, in any unit


def wide(b: ArmBank) -> np.ndarray:
    return (np.abs(b.direction[:, 1]) < 0.6) & (b.direction[:, 0] > 0.6)


def wide_straight(b: ArmBank) -> np.ndarray:
    return wide(b) & (b.flexion < 0.5)


def overhead(b: ArmBank) -> np.ndarray:
    return (b.hand[:, 1] > 0.5) & (b.direction[:, 1] > 0.4)


def front(b: ArmBank) -> np.ndarray:
    return (b.hand[:, 2] > 0.35) & (b.hand[:, 1] > -0.2)


def hanging(b: ArmBank) -> np.ndarray:
    return (b.direction[:, 1] < -0.85) & (b.flexion < 0.9)


def on_hips(b: ArmBank) -> np.ndarray:
    at_hips = np.abs(b.hand[:, 1] + 0.25) < 0.12
    return at_hips & (b.flexion > 1.0) & (b.direction[:, 0] > 0.4)


def behind(b: ArmBank) -> np.ndarray:
    return (b.direction[:, 2] < -0.3) & (b.direction[:, 1] < 0.3)


def anywhere(b: ArmBank) -> np.ndarray:
    return np.ones(len(b.poses), bool)


def arm_keys(rng: np.random.Generator, count: int, styles: Styles) -> dict[str, np.ndarray]:
    """Key poses [count, 4, 3] of either arm; both in one style for most keys."""
    kinds, chances = list(styles), np.array(list(styles.values()))
    chances = chances / chances.sum()
    bank = arm_bank()
    masks = [style(bank) for style in kinds]
    keys = {side: np.zeros((count, 4, 3)) for side in ARM}  # both as left arms
    left, right = keys["left"], keys["right"]
    for k in range(count):
        chosen = masks[rng.choice(len(kinds), p=chances)]
        left[k] = bank.pick(rng, chosen, left[k - 1] if k else None)
        if rng.random() < 0.3:  # each arm in its own style
            chosen = masks[rng.choice(len(kinds), p=chances)]
        elif rng.random() < 0.35:  # like a mirror image
            chosen = np.zeros_like(chosen)
            chosen[np.linalg.norm(bank.poses - left[k], axis=(1, 2)).argsort()[:8]] = True
        before = right[k - 1] if k else None
        right[k] = bank.pick(rng, chosen, before, left[[max(k - 1, 0), k]])
    keys["right"] = right * MIRROR
    return keys


def flail(pose: np.ndarray, rng: np.random.Generator, often_s: float) -> np.ndarray:
    """Adds quick corrections of arms and trunk to `pose` [F, 24, 3], one in about `often_s` s, as of
    someone who nearly falls; returns when and how strongly, [F] about 0."""
    times = np.arange(len(pose)) / SHARD_FPS
    total = np.zeros(len(pose))
    for _ in range(rng.poisson(times[-1] / often_s)):
        middle, width = rng.uniform(0.5, times[-1]), rng.uniform(0.35, 0.9)
        envelope = np.exp(-(((times - middle) / width) ** 2))
        speed, strength = 2 * np.pi * rng.uniform(0.8, 1.8), rng.uniform(0.3, 1.0)
        waves = [envelope * strength * np.sin(speed * times + p) for p in rng.uniform(0, 6.3, 4)]
        for wave, (side, sign) in zip(waves, (("left", 1.0), ("right", -1.0)), strict=False):
            axis = rng.normal(size=3) * [0.1, 0.25, 0.35]
            pose[:, J[f"{side}_shoulder"]] += wave[:, None] * axis * [1, sign, sign]
            pose[:, J[f"{side}_elbow"], 1] += sign * 0.2 * wave
        for joint, share in SPINE.items():
            pose[:, joint] += waves[2][:, None] * rng.normal(size=3) * [0.2, 0.15, 0.25] * share
        total += waves[3]
    return total


def write_arms(
    pose: np.ndarray,
    rng: np.random.Generator,
    schedule: Schedule,
    keys: dict[str, np.ndarray],
    unrest_deg: float = 3.0,
) -> None:
    """Moves both arms of `pose` [F, 24, 3] through their keys, neither quite together."""
    frames = len(pose)
    for side, joints in ARM.items():
        curve = schedule.jittered(rng).curve(keys[side], frames)
        noise = sway(
            rng, frames, (4, 3), np.radians(unrest_deg) * np.array([[0.3], [1], [0.8], [1]])
        )
        pose[:, joints] = curve + noise


def write_trunk(
    pose: np.ndarray,
    rng: np.random.Generator,
    schedule: Schedule,
    bend: np.ndarray,
    look: np.ndarray,
    unrest_deg: float = 2.0,
) -> None:
    """Bends the spine and turns the head of `pose`: keys `bend` and `look` [K, 3] rad about x, y, z."""
    frames = len(pose)
    spine = schedule.jittered(rng, 0.1).curve(bend, frames)
    spine = spine + sway(rng, frames, (3,), np.radians(unrest_deg))
    for joint, share in SPINE.items():
        pose[:, joint] = spine * share
    head = schedule.jittered(rng).curve(look, frames) + sway(rng, frames, (3,), np.radians(2.8))
    for joint, part in _NECK.items():
        pose[:, joint] = head * part


def looks(rng: np.random.Generator, pitch: np.ndarray) -> np.ndarray:
    """Where the head turns [K, 3] while the trunk leans forward by `pitch` [K]: mostly ahead."""
    count = len(pitch)
    level = -np.clip(pitch, -0.6, 1.2) * rng.uniform(0.1, 0.8, count)
    turn = np.radians(rng.normal(size=(count, 3)) * [12, 22, 7])
    turn[:, 0] += level
    return np.clip(turn, np.radians([-70, -55, -35]), np.radians([55, 55, 35]))
