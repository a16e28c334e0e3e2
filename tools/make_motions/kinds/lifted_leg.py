"""Where a leg goes that is lifted while the other one stands."""

from __future__ import annotations

import numpy as np

from tools.make_motions.geometry import segment_distance
from tools.make_motions.rig import J, rig
from tools.make_motions.rotations import about, matrix, rotvec

_TRIES = 16
_PATH = np.array([0.25, 0.5, 0.75, 1.0])  # where the way between two poses is looked at
_CLEARANCE_M, _LEGS_APART_M = 0.1, 0.12
_CHANCES = [0.22, 0.24, 0.22, 0.16, 0.06, 0.10]


def leg_keys(rng: np.random.Generator, count: int) -> dict[str, np.ndarray]:
    """Poses of a lifted right leg, and how pelvis and trunk answer them.

    Returns:
        `hip`, `knee`, `ankle` [count, 3] rotation vectors; `bend` [count, 3] of the whole spine;
        `yaw`, `pitch`, `roll` [count] of the pelvis, rad; `crouch` [count] m.
    """
    return _choose(_any_keys(rng, _TRIES * count), count)


def _any_keys(rng: np.random.Generator, count: int) -> dict[str, np.ndarray]:
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


def _choose(keys: dict[str, np.ndarray], count: int) -> dict[str, np.ndarray]:
    """One of every `_TRIES` keys, such that the way there is free of floor and standing leg."""
    names = ("hip", "knee", "ankle", "pitch", "roll", "crouch")
    chosen = np.zeros(count, int)
    for k in range(count):
        tries = np.arange(k * _TRIES, (k + 1) * _TRIES)
        before = chosen[k - 1] if k else tries[:1]
        way = {}
        for name in names:
            start, end = keys[name][before], keys[name][tries]
            share = _PATH.reshape(-1, *[1] * (end.ndim - 1))
            way[name] = (start + share * (end[:, None] - start)).reshape(-1, *end.shape[1:])
        free = _free_of_floor_and_leg(way).reshape(_TRIES, -1)
        chosen[k] = tries[free.sum(1).argmax()]
    return {name: values[chosen] for name, values in keys.items()}


def _free_of_floor_and_leg(keys: dict[str, np.ndarray]) -> np.ndarray:
    """[N] bool, taking the standing leg for a vertical one under the left hip."""
    body = rig()
    left, right = J["left_hip"], J["right_hip"]
    pelvis = about(2, keys["roll"]) @ about(0, keys["pitch"])
    turn = pelvis @ matrix(keys["hip"])
    knee = pelvis @ (body.bones[right] - body.bones[left]) + turn @ body.bones[J["right_knee"]]
    turn = turn @ matrix(keys["knee"])
    ankle = knee + turn @ body.bones[J["right_ankle"]]
    toes = ankle + turn @ matrix(keys["ankle"]) @ (1.4 * body.bones[J["right_foot"]])
    floor = -(body.rest[left, 1] - body.floor) + keys["crouch"]
    free = np.minimum(ankle[:, 1], toes[:, 1]) > floor + _CLEARANCE_M
    hip, foot = np.zeros_like(knee), np.zeros_like(knee)
    foot[:, 1] = floor
    free &= segment_distance(knee, ankle, hip, foot) > _LEGS_APART_M
    return free & (segment_distance(ankle, toes, hip, foot) > _LEGS_APART_M - 0.01)
