"""What is behind and before the person: photographs or made-up rooms, and furniture in the way."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Protocol

import cv2
import numpy as np

from d3pose_core import model_files
from d3pose_core.camera import Intrinsics

# Photographs in scikit-image's package that show no person. Free to use; see its data/README.txt.
_PHOTOGRAPHS = ("brick", "chelsea", "coffee", "grass", "gravel", "motorcycle_left", "rocket")
_SIDE = 900  # px of a background's shorter side
_MARGIN = 1.35  # how much wider than the first view a background is, for cameras that turn


@cache
def photographs() -> list[np.ndarray]:
    """[H, W, 3] uint8 B, G, R: scikit-image's, and the demo clip's scenery without its people."""
    from pathlib import Path

    import skimage.data

    folder = Path(skimage.data.__file__).parent
    images = []
    for name in _PHOTOGRAPHS:
        path = next(folder.glob(f"{name}.*"))
        image = cv2.imread(str(path), cv2.IMREAD_COLOR)
        assert image is not None, path
        images.append(image)
    return [*images, *[_demo_scenery()] * 3]


def _demo_scenery() -> np.ndarray:
    """The median over time of the demo clip, in which everybody moves."""
    capture = cv2.VideoCapture(str(model_files.model_path("demo.mp4")))
    frames = []
    while True:
        good, frame = capture.read()
        if not good:
            break
        frames.append(cv2.resize(frame, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))
    return np.median(np.stack(frames[::10]), axis=0).astype(np.uint8)


class Backdrop(Protocol):
    """What is behind the people."""

    def seen_after(self, turn: np.ndarray) -> np.ndarray:
        """[H, W, 3] uint8 after the camera's `turn` [3, 3] (first optical frame -> present one)."""


class Background:
    """A far picture that turns with the camera; where it ends it is mirrored."""

    def __init__(self, intrinsics: Intrinsics, rng: np.random.Generator):
        picture = _photograph(rng) if rng.random() < 0.7 else _made_up(rng)
        height, width = picture.shape[:2]
        # The first view sees the middle of the picture, all but a margin.
        zoom = min(width / intrinsics.width, height / intrinsics.height) / _MARGIN
        self._picture = picture
        self._from_ray = np.array(
            [
                [intrinsics.fx * zoom, 0, width / 2],
                [0, intrinsics.fy * zoom, height / 2],
                [0, 0, 1],
            ]
        )
        self._camera = np.array(
            [[intrinsics.fx, 0, intrinsics.cx], [0, intrinsics.fy, intrinsics.cy], [0, 0, 1]]
        )
        self._size = intrinsics.width, intrinsics.height

    def seen_after(self, turn: np.ndarray) -> np.ndarray:
        """[H, W, 3] uint8 after the camera's `turn` [3, 3] (first optical frame -> present one)."""
        to_picture = self._from_ray @ turn.T @ np.linalg.inv(self._camera)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return cv2.warpPerspective(
            self._picture, to_picture, self._size, flags=flags, borderMode=cv2.BORDER_REFLECT
        )


def _photograph(rng: np.random.Generator) -> np.ndarray:
    """A random part of a photograph, at times mirrored, blurred, in other colours."""
    image = photographs()[rng.integers(len(photographs()))]
    height, width = image.shape[:2]
    share = rng.uniform(0.5, 1.0)
    h, w = int(share * height), int(share * width)
    y, x = rng.integers(height - h + 1), rng.integers(width - w + 1)
    image = image[y : y + h, x : x + w]
    if rng.random() < 0.5:
        image = image[:, ::-1]
    scale = _SIDE / min(h, w)
    image = cv2.resize(np.ascontiguousarray(image), None, fx=scale, fy=scale)
    if rng.random() < 0.5:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(1, 8))
    gain = rng.uniform(0.6, 1.2) * rng.uniform(0.85, 1.15, 3)
    return (image * gain + rng.uniform(-20, 30)).clip(0, 255).astype(np.uint8)


