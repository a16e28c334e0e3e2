"""Who is who from frame to frame: births, stable ids, short memory, no two tracks on one person.

Knows landmarks only, not networks or images, so that it can be tested with made-up people.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np

from d3pose_core.errors import InputError
from d3pose_core.observe.blazepose import Landmarks
from d3pose_core.observe.observation import PersonObservation, Roi
from d3pose_core.observe.roi import box_iou, box_overlap, is_sound
from d3pose_core.skeleton import LANDMARK_NAMES

# Shoulders, elbows, wrists, hips, knees, ankles: well-defined points that tell bodies apart.
_LIMBS = [
    index
    for index, name in enumerate(LANDMARK_NAMES)
    if name.split("_")[-1] in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
]
_TORSO = [i for i in _LIMBS if LANDMARK_NAMES[i].split("_")[-1] in ("shoulder", "hip")]

_SAME_PERSON = 0.1  # mean distance of limb joints, in ROI sizes, below which two bodies are one
_SAME_BOX = 0.5  # IoU of the landmark boxes above which a newcomer is not believed to be another
_SAME_HIPS = 0.2  # distance of the ROIs' centres, in the smaller one's size, below which neither
# The landmark network may see a body upside down or lying where the detector took arms for legs: somebody
# turned by more than this (rad) is not believed where their box lies mostly on that of a tracked person.
_TURNED = 1.0
_ON_ANOTHER = 0.5  # of the smaller box
_MAX_GROWTH = 1.8  # of the ROI from one frame to the next
_VELOCITY_BLEND = 0.3  # weight of the newest frame in the running velocity
_CERTAINTY_MEMORY_S = 0.3  # of the running certainty
_CERTAINTY_STEP_S = 0.1  # the most that one frame counts in it, after whatever pause
_LEAST_LIMBS = 4  # in the image, for their certainty to mean something
_MEMORY_REACH = 0.35  # ROI sizes within which a person reappears at once, ...
_MEMORY_DRIFT = 0.5  # ... and how this grows per second
_MEMORY_GROWTH = 2.0  # largest change of the ROI's size over an absence (people crouch and jump)


@dataclass(frozen=True)
class TrackerConfig:
    """`max_people`: tracks kept at once; scores and certainties 0..1 are the landmark network's.

    A score hardly tells a person from furniture that was taken for one; the certainty of the limbs does
    (docs/observation_errors.md#people-who-are-none). Its bounds are chosen on BlazePose's own networks; for
    one whose heatmaps are weaker, lower them. 0 switches them off.
    """

    max_people: int = 5
    birth_score: float = 0.7  # needed to start a track
    keep_score: float = 0.5  # below it a track is lost
    birth_certainty: float = 0.3  # of the limbs, on average; needed to start a track
    keep_certainty: float = 0.25  # a track whose limbs were below it in the last 0.3 s is lost
    confirm_frames: int = 3  # frames in a row before a new person is reported, ...
    sure_score: float = 0.95  # ... unless the landmark network is as sure as this from the start
    memory_s: float = 1.0  # a lost person who reappears within it has the old id
    max_gap_s: float = 2.0  # a longer pause in the stream ends all tracks

    def __post_init__(self) -> None:
        if self.max_people < 1:
            raise InputError(f"max_people must be at least 1, not {self.max_people}")
        if self.confirm_frames < 1:
            raise InputError(f"confirm_frames must be at least 1, not {self.confirm_frames}")
        if not 0.0 <= self.keep_score <= self.birth_score <= 1.0:
            raise InputError(
                "scores must be 0 <= keep_score <= birth_score <= 1, not "
                f"{self.keep_score} and {self.birth_score}"
            )
        if not 0.0 <= self.keep_certainty <= self.birth_certainty <= 1.0:
            raise InputError(
                "certainties must be 0 <= keep_certainty <= birth_certainty <= 1, not "
                f"{self.keep_certainty} and {self.birth_certainty}"
            )
        if not self.birth_score <= self.sure_score:
            raise InputError(
                f"sure_score must be at least birth_score {self.birth_score}, not {self.sure_score}"
            )
        if self.memory_s < 0 or self.max_gap_s <= 0:
            raise InputError(
                f"memory_s must be >= 0 and max_gap_s > 0, not {self.memory_s} and {self.max_gap_s}"
            )


@dataclass(eq=False)
class Track:
    """One person followed. `track_id` is None until the person is confirmed."""

    latest: Landmarks
    seen_s: float
    certainty: float  # of the limbs, a running mean
    track_id: int | None = None
    frames: int = 1
    velocity: np.ndarray = field(default_factory=lambda: np.zeros(2))  # px/s of the ROI's centre
    surprise: float = 0.0  # how far the last frame was from the expected place, ROI sizes

    @property
    def roi(self) -> Roi:
        """Where to look next, if the person stood still."""
        return self.latest.next_roi

    def expected(self, stamp_s: float) -> np.ndarray:
        """Centre [2] px of the person at a later time, at constant velocity for at most 0.5 s."""
        return self.roi.center + self.velocity * float(np.clip(stamp_s - self.seen_s, 0.0, 0.5))

    def certainty_with(self, found: Landmarks, stamp_s: float) -> float:
        """The running certainty once `found` is taken; as it was, if hardly a limb is in the image."""
        limbs = limb_certainty(found)
        if limbs is None:
            return self.certainty
        step_s = min(stamp_s - self.seen_s, _CERTAINTY_STEP_S)
        return limbs + math.exp(-step_s / _CERTAINTY_MEMORY_S) * (self.certainty - limbs)

    def follow(self, found: Landmarks, stamp_s: float) -> None:
        """Take the person's next frame."""
        self.certainty = self.certainty_with(found, stamp_s)
        passed = stamp_s - self.seen_s
        self.surprise = _distance(found.next_roi.center, self.expected(stamp_s)) / self.roi.size
        if passed > 0:
            moved = (found.next_roi.center - self.roi.center) / passed
            self.velocity = self.velocity + _VELOCITY_BLEND * (moved - self.velocity)
        self.latest = found
        self.seen_s = stamp_s
        self.frames += 1


class Tracker:
    """`tracks` are to be looked at in the next frame; `lost` are remembered for a while."""

    def __init__(self, config: TrackerConfig | None = None) -> None:
        self.config = config or TrackerConfig()
        self.tracks: list[Track] = []
        self.lost: list[Track] = []
        self._next_id = 0

    def reset(self) -> None:
        """Forget everybody; ids go on counting."""
        self.tracks, self.lost = [], []

    def limit(self, max_people: int) -> None:
        """From now on track so many; of more than those, the ones tracked last are given up."""
        self.config = replace(self.config, max_people=max_people)
        for track in self.tracks[max_people:]:
            self._lose(track)

    @property
    def is_full(self) -> bool:
        """Nobody else can be taken in."""
        return len(self.tracks) >= self.config.max_people

    def forget(self, stamp_s: float) -> None:
        """Drop what is too old at this time; call it when a frame comes."""
        if any(stamp_s - track.seen_s > self.config.max_gap_s for track in self.tracks):
            self.reset()
        self.lost = [t for t in self.lost if stamp_s - t.seen_s <= self.config.memory_s]

    def follow(self, seen: list[tuple[Track, Landmarks]], stamp_s: float) -> None:
        """Carry the tracks on with what the network saw in their ROIs; `seen` has all `tracks`."""
        alive = []
        for track, found in seen:
            if self._is_continuation(track, found, stamp_s):
                alive.append((track, found))
            else:
                self._lose(track)
        for track, found in self._without_duplicates(alive, stamp_s):
            track.follow(found, stamp_s)

    def add(self, found: Landmarks, stamp_s: float) -> Track | None:
        """Take in somebody found by search: as a lost person come back, or as a new one.

        None when this is nobody (low score), somebody already tracked, or one too many.
        """
        if self.is_full or not self._is_person(found):
            return None
        if any(same_person(found, track.latest, newcomer=True) for track in self.tracks):
            return None
        track = self._remembered(found, stamp_s)
        if track is not None:
            self.lost.remove(track)
            track.velocity = np.zeros(2)
            track.follow(found, stamp_s)
        else:
            # Nobody is trusted yet: furniture with one clear moment is lost in the next.
            track = Track(found, stamp_s, self.config.keep_certainty)
        self.tracks.append(track)
        return track

    def people(self, stamp_s: float) -> list[PersonObservation]:
        """The confirmed people seen at this time, by id."""
        for track in self.tracks:
            confirmed = track.frames >= self.config.confirm_frames
            if track.track_id is None and (
                confirmed or track.latest.score >= self.config.sure_score
            ):
                track.track_id = self._next_id
                self._next_id += 1
        seen = [t for t in self.tracks if t.track_id is not None and t.seen_s == stamp_s]
        return [_observation(track) for track in sorted(seen, key=lambda t: t.track_id or 0)]

    def _is_person(self, found: Landmarks) -> bool:
        limbs = limb_certainty(found)
        return (
            found.score >= self.config.birth_score
            and is_sound(found.next_roi)
            and float(found.presence[_TORSO].min()) > 0.5
            and limbs is not None
            and limbs >= self.config.birth_certainty
        )

    def _is_continuation(self, track: Track, found: Landmarks, stamp_s: float) -> bool:
        growth = found.next_roi.size / track.roi.size
        return (
            found.score >= self.config.keep_score
            and is_sound(found.next_roi)
            and 1 / _MAX_GROWTH < growth < _MAX_GROWTH
            and track.certainty_with(found, stamp_s) >= self.config.keep_certainty
        )

    def _without_duplicates(
        self, seen: list[tuple[Track, Landmarks]], stamp_s: float
    ) -> list[tuple[Track, Landmarks]]:
        """Of tracks that ended up on one person, keep the one that belongs there."""

        def claim(pair: tuple[Track, Landmarks]) -> tuple[bool, float]:
            """Order of precedence: confirmed first, then whoever was expected there."""
            track, found = pair
            leap = _distance(found.next_roi.center, track.expected(stamp_s)) / track.roi.size
            return (track.track_id is None, leap + track.surprise)

        kept: list[tuple[Track, Landmarks]] = []
        for track, found in sorted(seen, key=claim):
            if any(same_person(found, other) for _, other in kept):
                self._lose(track)
            else:
                kept.append((track, found))
        return kept

    def _lose(self, track: Track) -> None:
        """Take a track off the list; only confirmed people are remembered."""
        self.tracks.remove(track)
        if track.track_id is not None:
            self.lost.append(track)

    def _remembered(self, found: Landmarks, stamp_s: float) -> Track | None:
        """The lost person nearest to this one, if near enough."""
        best, best_distance = None, math.inf
        for track in self.lost:
            size = max(track.roi.size, found.next_roi.size)
            growth = size / min(track.roi.size, found.next_roi.size)
            reach = _MEMORY_REACH + _MEMORY_DRIFT * (stamp_s - track.seen_s)
            # Someone who walks on behind an obstacle, or who stopped there.
            places = (track.expected(stamp_s), track.roi.center)
            distance = min(_distance(found.next_roi.center, place) for place in places) / size
            if growth < _MEMORY_GROWTH and distance < min(reach, best_distance):
                best, best_distance = track, distance
        return best


def same_person(a: Landmarks, b: Landmarks, newcomer: bool = False) -> bool:
    """Whether two sets of landmarks lie on one body.

    For a `newcomer`, boxes that overlap much are enough, less where one is turned, or hips in one place:
    better to take in late than twice.
    """
    size = (a.next_roi.size + b.next_roi.size) / 2
    apart = np.linalg.norm(a.keypoints[_LIMBS] - b.keypoints[_LIMBS], axis=1).mean()
    if apart < _SAME_PERSON * size:
        return True
    if not newcomer:
        return False
    smaller = min(a.next_roi.size, b.next_roi.size)
    if _distance(a.next_roi.center, b.next_roi.center) < _SAME_HIPS * smaller:
        return True
    boxes = landmark_box(a), landmark_box(b)[None]
    if float(box_iou(*boxes)[0]) > _SAME_BOX:
        return True
    turned = abs(math.remainder(a.next_roi.angle - b.next_roi.angle, 2 * math.pi))
    return turned > _TURNED and float(box_overlap(*boxes)[0]) > _ON_ANOTHER


def limb_certainty(found: Landmarks) -> float | None:
    """How clearly the image shows the limb joints that lie in it, on average: 0..1; None if few do."""
    inside = found.presence[_LIMBS] > 0.5
    return float(found.certainty[_LIMBS][inside].mean()) if inside.sum() >= _LEAST_LIMBS else None


def landmark_box(found: Landmarks) -> np.ndarray:
    """[4] xyxy px around all landmarks, also those outside of the image."""
    return np.concatenate([found.keypoints.min(axis=0), found.keypoints.max(axis=0)])


def _distance(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.linalg.norm(a - b))


def _observation(track: Track) -> PersonObservation:
    found = track.latest
    assert track.track_id is not None
    return PersonObservation(
        track_id=track.track_id,
        keypoints=found.keypoints,
        depth_hint=found.depth_hint,
        landmarks=found.landmarks,
        visibility=found.visibility,
        presence=found.presence,
        certainty=found.certainty,
        rivals=found.rivals,
        rival_certainty=found.rival_certainty,
        score=found.score,
        box=landmark_box(found),
    )
