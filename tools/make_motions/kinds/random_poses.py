"""From one random pose to the next: limbs and trunk anywhere that joints allow."""

from __future__ import annotations

import numpy as np

from d3pose_core.data.motions import SHARD_FPS
from tools.make_motions import upper
from tools.make_motions.clip import Clip
from tools.make_motions.curves import Schedule
from tools.make_motions.kinds.standing import stand_about

_STYLES: upper.Styles = {upper.anywhere: 3.0, upper.wide: 1.0, upper.overhead: 1.0}


def perform(rng: np.random.Generator) -> Clip:
    frames = int(SHARD_FPS * rng.uniform(5, 10))
    schedule = Schedule.random(rng, frames / SHARD_FPS, (0.4, 1.5), (0.0, 0.8))
    count = len(schedule)
    pose = np.zeros((frames, 24, 3))
    upper.write_arms(pose, rng, schedule, upper.arm_keys(rng, count, _STYLES), 4)
    bend = np.radians(np.clip(rng.normal(size=(count, 3)) * [25, 20, 18] + [10, 0, 0], -45, 60))
    bend = np.clip(bend, np.radians([-40, -40, -40]), np.radians([80, 40, 40]))
    pitch = np.radians(np.clip(rng.normal(size=count) * 20 + 8, -25, 60))
    roll = np.radians(np.clip(rng.normal(size=count) * 9, -20, 20))
    crouch = np.where(rng.random(count) < 0.5, 0, rng.uniform(0, 0.4, count))
    upper.write_trunk(pose, rng, schedule, bend, upper.looks(rng, 0.5 * (pitch + bend[:, 0])))
    return stand_about(rng, pose, schedule, pitch, roll, crouch, 1.2, (0.18, 0.75))