def _made_up(rng: np.random.Generator) -> np.ndarray:
    """A room: wall and floor of different colours with pictures, doors, and uneven light."""
    width, height = round(_SIDE * 1.6), _SIDE
    image = np.empty((height, width, 3), np.float32)
    horizon = int(height * rng.uniform(0.45, 0.8))
    image[:horizon] = _muted(rng)
    image[horizon:] = 0.8 * _muted(rng)
    for _ in range(rng.integers(3, 14)):
        w, h = (rng.uniform(0.03, 0.25, 2) * [width, 2 * height]).astype(int)
        x, y = rng.integers(-w // 2, width), rng.integers(-h // 2, horizon)
        corner = (int(x), int(y)), (int(x + w), int(min(y + h, horizon + 60)))
        cv2.rectangle(image, *corner, _muted(rng).tolist(), -1)
        if rng.random() < 0.5:
            cv2.rectangle(image, *corner, _muted(rng).tolist(), int(rng.integers(2, 9)))
    uneven = cv2.resize(rng.uniform(0.7, 1.2, (4, 6)).astype(np.float32), (width, height))
    grain = cv2.resize(
        rng.normal(0, 8, (height // 3, width // 3)).astype(np.float32), (width, height)
    )
    return (image * uneven[..., None] + grain[..., None]).clip(0, 255).astype(np.uint8)


def _muted(rng: np.random.Generator) -> np.ndarray:
    """A colour [3] as rooms have them, seldom a bright one."""
    color = rng.uniform(10, 250, 3)
    return color.mean() + rng.beta(1, 2.5) * (color - color.mean())


@dataclass
class Obstacle:
    """A box that stands in the world (y up), m."""

    vertices: np.ndarray  # [V, 3] world
    faces: np.ndarray  # [F, 3]
    color: np.ndarray  # [V, 3] B, G, R


def random_obstacle(pelvis: np.ndarray, camera: np.ndarray, rng: np.random.Generator) -> Obstacle:
    """A table, a counter or a post between the camera and the person; world positions [3]."""
    away = (camera - pelvis) * [1, 0, 1]
    distance = max(float(np.linalg.norm(away)), 0.1)
    away /= distance
    side = np.cross([0, 1, 0], away)
    if rng.random() < 0.65:  # furniture
        size = np.array([rng.uniform(0.5, 1.8), rng.uniform(0.5, 1.1), rng.uniform(0.2, 0.7)])
        height = size[1] / 2
    else:  # a post or the edge of a door
        size = np.array([rng.uniform(0.1, 0.4), 3.0, 0.2])
        height = 1.5
    near = min(rng.uniform(0.4, 1.2) + size[2] / 2, 0.6 * distance)
    center = pelvis + near * away + rng.uniform(-0.6, 0.6) * side
    center[1] = height
    vertices, faces = _box(cells=10)
    turn = rng.uniform(-0.5, 0.5)
    x_axis = np.cos(turn) * side + np.sin(turn) * away
    axes = np.stack([x_axis, [0, 1, 0], np.cross(x_axis, [0, 1, 0])])
    color = rng.uniform(20, 230, 3) * (1 + 0.12 * rng.normal(size=(len(vertices), 1)))
    return Obstacle(center + (vertices * size) @ axes, faces, color.clip(0, 255))


def _box(cells: int) -> tuple[np.ndarray, np.ndarray]:
    """A unit cube about the origin, each side a grid: vertices [V, 3], faces [F, 3]."""
    grid = np.linspace(-0.5, 0.5, cells + 1)
    u, v = (axis.ravel() for axis in np.meshgrid(grid, grid))
    index = np.arange((cells + 1) ** 2).reshape(cells + 1, cells + 1)
    a, b, c, d = (
        i.ravel() for i in (index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1])
    )
    square = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])
    vertices: list[np.ndarray] = []
    faces: list[np.ndarray] = []
    for axis in range(3):
        for end in (-0.5, 0.5):
            points = np.insert(np.stack([u, v], 1), axis, end, axis=1)
            faces.append(square + len(vertices) * len(points))
            vertices.append(points)
    return np.concatenate(vertices), np.concatenate(faces)
