"""Standing on both feet and moving the arms wide: waving, pointing, overhead, behind."""

from __future__ import annotations

import numpy as np

from d3pose_core.data.motions import SHARD_FPS
from tools.make_motions import upper
from tools.make_motions.clip import Clip
from tools.make_motions.curves import Schedule
from tools.make_motions.kinds.standing import stand_about
from tools.make_motions.rig import J

_STYLES: upper.Styles = {
    upper.wide_straight: 2.5,
    upper.wide: 3.0,
    upper.overhead: 3.0,
    upper.front: 1.5,
    upper.hanging: 1.5,
    upper.on_hips: 0.5,
    upper.behind: 0.7,
    upper.anywhere: 2.0,
}


def perform(rng: np.random.Generator) -> Clip:
    frames = int(SHARD_FPS * rng.uniform(6, 12))
    schedule = Schedule.random(rng, frames / SHARD_FPS, (0.4, 1.4), (0.0, 1.5))
    count = len(schedule)
    pose = np.zeros((frames, 24, 3))
    upper.write_arms(pose, rng, schedule, upper.arm_keys(rng, count, _STYLES), rng.uniform(2, 5.5))
    bend = np.radians(rng.normal(size=(count, 3)) * [9, 14, 9])
    upper.write_trunk(pose, rng, schedule, bend, upper.looks(rng, bend[:, 0]))
    if rng.random() < 0.4:
        _wave(pose, rng, "left" if rng.random() < 0.5 else "right")
    pitch, roll = np.radians(rng.normal(size=(2, count)) * [[5], [4]])
    crouch = np.abs(rng.normal(size=count)) * 0.03
    return stand_about(rng, pose, schedule, pitch, roll, crouch)


def _wave(pose: np.ndarray, rng: np.random.Generator, side: str) -> None:
    """Adds a few waves of the forearm to what the arm does."""
    times = np.arange(len(pose)) / SHARD_FPS
    middle, length = rng.uniform(2, times[-1] - 1), rng.uniform(0.6, 1.5)
    envelope = np.exp(-(((times - middle) / length) ** 4))
    wave = envelope * np.sin(2 * np.pi * rng.uniform(1.0, 2.2) * times + rng.uniform(0, 6))
    size = np.radians(rng.uniform(10, 28))
    pose[:, J[f"{side}_shoulder"], 0] += size * wave
    pose[:, J[f"{side}_elbow"], 1] += 0.5 * size * wave
