"""Falling, lying, sitting on the floor, on all fours, and getting up."""

from __future__ import annotations

import numpy as np

from d3pose_core.data.motions import SHARD_FPS
from tools.make_motions import upper
from tools.make_motions.arms import ARM
from tools.make_motions.clip import Clip
from tools.make_motions.curves import Schedule, sway
from tools.make_motions.ground import settle
from tools.make_motions.kinds.postures import POSTURES, take
from tools.make_motions.rig import J
from tools.make_motions.rotations import about, from_quaternion, quaternion

_NEXT: dict[str, tuple[str, ...]] = {
    "stand": ("stoop", "squat", "half kneel", "fall back", "fall front", "fall side"),
    "stoop": ("stand", "squat", "bear", "all fours"),
    "squat": ("stand", "bent sit", "all fours", "heels", "stoop"),
    "half kneel": ("stand", "kneel", "all fours"),
    "kneel": ("half kneel", "heels", "all fours"),
    "heels": ("kneel", "all fours", "squat"),
    "all fours": ("all fours", "kneel", "heels", "prone", "bear", "plank", "half kneel"),
    "bear": ("stoop", "all fours", "plank"),
    "plank": ("prone", "all fours", "bear"),
    "prone": ("all fours", "side", "plank"),
    "supine": ("knees up", "side", "lean sit", "legs up"),
    "knees up": ("supine", "side", "lean sit", "bent sit"),
    "legs up": ("supine", "knees up", "lean sit"),
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
# Left and right may change places where a posture looks alike from both sides.
_ALIKE = ("stand", "squat", "all fours", "bent sit", "supine", "prone")
_PARTS = (
    *([J[f"{side}_{n}"] for n in ("hip", "knee", "ankle", "foot")] for side in ("left", "right")),
    list(upper.SPINE),
    [J["neck"], J["head"]],
    *ARM.values(),
)


def perform(rng: np.random.Generator) -> Clip:
    names, schedule = _story(rng)
    frames = int(SHARD_FPS * (schedule.leave[-1] + 0.2))
    keys: list[np.ndarray] = []
    turned = []
    mirrored, heading = rng.random() < 0.5, 0.0
    for name in names:
        mirrored = mirrored != (name in _ALIKE and rng.random() < 0.5)
        key, turn = take(rng, POSTURES[name], keys[-1] if keys else None, mirrored)
        heading += rng.normal() * 0.25
        keys.append(key)
        turned.append(about(1, heading) @ turn)
    quaternions = quaternion(np.stack(turned))
    for k in range(1, len(names)):
        if quaternions[k] @ quaternions[k - 1] < 0:
            quaternions[k] *= -1
    orientation = from_quaternion(schedule.curve(quaternions, frames, 0.1))
    pose, all_keys = np.zeros((frames, 24, 3)), np.stack(keys)
    for joints in _PARTS:
        part = schedule.jittered(rng, 0.1).curve(all_keys[:, joints], frames, 0.1)
        pose[:, joints] = part + sway(rng, frames, (len(joints), 3), np.radians(1.0))
    return Clip(*settle(pose, orientation, np.zeros(2)))


def _story(rng: np.random.Generator) -> tuple[list[str], Schedule]:
    """Postures one after the other, and when they are reached and left."""
    name = str(rng.choice(list(POSTURES))) if rng.random() < 0.75 else "stand"
    names, arrive, leave = [name], [0.0], [rng.uniform(0.3, 1.2)]
    tempo, end = rng.uniform(0.75, 1.4), rng.uniform(6, 11)
    while leave[-1] < end:
        following = str(rng.choice(_NEXT[name]))
        falls = _FALLS.get(following)
        for part in falls or (following,):
            name = part
            names.append(name)
            move = rng.uniform(0.35, 0.6) if falls else tempo * rng.uniform(0.8, 1.7)
            arrive.append(leave[-1] + move)
            passes = falls is not None and part != falls[-1]
            leave.append(arrive[-1] + (0.0 if passes else tempo * rng.uniform(0.1, 1.6)))
    return names, Schedule(np.array(arrive), np.array(leave))
