"""Standing on one leg: the other one anywhere, arms wide, the trunk leaning against it."""

from __future__ import annotations

import numpy as np

from d3pose_core.data.motions import SHARD_FPS
from tools.make_motions import upper
from tools.make_motions.clip import Clip
from tools.make_motions.curves import Schedule, sway
from tools.make_motions.feet import stance, support, walk
from tools.make_motions.rig import J, rig
from tools.make_motions.rotations import about, matrix, rotvec
from tools.make_motions.stand import Controls, solve

_STYLES = {
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
    """Lifts the right leg, holds it in several poses, and mostly sets it down again."""
    frames = int(SHARD_FPS * rng.uniform(8, 18))
    schedule = Schedule.random(rng, frames / SHARD_FPS, (0.6, 1.9), (0.3, 2.2))
    count = len(schedule)
    up = _lifted(rng, count)
    keys = _off_the_floor(_leg_keys(rng, 8 * count), count)
    keys = {name: np.where(up.reshape(-1, *[1] * (v.ndim - 1)), v, 0) for name, v in keys.items()}
    pose = np.zeros((frames, 24, 3))
    upper.write_arms(pose, rng, schedule, upper.arm_keys(rng, count, _STYLES), rng.uniform(1.5, 5))
    upper.write_trunk(
        pose, rng, schedule, keys["bend"], upper.looks(rng, keys["pitch"] + keys["bend"][:, 0]), 1.5
    )
    together = schedule.jittered(rng, 0.08)
    for name in ("hip", "knee", "ankle"):
        curve = together.curve(keys[name], frames)
        pose[:, J[f"right_{name}"]] = curve + sway(rng, frames, (3,), np.radians(1.5)) * [
            1,
            0.3,
            0.5,
        ]

    feet, _ = walk(frames, stance(rng.uniform(0.1, 0.26), rng.uniform(0, 0.35)), [], 0.05)
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
    turns = [t + sway(rng, frames, (), np.radians(1.2)) for t in turns]
    pelvis = about(1, turns[0]) @ about(2, turns[2]) @ about(0, turns[1])
    crouch = schedule.jittered(rng).curve(keys["crouch"] + 0.004, frames)
    crouch = np.maximum(crouch + sway(rng, frames, (), 0.004), 0)
    where = support(feet, left_share) + sway(rng, frames, (2,), [0.011, 0.016])
    controls = Controls(pose, pelvis, crouch, where, feet)
    solved, root = solve(controls)
    return Clip(solved, root, {"left": np.ones(frames, bool), "right": right.planted > 0.99})


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


def _leg_keys(rng: np.random.Generator, count: int) -> dict[str, np.ndarray]:
    """Joints of the right leg [count, 3], and how pelvis and trunk answer it."""
    degrees = {name: np.zeros(count) for name in ("yaw", "pitch", "roll", "crouch")}
    flex, out, turn, knee, point = (np.zeros(count) for _ in range(5))
    bend = np.zeros((count, 3))
    bend[:] = rng.normal(size=(count, 3)) * [8, 10, 8]
    degrees["yaw"] = rng.normal(size=count) * 10
    degrees["crouch"] = np.abs(rng.normal(size=count)) * 0.04
    for k in range(count):
        match rng.choice(["front", "side", "back", "tucked", "across", "low"], p=_CHANCES):
            case "front":
                flex[k], knee[k] = rng.uniform(25, 95), rng.uniform(0, 70)
                out[k] = rng.uniform(-10, 25)
                degrees["pitch"][k] = rng.uniform(-22, 12)
                bend[k, 0] += rng.uniform(-12, 15)
            case "side":
                out[k], flex[k] = rng.uniform(20, 52), rng.uniform(-10, 30)
                turn[k], knee[k] = rng.uniform(-5, 35), rng.uniform(0, 55)
                degrees["roll"][k] = rng.uniform(-32, 2)
                bend[k, 2] += rng.uniform(-25, 20)
            case "back":
                flex[k], knee[k] = rng.uniform(-27, 5), rng.uniform(0, 90)
                out[k] = rng.uniform(-8, 25)
                degrees["pitch"][k] = rng.uniform(5, 80)
                bend[k, 0] += rng.uniform(-30, 20)
            case "tucked":
                flex[k], knee[k] = rng.uniform(40, 110), rng.uniform(60, 135)
                out[k], turn[k] = rng.uniform(-8, 40), rng.uniform(-10, 40)
                degrees["pitch"][k] = rng.uniform(-12, 10)
            case "across":
                out[k], flex[k], knee[k] = (
                    rng.uniform(-18, 0),
                    rng.uniform(15, 60),
                    rng.uniform(5, 80),
                )
                degrees["roll"][k] = rng.uniform(-8, 8)
            case "low":
                degrees["crouch"][k] = rng.uniform(0.1, 0.4)
                flex[k], knee[k] = rng.uniform(20, 90), rng.uniform(0, 60)
                out[k] = rng.uniform(-5, 35)
                degrees["pitch"][k] = rng.uniform(0, 40)
                bend[k, 0] += rng.uniform(0, 25)
        point[k] = rng.uniform(-15, 40)
    hip = about(2, -np.radians(out)) @ about(0, -np.radians(flex)) @ about(1, -np.radians(turn))
    return {
        "hip": rotvec(hip),
        "knee": np.radians(knee)[:, None] * [1.0, 0, 0],
        "ankle": np.radians(point)[:, None] * [1.0, 0, 0],
        "bend": np.radians(np.clip(bend, [-45, -38, -38], [80, 38, 38])),
        "crouch": degrees["crouch"],
    } | {name: np.radians(degrees[name]) for name in ("yaw", "pitch", "roll")}


def _off_the_floor(keys: dict[str, np.ndarray], count: int) -> dict[str, np.ndarray]:
    """The first of every 8 keys whose foot is in the air while the other one stands."""
    body = rig()
    left, right = J["left_hip"], J["right_hip"]
    hip, knee = matrix(keys["hip"]), matrix(keys["knee"])
    shank = body.bones[J["right_ankle"]] + matrix(keys["ankle"]) @ (
        1.4 * body.bones[J["right_foot"]]
    )
    shank = np.stack([shank, np.broadcast_to(body.bones[J["right_ankle"]], shank.shape)], 1)
    foot = body.bones[J["right_knee"]] + (knee[:, None] @ shank[..., None])[..., 0]
    foot = body.bones[right] - body.bones[left] + (hip[:, None] @ foot[..., None])[..., 0]
    pelvis = about(2, keys["roll"]) @ about(0, keys["pitch"])
    leg = body.rest[left, 1] - body.floor
    height = (pelvis[:, None] @ foot[..., None])[..., 1, 0].min(1) + leg - keys["crouch"]
    good = (height > 0.1).reshape(count, 8)
    chosen = np.arange(count) * 8 + np.where(
        good.any(1), good.argmax(1), height.reshape(count, 8).argmax(1)
    )
    return {name: values[chosen] for name, values in keys.items()}


_CHANCES = [0.22, 0.24, 0.22, 0.16, 0.06, 0.10]
