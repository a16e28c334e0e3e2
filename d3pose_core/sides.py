"""Left and right, kept apart over time.

A landmark network now and then takes a person's front for their back, for a frame or for seconds: left and
right change places, near becomes far. No person turns about within a frame. So where an observation fits
the last recovered pose clearly better the other way round, it is turned before the network reads it. The last
pose may be what is wrong, above all in the beginning; so the observations vote: once most of those of the
last while have seen the person the other way round, they are believed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from d3pose_core.model.tokens import ObservationBatch
from d3pose_core.skeleton import JOINT_NAMES, LANDMARK_MIRROR, LANDMARK_TO_JOINT

# One way round fits better if its squared misses are less than this share of the other's; else both fit.
CLEARLY = 0.6
# Nor does a pose say anything of an observation elsewhere: the id may have gone over to somebody else.
ELSEWHERE_M = 0.35
# A vote counts half after 3.5 s. Somebody who was lost for longer than LOST_S may have turned meanwhile.
MEMORY_S = 5.0
LOST_S = 0.3
# A landmark that is further off is wrong either way.
LARGEST_MISS_M = 0.3
LEAST_WEIGHT = 0.1  # of a landmark that is said to be hidden

_JOINTS = [joint for _, joint in LANDMARK_TO_JOINT]
_HIPS = [_JOINTS.index(JOINT_NAMES.index(name)) for name in ("left_hip", "right_hip")]
_AS_IS = [landmark for landmark, _ in LANDMARK_TO_JOINT]
_EXCHANGED = [LANDMARK_MIRROR[landmark] for landmark in _AS_IS]
# The ways to read an observation: as it is; left and right exchanged; and near and far, too.
_WAYS = np.array([_AS_IS, _EXCHANGED, _EXCHANGED])  # [3, 12] landmarks
_AXES = np.array([[1, 1, 1], [1, 1, 1], [1, 1, -1]], np.float32)[:, None]  # [3, 1, 3]
_NEAREST_M = 0.2


@dataclass
class SideVotes:
    """What the observations of B people said so far, as sums that fade."""

    same: np.ndarray  # [B] those that saw them as the recovered poses have it
    reversed: np.ndarray  # [B] those that saw them the other way round

    @staticmethod
    def none(batch: int) -> SideVotes:
        """Of people who were never seen before."""
        return SideVotes(np.zeros(batch), np.zeros(batch))

    @staticmethod
    def stack(votes: list[SideVotes]) -> SideVotes:
        """Of several people as one batch."""
        return SideVotes(
            np.concatenate([v.same for v in votes]), np.concatenate([v.reversed for v in votes])
        )

    def split(self) -> list[SideVotes]:
        """One for each person."""
        return [
            SideVotes(self.same[i : i + 1], self.reversed[i : i + 1]) for i in range(len(self.same))
        ]


def the_other_way_round(
    seen: ObservationBatch, when: Tensor, depth: Tensor | None = None
) -> ObservationBatch:
    """Front taken for back in the frames `when` [B, T]: left and right exchanged, and near and far.

    `depth` [B, T]: factor of the depths instead of -1; in a mistake's first frames they may be right.
    """
    if depth is None:
        depth = torch.full_like(seen.step_s, -1.0)
    other = seen.exchanged()
    x, y, z = other.landmarks.unbind(-1)
    reversed_ = replace(
        other,
        landmarks=torch.stack([x, y, z * depth[..., None]], -1),
        depth_hint=other.depth_hint * depth[..., None],
    )
    return seen.replaced(reversed_, when)


def keep_sides(
    frame: ObservationBatch, last_joints: np.ndarray, known: np.ndarray, votes: SideVotes
) -> tuple[ObservationBatch, SideVotes, np.ndarray]:
    """One frame, turned where it has to be; the votes with those of this frame; and who was turned, [B] bool.

    Args:
        frame: [B, 1, ...], on the CPU.
        last_joints: [B, 24, 3] SMPL joints of the newest recovered pose, m, camera optical frame.
        known: [B] bool: there is such a pose, and it is at most LOST_S old.
    """
    misses, in_place = _compared(frame, last_joints)
    as_is, other = misses[:, 0], misses[:, 1:].min(1)
    asked = known & in_place & frame.seen[:, 0].numpy()
    fits_same, fits_reversed = asked & (as_is < CLEARLY * other), asked & (other < CLEARLY * as_is)
    fade = np.exp(-frame.step_s[:, 0].numpy() / MEMORY_S)
    same, reversed_ = fade * votes.same + fits_same, fade * votes.reversed + fits_reversed
    overruled = reversed_ > same  # then the pose is what turns about
    new_votes = SideVotes(
        np.where(overruled, reversed_, same), np.where(overruled, same, reversed_)
    )
    turned = fits_reversed & ~overruled
    if turned.any():
        depth = np.where(misses[:, 2] <= misses[:, 1], np.float32(-1), np.float32(1))
        when, depths = torch.from_numpy(turned)[:, None], torch.from_numpy(depth)[:, None]
        frame = the_other_way_round(frame, when, depths)
    return frame, new_votes, turned


def _compared(frame: ObservationBatch, last_joints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The limbs' landmarks against the joints.

    Returns:
        [B, 3] mean squared distance in the image and about the hips, m^2, for each of `_WAYS`; and [B] bool:
        as a whole they are where the joints were.
    """
    joints, pelvis = last_joints[:, _JOINTS], last_joints[:, 0]
    distance = np.maximum(pelvis[:, 2], _NEAREST_M)[:, None, None]
    places = joints[..., :2] / np.maximum(joints[..., 2:], _NEAREST_M)
    image = (frame.rays.numpy()[:, 0, _WAYS] - places[:, None]) * distance[:, None]
    metric = (joints - joints[:, _HIPS].mean(1, keepdims=True)) @ _facing(pelvis)
    about_hips = frame.landmarks.numpy()[:, 0, _WAYS] * _AXES - metric[:, None]
    largest = LARGEST_MISS_M**2
    squares = np.minimum(np.square(image).sum(-1), largest)
    squares += np.minimum(np.square(about_hips).sum(-1), largest)
    weight = np.maximum(frame.visibility.numpy()[:, 0, _WAYS], LEAST_WEIGHT)
    moved = image[:, 0].mean(1)
    in_place = np.square(moved).sum(-1) < ELSEWHERE_M**2
    return (squares * weight).sum(-1) / weight.sum(-1), in_place


def _facing(points: np.ndarray) -> np.ndarray:
    """[B, 3, 3] the smallest rotation of the camera that makes it look at points [B, 3] (see `view`).

    Columns are the axes of the turned camera, in which metric landmarks are given.
    """
    x, y, z = (points / np.linalg.norm(points, axis=-1, keepdims=True).clip(1e-6)).T
    shrunk = 1 / np.maximum(1 + z, 1e-3)
    rows = [[1 - x * x * shrunk, -x * y * shrunk, x], [-x * y * shrunk, 1 - y * y * shrunk, y]]
    return np.moveaxis(np.array([*rows, [-x, -y, z]]), -1, 0)
