"""Where to look for people who are not tracked yet, a few windows at a time.

BlazePose's detector finds a person who fills about 0.3 to 0.9 of the height of its window. To find
the smaller ones, the image is covered by a pyramid of overlapping square windows; each search
looks into the one that is most overdue, sooner where something moves. The cost of a frame is
bounded by the number of searches in it, not by the number of windows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from d3pose_core.errors import InputError
from d3pose_core.observe.observation import Detection, PersonDetector, Roi

# From one level of windows to the next; persons of 0.4 to 0.75 of a window's side are seen well.
_LEVEL_FACTOR = 1.8
_SMALLEST_IN_WINDOW = 0.4
# Steps in units of a window's side: people are tall, so windows must overlap more from top to
# bottom.
_STEP_X = 0.7
_STEP_Y = 0.5
_MIN_WINDOW = 64  # px; below it there is nothing to see
_MOST_ACROSS = 64  # windows' sides in the image's longer one: else long strips would have very many

_MOTION_GRID = 8  # px between the samples compared from frame to frame
_MOTION_LEVEL = 18  # grey levels of 255
_MOTION_GAIN = 6.0


@dataclass(frozen=True)
class Windows:
    """`boxes` [N, 4] int xyxy px; `weight` [N]: how often a window is searched, relatively."""

    boxes: np.ndarray
    weight: np.ndarray


def pyramid(width: int, height: int, smallest_person: float) -> Windows:
    """The whole image, then squares from its shorter side down.

    `smallest_person`: height of the smallest person to look for, in units of the image's height.
    """
    weights = {(0, 0, width, height): 4.0}  # by box; the first of the same counts
    smallest_side = max(_MIN_WINDOW, max(width, height) / _MOST_ACROSS)
    side = max(float(min(width, height)), smallest_side)
    level_weight = 4.0
    wanted = smallest_person * height
    while True:
        for y in _starts(height, side, _STEP_Y):
            for x in _starts(width, side, _STEP_X):
                box = (x, y, min(width, x + math.ceil(side)), min(height, y + math.ceil(side)))
                weights.setdefault(box, level_weight)
        if side * _SMALLEST_IN_WINDOW <= wanted or side / _LEVEL_FACTOR < smallest_side:
            return Windows(np.array(list(weights)), np.array(list(weights.values())))
        side /= _LEVEL_FACTOR
        level_weight = max(1.0, level_weight / 2)


def _starts(length: int, side: float, step: float) -> list[int]:
    """Evenly spaced window starts that cover `length` with steps of at most `step * side`."""
    spare = length - side
    if spare < 1:
        return [0]
    count = math.ceil(spare / (step * side)) + 1
    return [round(start) for start in np.linspace(0, spare, count)]


class PersonSearch:
    """Spends detector calls on windows of the image.

    `smallest_person` in units of the image's height; None searches the whole image only, for
    detectors that see small people by themselves.
    """

    def __init__(self, detector: PersonDetector, smallest_person: float | None = 0.125) -> None:
        if smallest_person is not None and not 0.0 < smallest_person <= 1.0:
            raise InputError(f"smallest_person must be in (0, 1], not {smallest_person}")
        self._detector = detector
        self._smallest_person = smallest_person
        self.reset()

    def reset(self) -> None:
        """Forget which windows were searched, and the last image."""
        self._size: tuple[int, int] | None = None
        self._windows = Windows(np.zeros((0, 4), int), np.zeros(0))
        self._last_search = np.zeros(0)
        self._searches = 0
        self._samples: np.ndarray | None = None
        self._moving: np.ndarray | None = None

    def see(self, image_bgr: np.ndarray, known: list[Roi]) -> None:
        """Take note of what moves; call it for each frame, before `search`.

        `known`: ROIs of people who are tracked; what moves there needs no search.
        """
        height, width = image_bgr.shape[:2]
        if self._size != (width, height):
            self.reset()
            self._size = (width, height)
            if self._smallest_person is None:
                self._windows = Windows(np.array([[0, 0, width, height]]), np.ones(1))
            else:
                self._windows = pyramid(width, height, self._smallest_person)
            # Unseen windows are overdue by the same amount; their weights order them.
            self._last_search = np.full(len(self._windows.weight), -100.0)
        samples = image_bgr[::_MOTION_GRID, ::_MOTION_GRID, 1].astype(np.int16)
        if self._samples is None:
            self._moving = np.zeros(samples.shape, bool)
        else:
            self._moving = np.abs(samples - self._samples) > _MOTION_LEVEL
            for roi in known:
                x0, y0 = np.maximum((roi.center - roi.size / 2) // _MOTION_GRID, 0).astype(int)
                x1, y1 = np.maximum((roi.center + roi.size / 2) // _MOTION_GRID + 1, 0).astype(int)
                self._moving[y0:y1, x0:x1] = False
        self._samples = samples

    def search(self, image_bgr: np.ndarray) -> list[Detection]:
        """People in the window that is most overdue, in px of the image."""
        self._searches += 1
        overdue = (self._searches - self._last_search) * self._windows.weight
        chosen = int(np.argmax(overdue * (1.0 + _MOTION_GAIN * self._motion())))
        self._last_search[chosen] = self._searches
        return self._detect(image_bgr, self._windows.boxes[chosen])

    def search_near(self, image_bgr: np.ndarray, roi: Roi, widening: float) -> list[Detection]:
        """People about the place of `roi`, within a window `widening` times its size."""
        height, width = image_bgr.shape[:2]
        half = max(roi.size * widening, _MIN_WINDOW) / 2
        limit = [width, height]
        low = np.clip(np.floor(roi.center - half), 0, limit).astype(int)
        high = np.clip(np.ceil(roi.center + half), 0, limit).astype(int)
        if (high - low).min() < 8:
            return []
        return self._detect(image_bgr, np.concatenate([low, high]))

    def _motion(self) -> np.ndarray:
        """How much moves in each window [N]: 1 when a person's worth of it does, or more."""
        moving = self._moving
        if moving is None or not moving.any():
            return np.zeros(len(self._windows.weight))
        total = np.pad(moving.astype(np.int64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
        x0, y0, x1, y1 = (-(-self._windows.boxes // _MOTION_GRID)).T
        count = total[y1, x1] - total[y0, x1] - total[y1, x0] + total[y0, x0]
        area = np.maximum((y1 - y0) * (x1 - x0), 1)
        # Edges of a walking person cover about a thirtieth of a window that suits the person.
        return np.minimum(1.0, 30.0 * count / area)

    def _detect(self, image_bgr: np.ndarray, window: np.ndarray) -> list[Detection]:
        x0, y0, x1, y1 = (int(value) for value in window)
        shift = np.array([x0, y0], np.float32)
        people = []
        for found in self._detector.detect(image_bgr[y0:y1, x0:x1]):
            roi = found.roi
            if roi is not None:
                roi = Roi(roi.center + shift, roi.size, roi.angle)
            box = np.asarray(found.box, np.float32) + np.concatenate([shift, shift])
            people.append(Detection(box, found.score, roi))
        return people
