"""Falling, lying, sitting on the floor, crawling, and getting up."""

from __future__ import annotations

import numpy as np

from d3pose_core.data.motions import SHARD_FPS
from tools.make_motions import upper
from tools.make_motions.arms import ARM, MIRROR, arm_bank
from tools.make_motions.clip import Clip
from tools.make_motions.curves import Schedule, sway
from tools.make_motions.ground import settle
from tools.make_motions.rig import J
from tools.make_motions.rotations import about, from_quaternion, quaternion, rotvec

# Of each posture: pelvis (pitch forward, roll to the left side, both degrees), trunk bend forward, legs
# (flexion, out, turned out, knee, toes pointed) and their spread, and where the hands are, about the
# chest (left hand: x left, y up along the trunk, z to the front), m. None: anywhere.
_POSTURES: dict[str, tuple] = {
    "stand": ((2, 0), 3, (4, 4, 2, 8, 0), 2, None),
    "stoop": ((45, 0), 40, (75, 8, 5, 60, -10), 6, (0.25, -0.2, 0.5)),
    "squat": ((12, 0), 35, (105, 14, 8, 130, -25), 6, (0.25, -0.2, 0.5)),
    "half kneel": ((5, 0), 10, "half", 6, None),
    "kneel": ((3, 0), 8, (4, 6, 0, 92, 30), 4, None),
    "heels": ((8, 0), 15, (62, 8, 0, 135, 38), 4, None),
    "all fours": ((82, 0), 5, (82, 6, 0, 88, 30), 8, (0.18, 0.05, 0.55)),
    "bear": ((70, 0), 10, (80, 6, 0, 35, -20), 10, (0.2, 0.2, 0.55)),
    "plank": ((72, 0), 0, (2, 4, 0, 6, -25), 4, (0.18, 0.05, 0.55)),
    "prone": ((90, 0), -8, (0, 8, 5, 10, 35), 8, (0.35, 0.25, 0.15)),
    "supine": ((-90, 0), 4, (5, 8, 15, 8, 25), 10, None),
    "knees up": ((-88, 0), 6, (45, 6, 0, 85, 5), 8, None),
    "side": ((-90, 90), 12, (45, 4, 0, 60, 15), 18, (0.1, 0.0, 0.4)),
    "long sit": ((-8, 0), 22, (82, 12, 8, 12, 5), 8, (0.3, -0.3, -0.2)),
    "bent sit": ((-18, 0), 32, (92, 10, 5, 88, 5), 8, (0.2, -0.2, 0.4)),
    "lean sit": ((-40, 0), 20, (58, 10, 5, 70, 5), 10, (0.3, -0.35, -0.3)),
    "cross sit": ((-10, 0), 28, (88, 38, 35, 118, 5), 5, None),
}
_NEXT: dict[str, tuple[str, ...]] = {
    "stand": ("stoop", "squat", "half kneel", "fall back", "fall front", "fall side"),
    "stoop": ("stand", "squat", "bear", "all fours"),
    "squat": ("stand", "bent sit", "all fours", "heels", "stoop"),
    "half kneel": ("stand", "kneel", "all fours"),
    "kneel": ("half kneel", "heels", "all fours", "half kneel"),
    "heels": ("kneel", "all fours", "squat"),
    "all fours": ("all fours", "kneel", "heels", "prone", "bear", "plank", "half kneel"),
    "bear": ("stoop", "all fours", "plank"),
    "plank": ("prone", "all fours", "bear"),
    "prone": ("all fours", "side", "plank"),
    "supine": ("knees up", "side", "lean sit"),
    "knees up": ("supine", "side", "lean sit", "bent sit"),
    "side": ("supine", "prone", "knees up", "lean sit"),
    "long sit": ("bent sit", "lean sit", "cross sit"),
    "bent sit": ("long sit", "lean sit", "cross sit", "squat"),
    "lean sit": ("supine", "knees up", "bent sit", "long sit"),
    "cross sit": ("bent sit", "long sit", "heels"),
}
# A fall passes through these, quickly.
_FALLS = {
    "fall back": ("squat", "lean sit", "supine"),
    "fall front": ("kneel", "all fours", "prone"),
    "fall side": ("squat", "bent sit", "side"),
}


