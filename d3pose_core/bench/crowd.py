"""Moving pictures of 1 to 8 real people: one man of the demo clip, side by side, each at another moment."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import cv2
import numpy as np

from d3pose_core import model_files
from d3pose_core.errors import InputError
from d3pose_core.video import ClipReader, View

CLIP = "demo.mp4"
# x, y, width, height: a man who stands on a block and swings his arms, with room about him.
_MAN = (455, 0, 390, 490)
_BETWEEN = 7  # frames from one person's moment to the next one's
_GREY = 110


@dataclass(frozen=True)
class Crowd:
    """`images` uint8 [H, W, 3] BGR, a cycle that goes on without a jump; `people` in each of them."""

    people: int
    images: list[np.ndarray]


def read_man(frames: int = 60) -> list[np.ndarray]:
    """The man in so many frames, to and fro. Raises ModelFileMissing: run `d3pose models fetch`."""
    clip = ClipReader(model_files.model_path(CLIP), View(crop=_MAN), max_frames=frames)
    there = [frame.image for frame in clip]
    return [*there, *there[-2:0:-1]]


def crowd(man: list[np.ndarray], people: int, width: int, height: int) -> Crowd:
    """So many people in images of this size, in rows as large as they fit. `man`: see `read_man`."""
    if people < 1:
        raise InputError(f"a crowd has at least one person, not {people}")
    columns, scale = _layout(people, width, height)
    size = round(_MAN[2] * scale), round(_MAN[3] * scale)
    rows = math.ceil(people / columns)
    small = [cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in man]
    images = []
    for moment in range(len(man)):
        image = np.full((height, width, 3), _GREY, np.uint8)
        for number, (row, column) in enumerate(itertools.product(range(rows), range(columns))):
            if number == people:
                break
            x = (2 * column + 1) * width // (2 * columns) - size[0] // 2
            y = (2 * row + 1) * height // (2 * rows) - size[1] // 2
            tile = small[(moment + number * _BETWEEN) % len(small)]
            image[y : y + size[1], x : x + size[0]] = tile
        images.append(image)
    return Crowd(people, images)


def _layout(people: int, width: int, height: int) -> tuple[int, float]:
    """Number of columns, and the scale of the clip's pixels, of the largest people that fit in."""
    scales = {
        columns: min(
            width / (columns * _MAN[2]), height / (math.ceil(people / columns) * _MAN[3]), 1.0
        )
        for columns in range(1, people + 1)
    }
    columns = max(scales, key=lambda columns: (scales[columns], columns))  # rather side by side
    return columns, scales[columns]
