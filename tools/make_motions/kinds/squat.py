"""Squats, lunges and kneeling down on one knee."""

from __future__ import annotations

import numpy as np

from d3pose_core.data.motions import SHARD_FPS
from tools.make_motions import upper
from tools.make_motions.clip import Clip
from tools.make_motions.curves import Schedule, smooth, sway
from tools.make_motions.feet import Step, stance, support, walk
from tools.make_motions.kinds.standing import stand_about
from tools.make_motions.rig import SIDES
from tools.make_motions.rotations import about
from tools.make_motions.stand import Controls, solve

_STYLES: upper.Styles = {
    upper.wide: 3.0,
    upper.overhead: 1.5,
    upper.front: 3.0,
    upper.hanging: 1.5,
    upper.on_hips: 1.0,
    upper.anywhere: 1.5,
}


def perform(rng: np.random.Generator) -> Clip:
    return _lunges(rng) if rng.random() < 0.6 else _squats(rng)


def _squats(rng: np.random.Generator) -> Clip:
    frames = int(SHARD_FPS * rng.uniform(6, 11))
    schedule = Schedule.random(rng, frames / SHARD_FPS, (0.8, 1.8), (0.1, 1.8))
    count = len(schedule)
    down = (np.arange(count) + rng.integers(2)) % 2 == 0
    crouch = np.where(down, rng.uniform(0.15, 0.62, count), rng.uniform(0, 0.05, count))
    depth = crouch / 0.6
    pitch = np.radians(depth * rng.uniform(0, 35, count) + rng.normal(size=count) * 3)
    bend = np.radians(rng.normal(size=(count, 3)) * [6, 8, 6])
    bend[:, 0] += np.radians(25) * depth * rng.random(count)
    pose = np.zeros((frames, 24, 3))
    upper.write_arms(pose, rng, schedule, upper.arm_keys(rng, count, _STYLES), 3)
    upper.write_trunk(pose, rng, schedule, bend, upper.looks(rng, 0.8 * (pitch + bend[:, 0])))
    on_toes = np.radians(np.clip((crouch - 0.3) / 0.3, 0, 1) * rng.choice([0.0, 35], p=[0.4, 0.6]))
    heel = schedule.curve(on_toes, frames, 0.1)
    roll = np.radians(rng.normal(size=count) * 4)
    return stand_about(
        rng, pose, schedule, pitch, roll, crouch, 20.0, (0.2, 0.75), heel, toes_out=(0.05, 0.7)
    )


def _lunges(rng: np.random.Generator) -> Clip:
    """Long steps to the front, back or side, low over them, and back again."""
    now = rng.uniform(0.4, 1.2)
    steps: list[Step] = []
    low, keys = [(0.0, 0.0)], [0.0]  # (crouch, pitch) and when
    heel_keys = {side: [(0.0, 0.0)] for side in SIDES}
    start = stance(rng.uniform(0.16, 0.3), rng.uniform(0, 0.2))
    for _ in range(rng.integers(1, 4)):
        side = SIDES[rng.integers(2)]
        x, z, yaw = start[side]
        sign = 1 if side == "left" else -1
        kind = rng.choice(["front", "back", "side"], p=[0.45, 0.25, 0.3])
        far, length = rng.uniform(0.45, 0.95), rng.uniform(0.5, 0.9)
        if kind == "side":
            place = (x + sign * far, z + rng.uniform(-0.1, 0.1))
            turn = yaw + sign * rng.uniform(0, 0.5)
        else:
            place = (x + sign * rng.uniform(0, 0.12), z + (far if kind == "front" else -far))
            turn = yaw
        hold = rng.uniform(0.3, 2.5)
        steps.append(Step(side, now, now + length, place, turn, rng.uniform(0.06, 0.2)))
        down = now + length + rng.uniform(-0.1, 0.4)
        depth = rng.uniform(0.1, 0.40 if kind != "side" else 0.3)
        keys += [now, down, down + hold]
        tilt = rng.uniform(-0.05, 0.25) + (0.0 if kind == "side" else 0.3 * (far - 0.45))
        low += [(0.0, 0.0), (depth, tilt), (depth + rng.uniform(-0.03, 0.03), tilt)]
        if kind != "side":
            # The rear foot stands on its ball.
            rear = side if kind == "back" else SIDES[side == "left"]
            high = np.clip(rng.uniform(0.55, 0.85) + 0.4 * depth, 0, 0.95)
            began = now + (0.3 if kind == "back" else length * 0.6)
            for t, h in (
                (began, 0),
                (now + length + 0.1, high),
                (down + hold, high),
                (down + hold + 0.5, 0),
            ):
                heel_keys[rear].append((t, h))
        now = down + hold + 0.1
        steps.append(
            Step(side, now + 0.15, now + 0.15 + length, (x, z), yaw, rng.uniform(0.06, 0.15))
        )
        now += 0.15 + length + rng.uniform(0.2, 1.0)
        keys.append(now)
        low.append((0.0, 0.0))
    frames = int(SHARD_FPS * (now + 0.3))
    times = np.arange(frames) / SHARD_FPS
    feet, share = walk(frames, start, steps, rng.uniform(0, 0.15))
    for side in SIDES:
        t, h = np.array(heel_keys[side]).T
        feet[side].heel = smooth(np.interp(times, t, h), 0.08)
    crouch, pitch = (smooth(np.interp(times, keys, v), 0.12) for v in np.array(low).T)

    schedule = Schedule.random(rng, frames / SHARD_FPS, (0.6, 1.6), (0.1, 1.2))
    count = len(schedule)
    bend = np.radians(rng.normal(size=(count, 3)) * [10, 12, 9])
    pose = np.zeros((frames, 24, 3))
    upper.write_arms(pose, rng, schedule, upper.arm_keys(rng, count, _STYLES), 3.5)
    upper.write_trunk(pose, rng, schedule, bend, upper.looks(rng, 0.3 + bend[:, 0]))
    roll, turn = schedule.curve(np.radians(rng.normal(size=(count, 2)) * [4, 7]), frames).T
    pelvis = about(1, turn) @ about(2, roll) @ about(0, pitch + sway(rng, frames, (), 0.028))
    where = support(feet, share) + sway(rng, frames, (2,), 0.017)
    solved, root = solve(Controls(pose, pelvis, crouch + 0.006, where, feet, lowest=0.48))
    return Clip(solved, root, {s: (feet[s].planted > 0.99) for s in SIDES})
