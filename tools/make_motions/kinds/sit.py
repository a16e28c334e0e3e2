"""Sitting down on a seat, moving there, and standing up again."""

from __future__ import annotations

import numpy as np

from d3pose_core.data.motions import SHARD_FPS
from tools.make_motions import upper
from tools.make_motions.clip import Clip
from tools.make_motions.curves import Schedule, smooth, sway
from tools.make_motions.feet import stance, support, walk
from tools.make_motions.rig import SIDES
from tools.make_motions.rotations import about
from tools.make_motions.stand import Controls, Held, solve

_STYLES: upper.Styles = {
    upper.front: 2.0,
    upper.hanging: 2.0,
    upper.on_hips: 1.0,
    upper.wide: 1.5,
    upper.overhead: 1.0,
    upper.anywhere: 2.0,
}


def perform(rng: np.random.Generator) -> Clip:
    """Stands, sits, stands; it may begin or end seated."""
    down = rng.uniform(0.6, 2.0) if rng.random() < 0.7 else -2.0
    seated = rng.uniform(3, 9)
    length = rng.uniform(0.9, 1.6)
    up = down + length + seated
    frames = int(SHARD_FPS * (up + rng.choice([-0.5, 2.5])))
    times = np.arange(frames) / SHARD_FPS
    share = np.interp(times, [down, down + length, up, up + length], [0, 1, 1, 0])
    share = smooth(share**2 * (3 - 2 * share), 0.1)

    feet, left = walk(
        frames,
        stance(rng.uniform(0.16, 0.45), rng.uniform(0, 0.3), rng.normal() * 0.06),
        [],
        rng.uniform(0, 0.2),
    )
    seat = rng.uniform(0.40, 0.55) + 0.09  # the pelvis joint over the seat
    back = rng.uniform(0.30, 0.48)
    middle = 0.5 * (feet["left"].ball[0] + feet["right"].ball[0]) - [0, 0, back + 0.1]
    place = np.tile([middle[0], seat, middle[2]], (frames, 1)) + sway(
        rng, frames, (3,), [0.014, 0, 0.014]
    )

    schedule = Schedule.random(rng, frames / SHARD_FPS, (0.6, 1.6), (0.2, 2))
    count = len(schedule)
    bend = np.radians(rng.normal(size=(count, 3)) * [14, 14, 9] + [12, 0, 0])
    pose = np.zeros((frames, 24, 3))
    upper.write_arms(pose, rng, schedule, upper.arm_keys(rng, count, _STYLES), 2)
    upper.write_trunk(pose, rng, schedule, bend, upper.looks(rng, 0.3 + bend[:, 0]))
    # The trunk goes forward on the way down and up, and rests upright or leaning between.
    rest = schedule.curve(np.radians(rng.uniform(-25, 12, count)), frames)
    way = 4 * share * (1 - share)
    pitch = share * rest + way * rng.uniform(0.2, 0.6) + sway(rng, frames, (), 0.02)
    yaw, roll = schedule.curve(np.radians(rng.normal(size=(count, 2)) * [7, 3]), frames).T
    pelvis = about(1, yaw) @ about(2, roll) @ about(0, pitch)
    where = support(feet, left) + sway(rng, frames, (2,), 0.014)
    controls = Controls(pose, pelvis, np.full(frames, 0.008), where, feet, held=Held(share, place))
    solved, root = solve(controls)
    return Clip(solved, root, {s: feet[s].planted > 0.99 for s in SIDES})
