"""What kinds on both feet share: where they stand, and that they take a step now and then."""

from __future__ import annotations

import numpy as np

from d3pose_core.data.motions import SHARD_FPS
from tools.make_motions.clip import Clip
from tools.make_motions.curves import Schedule, sway
from tools.make_motions.feet import Step, stance, support, walk
from tools.make_motions.rig import SIDES
from tools.make_motions.rotations import about
from tools.make_motions.stand import Controls, solve


def stand_about(
    rng: np.random.Generator,
    pose: np.ndarray,
    schedule: Schedule,
    pitch: np.ndarray,
    roll: np.ndarray,
    crouch: np.ndarray,
    steps_s: float = 3.5,
    width: tuple[float, float] = (0.18, 0.5),
    heel: np.ndarray | None = None,
    yaw: np.ndarray | None = None,
    toes_out: tuple[float, float] = (-0.05, 0.4),
) -> Clip:
    """Upper body `pose` [F, 24, 3] on legs that stand, and step about every `steps_s` s.

    Args:
        pitch, roll, crouch: [K] of the pelvis at the schedule's keys, rad and m.
        heel: [F] rad, how far both heels are off the floor.
        yaw: [K] rad, of the pelvis to where the feet point.
    """
    frames = len(pose)
    start = stance(rng.uniform(*width), rng.uniform(*toes_out), rng.uniform(-0.15, 0.15))
    steps = _steps(rng, start, frames / SHARD_FPS, steps_s, width)
    feet, share = walk(frames, start, steps, rng.uniform(0.0, 0.2))
    if heel is not None:
        for foot in feet.values():
            foot.heel = heel
    shift = np.clip(0.5 + sway(rng, frames, (), 0.14, (0.05, 0.3)), 0.25, 0.75) - 0.5
    share = np.clip(share + shift * (1 - 2 * np.abs(share - 0.5)), 0, 1)
    where = support(feet, share) + sway(rng, frames, (2,), [0.014, 0.02])
    together = schedule.jittered(rng, 0.1)
    curves = [
        together.curve(v, frames) + sway(rng, frames, (), np.radians(1.4)) for v in (pitch, roll)
    ]
    heading = 0.5 * (feet["left"].yaw + feet["right"].yaw) + sway(
        rng, frames, (), np.radians(7), (0.05, 0.5)
    )
    if yaw is not None:
        heading = heading + together.curve(yaw, frames)
    pelvis = about(1, heading) @ about(2, curves[1]) @ about(0, curves[0])
    low = np.maximum(together.curve(crouch + 0.006, frames) + sway(rng, frames, (), 0.006), 0)
    solved, root = solve(Controls(pose, pelvis, low, where, feet))
    return Clip(solved, root, {side: feet[side].planted > 0.99 for side in SIDES})


def _steps(
    rng: np.random.Generator, start: dict, duration: float, every: float, width: tuple[float, float]
) -> list[Step]:
    """Steps that turn or move the feet a little, never one foot across the other."""
    steps: list[Step] = []
    center, yaw, now = np.zeros(2), 0.0, rng.exponential(every) + 0.4
    side = SIDES[rng.integers(2)]
    while now < duration - 0.8:
        # A move is made by both feet, one after the other.
        yaw += rng.normal() * 0.45
        center = center + rng.normal(size=2) * 0.18
        apart, ahead, out = rng.uniform(*width), rng.uniform(-0.15, 0.15), rng.uniform(-0.05, 0.35)
        length = rng.uniform(0.4, 0.75)
        for moved in (side, SIDES[side == "left"]):
            sign = 1 if moved == "left" else -1
            offset = sign * np.array([apart / 2, ahead / 2])
            x = center[0] + offset[0] * np.cos(yaw) + offset[1] * np.sin(yaw)
            z = center[1] - offset[0] * np.sin(yaw) + offset[1] * np.cos(yaw)
            if now + length > duration - 0.3:
                break
            steps.append(
                Step(moved, now, now + length, (x, z), yaw + sign * out, rng.uniform(0.04, 0.12))
            )
            now += length + rng.uniform(0.08, 0.4)
        side = SIDES[rng.integers(2)]
        now += rng.exponential(every)
    return steps
