"""A landmark network's two readings of one person, as seen and as in a mirror, made one.

What a network says of a person and of their mirror image differs by its errors only, so that the mean is
nearer to the truth (the *flip test* of pose networks; Newell et al., "Stacked Hourglass Networks", 2016).
Where the two are too far apart to be one place and some error, the surer one holds.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from d3pose_core.observe import roi as geometry
from d3pose_core.observe.observation import Roi
from d3pose_core.skeleton import LANDMARK_MIRROR, LANDMARK_NAMES

if TYPE_CHECKING:
    from d3pose_core.observe.blazepose import Landmarks

# Distances between the two readings, in sizes of the ROI. Landmarks further apart than this are two places;
_ONE_PLACE = 0.06
# and people whose limbs are, on average, may have been taken from the front once and once from behind.
_SAME_SIDES = 0.03
_LIMBS = slice(LANDMARK_NAMES.index("left_shoulder"), LANDMARK_NAMES.index("left_heel"))
_EXCHANGED = list(LANDMARK_MIRROR)
_LEAST_CERTAINTY = 1e-3


def unmirrored(found: Landmarks, roi: Roi) -> Landmarks:
    """What a network found in a ROI's mirror image, back in the image, left and right the person's own."""
    turn = geometry.rotation(roi)
    # Across the line through the ROI's middle that is upright in it.
    reflect = (turn * [-1.0, 1.0]) @ turn.T

    def in_image(points: np.ndarray) -> np.ndarray:
        return ((points - roi.center) @ reflect + roi.center).astype(np.float32)

    metric = np.concatenate([found.landmarks[:, :2] @ reflect, found.landmarks[:, 2:]], axis=1)
    return replace(
        found,
        keypoints=in_image(found.keypoints)[_EXCHANGED],
        landmarks=metric.astype(np.float32)[_EXCHANGED],
        rivals=in_image(found.rivals)[_EXCHANGED],
        next_roi=Roi(
            in_image(found.next_roi.center),
            found.next_roi.size,
            math.remainder(2 * roi.angle - found.next_roi.angle, 2 * math.pi),
        ),
        **{
            name: getattr(found, name)[_EXCHANGED]
            for name in ("depth_hint", "visibility", "presence", "certainty", "rival_certainty")
        },
    )


def joined(one: Landmarks, other: Landmarks, roi: Roi) -> Landmarks:
    """Two readings of one person in one ROI as one.

    Whoever was taken from the front in one and from behind in the other is as the surer reading has them.
    Else landmarks lie between their two places, nearer to the surer. Where these are far apart, they and
    their counterparts are as the reading has them that is surer of both. Rivals are the surer reading's.
    """
    apart = np.linalg.norm(one.keypoints - other.keypoints, axis=1) / roi.size
    exchanged = np.linalg.norm(one.keypoints - other.keypoints[_EXCHANGED], axis=1) / roi.size
    mean_apart = apart[_LIMBS].mean()
    if mean_apart > _SAME_SIDES and exchanged[_LIMBS].mean() < mean_apart:
        return one if one.certainty.mean() >= other.certainty.mean() else other

    weights = np.stack([one.certainty, other.certainty]) + np.float32(_LEAST_CERTAINTY)
    share = weights[0] / weights.sum(axis=0)
    # Left and right go together: of two readings that have exchanged the legs, each may be surer of one.
    far = apart > _ONE_PLACE
    two_places = far | far[_EXCHANGED]
    pair = weights + weights[:, _EXCHANGED]
    first = np.where(two_places, pair[0] >= pair[1], share >= 0.5)
    share = np.where(two_places, first, share).astype(np.float32)

    def surer(name: str) -> np.ndarray:
        return _where(first, getattr(one, name), getattr(other, name))

    def mean(name: str) -> np.ndarray:
        return (getattr(one, name) + getattr(other, name)) / 2

    def mean_of_one_place(name: str) -> np.ndarray:
        return _where(two_places, surer(name), mean(name))

    return replace(
        one,
        keypoints=share[:, None] * one.keypoints + (1 - share[:, None]) * other.keypoints,
        rivals=surer("rivals"),
        rival_certainty=surer("rival_certainty"),
        visibility=mean("visibility"),
        presence=mean("presence"),
        score=(one.score + other.score) / 2,
        next_roi=_between(one.next_roi, other.next_roi),
        **{name: mean_of_one_place(name) for name in ("certainty", "landmarks", "depth_hint")},
    )


def _where(landmarks: np.ndarray, these: np.ndarray, those: np.ndarray) -> np.ndarray:
    """[33, ...]: `these` of the `landmarks` [33] that are True, else `those`."""
    return np.where(landmarks.reshape(-1, *[1] * (these.ndim - 1)), these, those)


def _between(one: Roi, other: Roi) -> Roi:
    turn = math.remainder(other.angle - one.angle, 2 * math.pi)
    return Roi((one.center + other.center) / 2, (one.size + other.size) / 2, one.angle + turn / 2)
