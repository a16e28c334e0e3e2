"""Bending and twisting the trunk far, on both feet."""

from __future__ import annotations

import numpy as np

from d3pose_core.data.motions import SHARD_FPS
from tools.make_motions import upper
from tools.make_motions.clip import Clip
from tools.make_motions.curves import Schedule
from tools.make_motions.kinds.standing import stand_about

_STYLES: upper.Styles = {
    upper.wide: 2.0,
    upper.overhead: 2.0,
    upper.front: 2.0,
    upper.hanging: 2.0,
    upper.on_hips: 1.0,
    upper.anywhere: 2.0,
}


def perform(rng: np.random.Generator) -> Clip:
    frames = int(SHARD_FPS * rng.uniform(6, 12))
    schedule = Schedule.random(rng, frames / SHARD_FPS, (0.7, 2.0), (0.1, 1.2))
    count = len(schedule)
    pose = np.zeros((frames, 24, 3))
    upper.write_arms(pose, rng, schedule, upper.arm_keys(rng, count, _STYLES), 3)
    forward = rng.choice([0.0, 1.0, -0.3], count, p=[0.45, 0.4, 0.15]) * rng.uniform(0.3, 1, count)
    bend = rng.uniform(-1, 1, (count, 3)) * [10, 38, 36]
    bend[:, 0] += 75 * forward
    bend = np.radians(np.clip(bend, [-45, -40, -40], [85, 40, 40]))
    pitch = np.radians(
        75 * np.maximum(forward, 0) * rng.uniform(0.2, 1, count) - 12 * (forward < 0)
    )
    roll = np.radians(rng.normal(size=count) * 7)
    crouch = np.abs(rng.normal(size=count)) * 0.03 + 0.08 * (forward > 0.5) * rng.random(count)
    upper.write_trunk(pose, rng, schedule, bend, upper.looks(rng, 0.4 * (bend[:, 0] + pitch)))
    return stand_about(rng, pose, schedule, pitch, roll, crouch, 6.0, (0.2, 0.8))
