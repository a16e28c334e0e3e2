"""Skin, hair and clothes for the free body: a colour and a thickness of cloth for each vertex."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from d3pose_core.body.arrays import MARKER_NAMES, BodyArrays
from d3pose_core.skeleton import JOINT_NAMES

# B, G, R of skin from light to dark, and of hair.
_SKIN = np.array([[170, 195, 235], [135, 170, 220], [110, 145, 195], [75, 105, 155], [50, 70, 105]])
_HAIR = np.array([[25, 25, 30], [35, 50, 75], [80, 120, 160], [60, 130, 190], [150, 150, 150]])


@dataclass
class Outfit:
    color: np.ndarray  # [V, 3] B, G, R, 0..255
    thickness: np.ndarray  # [V] m, outwards from the skin


def random_outfit(body: BodyArrays, rng: np.random.Generator) -> Outfit:
    """Short or long sleeves and trousers, plain or patterned; hair or none; a face."""
    rest = body.v_template.astype(np.float64)
    part = np.array(JOINT_NAMES)[body.weights.argmax(1)]
    joint = dict(zip(JOINT_NAMES, body.joint_regressor @ rest, strict=True))

    skin = _SKIN[rng.integers(len(_SKIN))] * rng.uniform(0.85, 1.1)
    color = np.tile(skin, (len(rest), 1)) * (1 + 0.03 * rng.normal(size=(len(rest), 1)))
    thickness = np.zeros(len(rest))

    def put_on(where: np.ndarray, cloth: np.ndarray, thick: float) -> None:
        color[where] = cloth[where]
        thickness[where] = thick

    waist = rng.uniform(joint["pelvis"][1] - 0.02, joint["spine1"][1])
    on_arm = np.isin(part, [f"{s}_{p}" for s in ("left", "right") for p in _ARM])
    on_head = part == "head"
    on_hand = np.isin(part, ["left_hand", "right_hand"])
    trousers_end = rng.choice([joint["left_knee"][1] + 0.1, joint["left_ankle"][1] + 0.05])
    trousers = (rest[:, 1] < waist) & (rest[:, 1] > trousers_end) & ~on_arm
    put_on(trousers, _cloth(rest, rng), rng.uniform(0, 0.02))
    sleeve = rng.choice([0.24, 0.34, 0.6, 0.66], p=[0.1, 0.45, 0.1, 0.35])
    neckline = joint["neck"][1] - rng.uniform(0.0, 0.06)
    hem = waist - rng.choice([0.0, 0.1])
    shirt = np.where(on_arm, np.abs(rest[:, 0]) < sleeve, (rest[:, 1] > hem))
    shirt &= (rest[:, 1] < neckline) & ~on_head & ~on_hand
    put_on(shirt, _cloth(rest, rng), rng.uniform(0, 0.02))
    if rng.random() < 0.9:
        shoe_top = joint["left_ankle"][1] + rng.uniform(-0.02, 0.06)
        put_on(rest[:, 1] < shoe_top, _cloth(rest, rng, plain=True), 0.004)
    _paint_face(color, body, on_head, skin, rng)
    if rng.random() < 0.9:
        hair = np.tile(_HAIR[rng.integers(len(_HAIR))] * rng.uniform(0.7, 1.2), (len(rest), 1))
        hair *= 1 + 0.15 * rng.normal(size=(len(rest), 1))
        put_on(_scalp(body, on_head | (part == "neck"), rng), hair, rng.uniform(0.003, 0.025))
    return Outfit(color.clip(0, 255), thickness)


_ARM = ("shoulder", "elbow", "wrist", "hand")


def _cloth(rest: np.ndarray, rng: np.random.Generator, plain: bool = False) -> np.ndarray:
    """Colour [V, 3] of a cloth that covers everything: plain, striped, checked or spotted."""
    saturated = rng.uniform(15, 245, 3)
    base = saturated + rng.uniform(0, 1) * (saturated.mean() - saturated)
    color = np.tile(base, (len(rest), 1))
    kind = "plain" if plain else rng.choice(["plain", "stripes", "checks", "spots"], p=_PATTERNS)
    phase = 2 * np.pi * (rest / rng.uniform(0.05, 0.15) + rng.random(3))
    axis = rng.integers(2)
    if kind == "stripes":
        mixed = np.sin(phase[:, axis]) > rng.uniform(-0.3, 0.8)
    elif kind == "checks":
        mixed = (np.sin(phase[:, 0]) > 0) ^ (np.sin(phase[:, 1]) > 0)
    elif kind == "spots":
        mixed = np.sin(phase).prod(1) + 0.3 * rng.normal(size=len(rest)) > 0.2
    else:
        mixed = np.zeros(len(rest), bool)
    color[mixed] = rng.uniform(10, 250, 3)
    return color * (1 + 0.05 * rng.normal(size=(len(rest), 1)))


_PATTERNS = [0.5, 0.2, 0.15, 0.15]


def _paint_face(
    color: np.ndarray, body: BodyArrays, on_head: np.ndarray, skin: np.ndarray, rng
) -> None:
    """Eyes, brows, mouth, sometimes a beard: what tells a face from the back of a head."""
    rest = body.v_template
    markers = dict(zip(MARKER_NAMES, rest[body.marker_vertices], strict=True))
    nose = markers["nose"]
    front = on_head & (rest[:, 2] > nose[2] - 0.09)

    def near(x: float, y: float, half_width: float, half_height: float) -> np.ndarray:
        square = ((rest[:, 0] - x) / half_width) ** 2 + ((rest[:, 1] - y) / half_height) ** 2
        return front & (square < 1)

    dark = skin * rng.uniform(0.15, 0.45)
    if rng.random() < 0.2:
        color[front & (rest[:, 1] < nose[1] - 0.02)] = dark
    color[near(0, nose[1] - 0.042, 0.028, 0.008)] = skin * [0.5, 0.5, 0.85]
    for eye in (markers["left_eye"], markers["right_eye"]):
        color[near(eye[0], eye[1] + 0.022, 0.020, 0.006)] = dark
        color[near(eye[0], eye[1], 0.015, 0.008)] = 215
        color[near(eye[0], eye[1], 0.007, 0.008)] = (40, 40, 35)


def _scalp(body: BodyArrays, on_head: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """[V] bool: where hair grows: above the forehead, and behind the ears down to some length."""
    rest = body.v_template
    markers = dict(zip(MARKER_NAMES, rest[body.marker_vertices], strict=True))
    eye, ear = markers["left_eye"], markers["left_ear"]
    above = (rest[:, 1] > eye[1] + rng.uniform(0.04, 0.06)) | (
        (rest[:, 1] > eye[1]) & (rest[:, 2] < ear[2] + 0.02)
    )
    behind = (rest[:, 2] < ear[2] - 0.015) & (rest[:, 1] > ear[1] - rng.uniform(0.02, 0.15))
    return on_head & (above | behind)
