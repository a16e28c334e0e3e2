"""Keeping the balance: on one leg, the other one anywhere, or along a line; arms mostly wide."""

from __future__ import annotations

import numpy as np

from d3pose_core.data.motions import SHARD_FPS
from tools.make_motions import upper
from tools.make_motions.clip import Clip
from tools.make_motions.curves import Schedule, sway
from tools.make_motions.feet import Step, stance, support, walk
from tools.make_motions.kinds.lifted_leg import leg_keys
from tools.make_motions.rig import SIDES, J
from tools.make_motions.rotations import about
from tools.make_motions.stand import Controls, solve

_STYLES: upper.Styles = {
    upper.wide_straight: 5.0,
    upper.wide: 3.0,
    upper.overhead: 1.6,
    upper.front: 1.0,
    upper.on_hips: 0.5,
    upper.hanging: 0.7,
    upper.behind: 0.4,
    upper.anywhere: 1.5,
}


def perform(rng: np.random.Generator) -> Clip:
    return _along_a_line(rng) if rng.random() < 0.2 else _on_one_leg(rng)


def _on_one_leg(rng: np.random.Generator) -> Clip:
    """Lifts the right leg, holds it in several poses, and mostly sets it down again."""
    frames = int(SHARD_FPS * rng.uniform(7, 13))
    schedule = Schedule.random(rng, frames / SHARD_FPS, (0.6, 1.9), (0.3, 2.2))
    count = len(schedule)
    up = _lifted(rng, count)
    keys = leg_keys(rng, count)
    keys = {name: np.where(up.reshape(-1, *[1] * (v.ndim - 1)), v, 0) for name, v in keys.items()}
    pose = np.zeros((frames, 24, 3))
    look = upper.looks(rng, keys["pitch"] + keys["bend"][:, 0])
    upper.write_arms(pose, rng, schedule, upper.arm_keys(rng, count, _STYLES), rng.uniform(2, 7))
    upper.write_trunk(pose, rng, schedule, keys["bend"], look, 3.0)
    wobble = upper.flail(pose, rng, 6.0)
    together = schedule.jittered(rng, 0.08)
    unrest = np.radians([2.1, 0.7, 1.1]) * rng.uniform(0.7, 2.5)
    for name in ("hip", "knee", "ankle"):
        curve = together.curve(keys[name], frames)
        pose[:, J[f"right_{name}"]] = curve + sway(rng, frames, (3,), unrest, (0.15, 2.0))
    pose[:, J["right_hip"]] += wobble[:, None] * np.radians(rng.normal(size=3) * [8, 3, 8])

    feet, _ = walk(frames, stance(rng.uniform(0.17, 0.32), rng.uniform(0, 0.35)), [], 0.05)
    feet["left"].heel = schedule.curve(_tiptoe(rng, up), frames)
    right = feet["right"]
    # The weight is over the standing foot before the other one leaves the floor.
    left_share = schedule.curve(np.where(np.append(up[1:], up[-1]) | up, 1.0, 0.5), frames, 0.15)
    raised = schedule.curve(up.astype(float), frames, 0.04)
    right.planted = np.clip(1 - 12 * raised, 0, 1)
    right.free = np.clip((raised - 0.04) / 0.9, 0, 1)
    right.free = right.free**2 * (3 - 2 * right.free)
    right.ball[:, 1] = 0.22 * raised
    right.heel = 0.5 * np.sin(np.pi * np.clip(raised, 0, 1))

    turns = [together.curve(keys[n], frames) for n in ("yaw", "pitch", "roll")]
    turns = [t + sway(rng, frames, (), np.radians(1.7), (0.15, 1.6)) for t in turns]
    turns[2] += wobble * np.radians(rng.normal() * 4)
    pelvis = about(1, turns[0]) @ about(2, turns[2]) @ about(0, turns[1])
    crouch = schedule.jittered(rng).curve(keys["crouch"] + 0.004, frames)
    crouch = np.maximum(crouch + sway(rng, frames, (), 0.006), 0)
    where = support(feet, left_share) + sway(rng, frames, (2,), [0.015, 0.022])
    where[:, 0] += 0.012 * wobble
    solved, root = solve(Controls(pose, pelvis, crouch, where, feet))
    return Clip(solved, root, {"left": np.ones(frames, bool), "right": right.planted > 0.99})


