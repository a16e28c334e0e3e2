"""BlazePose on a stream of images: several people, tracked by their landmarks, new ones searched
for.

A tracked person costs one run of the landmark network a frame and no detection: the landmarks of
one frame say where to look in the next. The detector runs only while fewer than `max_people` are
tracked.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from d3pose_core.errors import InputError
from d3pose_core.landmark_models import FULL
from d3pose_core.observe.blazepose import BlazePoseLandmarker, Landmarks
from d3pose_core.observe.blazepose_detector import BlazePoseDetector
from d3pose_core.observe.image import check_image
from d3pose_core.observe.observation import Detection, PersonDetector, PersonObservation, Roi
from d3pose_core.observe.roi import is_sound, roi_from_box
from d3pose_core.observe.search import PersonSearch
from d3pose_core.observe.tracker import Tracker, TrackerConfig

# Windows about a lost person, in ROI sizes, taken in turn: the usual one, then wider.
_NEAR_LOST = (1.3, 2.0)
# A detection this near to a tracked person (hips, in ROI sizes) is that person.
_KNOWN = 0.25
# Windows looked into in a stream's first frame, until somebody is found.
_FIRST_SEARCHES = 8
_FOUND_SCORE = 0.7
# A place at which there was nobody new is looked at last for so long: furniture that resembles a person would
# take the looks that others need.
_REFUSED_S = 0.5
# The parts of an observer that are the same in every frame.
_NOT_REMEMBERED = ("_landmarker", "_detector", "_tracker", "_search")


class BlazePoseObserver:
    """PersonObserver by BlazePose.

    `max_people`: at most so many are tracked; when they are, no time goes into searching.
    `detector`: your own PersonDetector instead of BlazePose's; it is shown whole images.
    `landmarks`: one of `landmark_models.LANDMARKS`, or the .tflite file of another BlazePose network.
    `num_threads`: of each network.
    `smallest_person`: height of the smallest person that BlazePose's detector is to look for, in
    units of the image's height; smaller takes longer to find.
    `search_interval_s`: while somebody is tracked and nobody is lost, search this often.
    `tracking`: see TrackerConfig; its `max_people` is overruled by the argument.

    One observer is for one stream and one thread. Raises ModelFileMissing when the networks are not
    in the cache.

    Attributes:
        stage_times_ms: what the last frame cost: "landmarks", and "detect", which is 0 in most frames.
    """

    def __init__(
        self,
        max_people: int = 5,
        detector: PersonDetector | None = None,
        landmarks: str | Path = FULL,
        num_threads: int = 2,
        smallest_person: float = 0.125,
        search_interval_s: float = 0.1,
        tracking: TrackerConfig | None = None,
    ) -> None:
        if search_interval_s < 0:
            raise InputError(f"search_interval_s must not be negative: {search_interval_s}")
        options = {**vars(tracking or TrackerConfig()), "max_people": max_people}
        self._tracker = Tracker(TrackerConfig(**options))
        self._landmarker = BlazePoseLandmarker(landmarks, num_threads)
        if detector is None:
            own = BlazePoseDetector(num_threads=num_threads)
            self._search = PersonSearch(own, smallest_person)
        else:
            self._search = PersonSearch(detector, smallest_person=None)
        self._searches_own_windows = detector is None
        self._search_interval_s = search_interval_s
        self._size: tuple[int, ...] | None = None
        self._stamp_s = -math.inf
        self._searched_s = -math.inf
        self._refused: list[tuple[Roi, float]] = []  # places, and when they were looked at, s
        self._turn = 0
        self.stage_times_ms = {"landmarks": 0.0, "detect": 0.0}

    def reset(self) -> None:
        """Forget all tracks and what was searched; ids go on counting."""
        self._tracker.reset()
        self._search.reset()
        self._stamp_s = self._searched_s = -math.inf
        self._refused = []

    def limit(self, max_people: int) -> None:
        """Track at most so many from the next frame on."""
        self._tracker.limit(max_people)

    def memory(self) -> dict[str, Any]:
        """What is remembered between two frames, for `recall`; `snapshot` keeps it in a file."""
        parts = {"tracker": self._tracker, "search": self._search, "self": self}
        return {
            name: {key: value for key, value in vars(part).items() if key not in _NOT_REMEMBERED}
            for name, part in parts.items()
        }

    def recall(self, memory: dict[str, Any]) -> None:
        """Go on as the observer that `memory` is from would have; one of the same options."""
        for name, part in (("tracker", self._tracker), ("search", self._search), ("self", self)):
            vars(part).update(memory[name])

    def __call__(self, image_bgr: np.ndarray, stamp_s: float) -> list[PersonObservation]:
        """One frame: uint8 [H, W, 3] and its time, s. Returns the people seen in it, by id.

        A time before the last one's, or another image size, starts afresh. Raises InputError.
        """
        check_image(image_bgr)
        if not math.isfinite(stamp_s):
            raise InputError(f"the image's stamp must be a finite number of seconds, not {stamp_s}")
        if stamp_s < self._stamp_s or image_bgr.shape != self._size:
            self.reset()
        self._stamp_s, self._size = stamp_s, image_bgr.shape
        tracker = self._tracker
        self.stage_times_ms = dict.fromkeys(self.stage_times_ms, 0.0)
        tracker.forget(stamp_s)
        with self._timed("landmarks"):
            found = self._landmarker.several(image_bgr, [track.roi for track in tracker.tracks])
        tracker.follow(list(zip(tracker.tracks, found, strict=True)), stamp_s)
        self._search.see(image_bgr, [track.roi for track in tracker.tracks])
        if not tracker.is_full:
            self._look_for_others(image_bgr, stamp_s)
        return tracker.people(stamp_s)

    def _look_for_others(self, image_bgr: np.ndarray, stamp_s: float) -> None:
        """Two detector calls when nobody is tracked; else one at most, and not in every frame."""
        self._turn += 1
        alone = not self._tracker.tracks
        is_due = stamp_s - self._searched_s >= self._search_interval_s
        found: list[Detection] = []
        if self._tracker.lost and self._searches_own_windows:
            lost = self._tracker.lost[self._turn % len(self._tracker.lost)]
            place = Roi(lost.expected(stamp_s), lost.roi.size, 0.0)
            widening = _NEAR_LOST[self._turn // len(self._tracker.lost) % len(_NEAR_LOST)]
            with self._timed("detect"):
                found += self._search.search_near(image_bgr, place, widening)
            searches = 1 if alone else 0
        elif alone and self._searches_own_windows:
            searches = 2 if math.isfinite(self._searched_s) else _FIRST_SEARCHES
        else:
            searches = 1 if alone or is_due or self._tracker.lost else 0
        for _ in range(searches):
            with self._timed("detect"):
                found += self._search.search(image_bgr)
            self._searched_s = stamp_s
            if alone and any(d.score >= _FOUND_SCORE for d in found):
                break
        self._take_in(image_bgr, found, stamp_s)

    def _take_in(self, image_bgr: np.ndarray, found: list[Detection], stamp_s: float) -> None:
        """Put landmarks on the best unknown detections, one a frame, or two while alone."""
        tries = 1 if self._tracker.tracks else 2
        self._refused = [(r, since) for r, since in self._refused if stamp_s - since < _REFUSED_S]
        for roi in _in_turn(found, [r for r, _ in self._refused]):
            if tries == 0 or self._tracker.is_full:
                return
            if any(_is_near(roi, track.roi) for track in self._tracker.tracks):
                continue
            tries -= 1
            with self._timed("landmarks"):
                landmarks = self._settle(image_bgr, roi)
            if landmarks is not None and self._tracker.add(landmarks, stamp_s) is None:
                self._refused.append((roi, stamp_s))

    def _settle(self, image_bgr: np.ndarray, roi: Roi) -> Landmarks | None:
        """Landmarks of a detection: its ROI is rough, so a second look goes where the first leads."""
        first = self._landmarker(image_bgr, roi)
        if first.score < self._tracker.config.keep_score or not is_sound(first.next_roi):
            return None
        return self._landmarker(image_bgr, first.next_roi)

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.stage_times_ms[stage] += 1e3 * (time.perf_counter() - began)


def _in_turn(found: list[Detection], refused: list[Roi]) -> list[Roi]:
    """Where to look: the surest detections first, but those last at whose place nobody new was lately."""

    def turn(place: tuple[Roi, float]) -> tuple[bool, float]:
        roi, score = place
        return any(_is_near(roi, other) for other in refused), -score

    places = [(d.roi or roi_from_box(d.box), d.score) for d in found]
    return [roi for roi, _ in sorted((p for p in places if is_sound(p[0])), key=turn)]


def _is_near(roi: Roi, known: Roi) -> bool:
    return float(np.linalg.norm(roi.center - known.center)) < _KNOWN * known.size
