"""Reaching for things: high, low, to the side and behind, leaning, crouching and stepping for them."""

from __future__ import annotations

import numpy as np

from d3pose_core.data.motions import SHARD_FPS
from tools.make_motions import upper
from tools.make_motions.arms import ARM, MIRROR, arm_bank
from tools.make_motions.clip import Clip
from tools.make_motions.curves import Schedule
from tools.make_motions.kinds.standing import stand_about
from tools.make_motions.rig import J, rig
from tools.make_motions.rotations import about, matrix

_IDLE: upper.Styles = {upper.hanging: 4.0, upper.on_hips: 1.0, upper.wide: 1.0, upper.anywhere: 1.0}
_HIGH_M, _LOW_M = 1.55, 0.75  # from where on the trunk takes part


def perform(rng: np.random.Generator) -> Clip:
    frames = int(SHARD_FPS * rng.uniform(6, 12))
    schedule = Schedule.random(rng, frames / SHARD_FPS, (0.6, 1.6), (0.1, 0.9))
    count = len(schedule)
    busy = rng.random(count) < 0.8
    target = _targets(rng, count)
    low = np.clip((_LOW_M - target[:, 1]) / _LOW_M, 0, 1) * busy
    high = np.clip((target[:, 1] - _HIGH_M) / 0.5, 0, 1) * busy
    around = np.arctan2(target[:, 0], target[:, 2]) * busy
    # The lower the target the more knees and hips bend, each person in his own mixture.
    by_knees = rng.uniform(0.15, 1.0, count)
    crouch = low * by_knees * 0.5
    pitch = np.radians(low * (75 - 45 * by_knees) - 6 * high)
    bend = np.zeros((count, 3))
    bend[:, 0] = np.radians(low * rng.uniform(20, 60, count) - 14 * high)
    bend[:, 1] = np.clip(around, -1.4, 1.4) * rng.uniform(0.3, 0.55, count)
    bend[:, 2] = -np.radians(25) * np.sin(around) * rng.uniform(-0.2, 1, count) * (1 - 0.6 * low)
    bend += np.radians(rng.normal(size=(count, 3)) * 4)
    bend = np.clip(bend, np.radians([-40, -40, -38]), np.radians([85, 40, 38]))
    turn = np.clip(0.3 * around, -0.5, 0.5)

    pose = np.zeros((frames, 24, 3))
    keys = _arms(rng, target, busy, bend, pitch, crouch)
    upper.write_arms(pose, rng, schedule, keys, 2)
    look = upper.looks(rng, 0.3 * (bend[:, 0] + pitch))
    look[:, 1] = np.clip(0.5 * around + 0.3 * look[:, 1], -0.9, 0.9)
    look[:, 0] += np.radians(25 * low - 25 * high)
    upper.write_trunk(pose, rng, schedule, bend, np.clip(look, -0.95, 0.95))
    tiptoe = np.where(rng.random(count) < 0.6, high, 0.0) * rng.uniform(0, 0.6, count)
    heel = schedule.curve(tiptoe, frames, 0.1)
    return stand_about(
        rng, pose, schedule, pitch, 0.15 * bend[:, 2], crouch, 2.5, (0.16, 0.6), heel, yaw=turn
    )


def _targets(rng: np.random.Generator, count: int) -> np.ndarray:
    """[count, 3] m about the standing person: x left, y over the floor, z forward."""
    angle = rng.normal(size=count) * 1.0
    behind = rng.random(count) < 0.1
    angle = np.where(behind, np.pi - 0.6 * np.abs(angle), angle) * rng.choice([-1, 1], count)
    radius = rng.uniform(0.3, 0.75, count)
    height = rng.choice([0.1, 0.6, 1.2, 1.6, 2.0], count, p=[0.25, 0.2, 0.2, 0.15, 0.2])
    height = height + rng.normal(size=count) * 0.15
    return np.stack([radius * np.sin(angle), np.clip(height, 0.05, 2.1), radius * np.cos(angle)], 1)


def _arms(
    rng: np.random.Generator,
    target: np.ndarray,
    busy: np.ndarray,
    bend: np.ndarray,
    pitch: np.ndarray,
    crouch: np.ndarray,
) -> dict[str, np.ndarray]:
    """Arm poses that bring the hands near the targets, from a chest bent like that."""
    count = len(target)
    keys = upper.arm_keys(rng, count, _IDLE)
    pose = np.zeros((count, 24, 3))
    for joint, share in upper.SPINE.items():
        pose[:, joint] = bend * share
    rotations = matrix(pose)
    rotations[:, 0] = about(0, pitch)
    root = np.zeros((count, 3))
    root[:, 1] = 0.92 - crouch
    root[:, 2] = -0.35 * np.sin(pitch)  # the hips go back as the trunk goes forward
    world, joints = rig().pose(rotations, root)
    chest = J["spine3"]
    local = (np.swapaxes(world[:, chest], 1, 2) @ (target - joints[:, chest])[..., None])[..., 0]
    bank = arm_bank()
    for k in np.flatnonzero(busy):
        both = rng.random() < 0.35
        near = "left" if target[k, 0] > 0 else "right"
        if rng.random() < 0.15:
            near = "right" if near == "left" else "left"
        for side in ARM:
            if side != near and not both:
                continue
            sign = np.array([1.0, 1, 1]) if side == "left" else np.array([-1.0, 1, 1])
            place = local[k] * sign + [0.1 if both else 0, 0, 0]
            before = keys[side][k - 1] if k else None
            if before is not None and side == "right":
                before = before * MIRROR
            other = keys["left"][[max(k - 1, 0), k]] if side == "right" else None
            arm = bank.reach(rng, place, before, other)
            keys[side][k] = arm if side == "left" else arm * MIRROR
    return keys
