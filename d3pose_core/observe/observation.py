"""What one frame tells about one person, and the protocols that detectors and observers fulfil."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np

from d3pose_core.skeleton import NUM_LANDMARKS, RIVALS


@dataclass(frozen=True)
class Roi:
    """A rotated square of the image in which one person is upright: what a landmark network is
    shown.

    `center` [2] px; `size` of a side, px; `angle` rad, clockwise in the image (0: person upright).
    """

    center: np.ndarray
    size: float
    angle: float


@dataclass(frozen=True)
class Detection:
    """One person found in an image. `roi` is set by detectors that know how the person is turned."""

    box: np.ndarray  # [4] x0, y0, x1, y1, px
    score: float  # 0..1
    roi: Roi | None = None


# What BlazePose says of most landmarks of most people (docs/observation_errors.md).
UNKNOWN_CERTAINTY = 0.65


@dataclass(frozen=True)
class PersonObservation:
    """One person in one frame, as the landmark network reports it (BlazePose's 33 landmarks)."""

    track_id: int
    keypoints: np.ndarray  # [33, 2] px, image position
    depth_hint: np.ndarray  # [33] px: relative depth in image scale, hips near 0, smaller is nearer
    landmarks: np.ndarray  # [33, 3] m: origin mid-hip, optical axes of a camera facing the person
    visibility: np.ndarray  # [33] 0..1: probability of being seen (in the image and not hidden)
    presence: np.ndarray  # [33] 0..1: probability of lying inside the image
    # [33] 0..1: how clearly the image shows it where it was put, see `blazepose.certainties`. An observer
    # that can't tell gives UNKNOWN_CERTAINTY.
    certainty: np.ndarray
    score: float  # 0..1: that this is a person at all
    box: np.ndarray  # [4] x0, y0, x1, y1, px: around the landmarks
    # [33, RIVALS, 2] px: where else the image may show it, see `blazepose.rivals`. An observer that can't
    # tell leaves these out.
    rivals: np.ndarray = field(default_factory=lambda: np.zeros((NUM_LANDMARKS, RIVALS, 2)))
    # [33, RIVALS] 0..1, highest first; 0: there is none, and its place means nothing.
    rival_certainty: np.ndarray = field(default_factory=lambda: np.zeros((NUM_LANDMARKS, RIVALS)))


@runtime_checkable
class PersonDetector(Protocol):
    """Finds people in a single image; plug in your own by fulfilling this."""

    def detect(self, image_bgr: np.ndarray) -> list[Detection]:
        """`image_bgr`: uint8 [H, W, 3]. Returns people in any order; boxes in pixels of this image."""
        ...


@runtime_checkable
class PersonObserver(Protocol):
    """Finds, tracks and landmarks people in a stream of images."""

    def __call__(self, image_bgr: np.ndarray, stamp_s: float) -> list[PersonObservation]:
        """`image_bgr`: uint8 [H, W, 3]; `stamp_s`: s, increasing. Track ids are stable and never reused."""
        ...

    def reset(self) -> None:
        """Forget all tracks (ids go on counting)."""
        ...