def perform(rng: np.random.Generator) -> Clip:
    names, schedule = _story(rng)
    frames = int(SHARD_FPS * (schedule.leave[-1] + 0.2))
    count = len(names)
    keys = np.zeros((count, 24, 3))
    turns = np.zeros((count, 3))
    arms = {side: np.zeros((count, 4, 3)) for side in ARM}
    mirrored = False
    for k, name in enumerate(names):
        if name in ("stand", "squat", "all fours", "bent sit") and rng.random() < 0.5:
            mirrored = not mirrored
        before = {side: arms[side][k - 1] if k else None for side in ARM}
        turns[k] = _posture(rng, name, keys[k], arms, k, before, mirrored)
    turns[:, 2] = np.cumsum(rng.normal(size=count) * 0.25)
    matrices = about(1, turns[:, 2]) @ about(0, turns[:, 0]) @ about(1, turns[:, 1])
    quaternions = quaternion(matrices)
    for k in range(1, count):
        if quaternions[k] @ quaternions[k - 1] < 0:
            quaternions[k] *= -1
    together = schedule.jittered(rng, 0.08)
    orientation = from_quaternion(together.curve(quaternions, frames, 0.1))
    pose = np.zeros((frames, 24, 3))
    for joints in ((1, 4, 7, 10), (2, 5, 8, 11), (3, 6, 9), (12, 15)):
        part = schedule.jittered(rng, 0.12).curve(keys[:, list(joints)], frames, 0.1)
        pose[:, list(joints)] = part + sway(rng, frames, (len(joints), 3), np.radians(0.8))
    upper.write_arms(
        pose, rng, schedule, {"left": arms["left"], "right": arms["right"] * MIRROR}, 1.0
    )
    solved, root = settle(pose, orientation, np.zeros(2))
    return Clip(solved, root)


def _story(rng: np.random.Generator) -> tuple[list[str], Schedule]:
    """Postures one after the other, and when they are reached and left."""
    name = str(rng.choice(list(_POSTURES))) if rng.random() < 0.6 else "stand"
    names, arrive, leave = [name], [0.0], [rng.uniform(0.3, 1.2)]
    while leave[-1] < rng.uniform(8, 14):
        following = str(rng.choice(_NEXT[name]))
        for part in _FALLS.get(following, (following,)):
            falls = following in _FALLS
            name = part
            move = rng.uniform(0.35, 0.6) if falls else rng.uniform(0.8, 1.7)
            names.append(name)
            arrive.append(leave[-1] + move)
            still = 0.0 if falls and part != _FALLS[following][-1] else rng.uniform(0.1, 1.6)
            leave.append(arrive[-1] + still)
    return names, Schedule(np.array(arrive), np.array(leave))


def _posture(
    rng: np.random.Generator,
    name: str,
    key: np.ndarray,
    arms: dict[str, np.ndarray],
    k: int,
    before: dict[str, np.ndarray | None],
    mirrored: bool,
) -> tuple[float, float, float]:
    """Fills one key, and returns the pelvis's pitch and roll (rad)."""
    (pitch, roll), bend, legs, spread, hands = _POSTURES[name]
    upright = abs(pitch) < 60
    pitch += rng.normal() * (5 if upright else 3)
    roll = np.where(mirrored, -roll, roll) + rng.normal() * (4 if upright else 8)
    trunk = np.radians(np.array([bend, 0, 0]) + rng.normal(size=3) * [8, 8, 7])
    for joint, share in upper.SPINE.items():
        key[joint] = trunk * share
    look = upper.looks(rng, np.radians([0.6 * max(pitch, 0) + bend]))[0]
    key[J["neck"]] = key[J["head"]] = look / 2
    for side, sign in (("left", 1.0), ("right", -1.0)):
        leg = legs
        if legs == "half":
            front = (side == "left") != mirrored
            leg = (88, 8, 5, 90, 2) if front else (-2, 5, 0, 92, 30)
        flex, out, turn, knee, toes = np.array(leg, float) + rng.normal(size=5) * spread * [
            1,
            0.5,
            0.4,
            1,
            0.6,
        ]
        knee = np.clip(knee, 0, 140)
        hip = about(2, sign * np.radians(out)) @ about(0, -np.radians(flex))
        key[J[f"{side}_hip"]] = rotvec(hip @ about(1, sign * np.radians(turn)))
        key[J[f"{side}_knee"], 0] = np.radians(knee)
        key[J[f"{side}_ankle"], 0] = np.radians(toes)
        bank = arm_bank()
        if hands is None:
            allowed = upper.front(bank) | upper.hanging(bank) | upper.anywhere(bank)
            arms[side][k] = bank.pick(rng, allowed, before[side])
        else:
            place = np.array(hands) + rng.normal(size=3) * 0.05
            arms[side][k] = bank.reach(rng, place, before[side])
    return np.radians(pitch), np.radians(float(roll)), 0.0