def _along_a_line(rng: np.random.Generator) -> Clip:
    """Slow steps, one foot before the other, as on a beam."""
    toes_out, width = rng.uniform(0, 0.25), rng.uniform(0.0, 0.1)
    start = stance(width, toes_out, rng.uniform(0.15, 0.45))
    steps, now, z = [], rng.uniform(0.5, 1.5), start["left"][1]
    side = "right"
    forward = 1 if rng.random() < 0.75 else -1
    tempo = rng.uniform(0.8, 1.9)
    if forward < 0:
        side, z = "left", start["right"][1]
    while now < rng.uniform(6, 10):
        length = tempo * rng.uniform(0.7, 1.3)
        z += forward * rng.uniform(0.2, 0.55)
        sign = 1 if side == "left" else -1
        place = (sign * width / 2 + rng.normal() * 0.01, z)
        steps.append(Step(side, now, now + length, place, sign * toes_out, rng.uniform(0.05, 0.4)))
        now += length + rng.uniform(0.3, 1.2)
        side = SIDES[side == "left"]
    frames = int(SHARD_FPS * now)
    feet, left_share = walk(frames, start, steps, rng.uniform(0, 0.1))
    schedule = Schedule.random(rng, frames / SHARD_FPS, (0.5, 1.5), (0.1, 1.2))
    count = len(schedule)
    bend = np.radians(rng.normal(size=(count, 3)) * [7, 9, 10])
    pose = np.zeros((frames, 24, 3))
    styles = _STYLES | {upper.wide_straight: 12.0, upper.wide: 6.0}
    upper.write_arms(pose, rng, schedule, upper.arm_keys(rng, count, styles), rng.uniform(3, 8))
    look = upper.looks(rng, bend[:, 0])
    look[:, 0] += rng.uniform(0, 0.5)  # where the feet go
    upper.write_trunk(pose, rng, schedule, bend, look, 4.0)
    wobble = upper.flail(pose, rng, 5.0)
    yaw, pitch, roll = schedule.curve(np.radians(rng.normal(size=(count, 3)) * [7, 5, 4]), frames).T
    roll = roll + wobble * np.radians(rng.normal() * 4) + sway(rng, frames, (), np.radians(2.1))
    pelvis = about(1, yaw) @ about(2, roll) @ about(0, pitch)
    crouch = 0.01 + np.maximum(schedule.curve(rng.uniform(0, 0.08, count), frames), 0)
    where = support(feet, left_share) + sway(rng, frames, (2,), 0.02)
    where[:, 0] += 0.015 * wobble
    solved, root = solve(Controls(pose, pelvis, crouch, where, feet))
    return Clip(solved, root, {side: feet[side].planted > 0.99 for side in SIDES})


def _lifted(rng: np.random.Generator, count: int) -> np.ndarray:
    """[count] bool, in which keys the leg is up; it starts on the floor, and one key before a lift too."""
    up = np.zeros(count, bool)
    k = int(rng.integers(0, 2))
    if rng.random() < 0.35:  # already on one leg
        up[0] = True
        k = 0
    while k < count:
        hold = int(rng.integers(2, 6))
        up[k + (not up[0] or k > 0) : k + 1 + hold] = True
        k += hold + 1 + int(rng.integers(1, 3))
    return up


def _tiptoe(rng: np.random.Generator, up: np.ndarray) -> np.ndarray:
    if rng.random() > 0.15:
        return np.zeros(len(up))
    return np.where(up & (rng.random(len(up)) < 0.5), rng.uniform(0.3, 0.7), 0.0)
