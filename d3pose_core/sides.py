"""Left and right, kept apart over time.

A landmark network now and then takes a person's front for their back, for a frame or for seconds: left and
right change places, near becomes far. No person turns about within a frame. So where an observation fits
the last recovered pose clearly better the other way round, it is turned before the network reads it. The last
pose may be what is wrong, above all in the beginning; so the observations vote: once most of those of the
last while have seen the person the other way round, they are believed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from d3pose_core.model.tokens import ObservationBatch
from d3pose_core.model.view import look_at_rotation, project
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

_LANDMARKS = [landmark for landmark, _ in LANDMARK_TO_JOINT]
_JOINTS = [joint for _, joint in LANDMARK_TO_JOINT]
_HIPS = [_JOINTS.index(JOINT_NAMES.index(name)) for name in ("left_hip", "right_hip")]
_MIRRORED = [LANDMARK_MIRROR[landmark] for landmark in _LANDMARKS]
_NEAREST_M = 0.2


@dataclass
class SideVotes:
    """What the observations of B people said so far, as sums that fade."""

    same: Tensor  # [B] those that saw them as the recovered poses have it
    reversed: Tensor  # [B] those that saw them the other way round

    @staticmethod
    def none(batch: int) -> SideVotes:
        """Of people who were never seen before."""
        return SideVotes(torch.zeros(batch), torch.zeros(batch))

    @staticmethod
    def stack(votes: list[SideVotes]) -> SideVotes:
        """Of several people as one batch."""
        return SideVotes(torch.cat([v.same for v in votes]), torch.cat([v.reversed for v in votes]))

    def split(self) -> list[SideVotes]:
        """One for each person."""
        return [
            SideVotes(*pair)
            for pair in zip(self.same.split(1), self.reversed.split(1), strict=True)
        ]


def the_other_way_round(
    seen: ObservationBatch, when: Tensor, depth: Tensor | None = None
) -> ObservationBatch:
    """Front taken for back in the frames `when` [B, T]: left and right exchanged, and near and far.

    `depth` [B, T]: factor of the depths instead of -1; in a mistake's first frames they may be right.
    """
    mirror = list(LANDMARK_MIRROR)
    if depth is None:
        depth = torch.full_like(seen.step_s, -1.0)

    def pick(changed: Tensor, x: Tensor) -> Tensor:
        return torch.where(when.view(*when.shape, *[1] * (x.ndim - 2)), changed, x)

    exchanged = {
        name: pick(getattr(seen, name)[:, :, mirror], getattr(seen, name))
        for name in ("rays", "visibility", "presence")
    }
    x, y, z = seen.landmarks[:, :, mirror].unbind(-1)
    landmarks = torch.stack([x, y, z * depth[..., None]], -1)
    return replace(
        seen,
        **exchanged,
        landmarks=pick(landmarks, seen.landmarks),
        depth_hint=pick(seen.depth_hint[:, :, mirror] * depth[..., None], seen.depth_hint),
    )


def keep_sides(
    frame: ObservationBatch, last_joints: Tensor, known: Tensor, votes: SideVotes
) -> tuple[ObservationBatch, SideVotes, Tensor]:
    """One frame, turned where it has to be; the votes with those of this frame; and who was turned, [B] bool.

    Args:
        frame: [B, 1, ...].
        last_joints: [B, 24, 3] SMPL joints of the newest recovered pose, m, camera optical frame.
        known: [B] bool: there is such a pose, and it is at most LOST_S old.
    """
    as_is, near_is_near, near_is_far = _misses(frame, last_joints)
    other = torch.minimum(near_is_near, near_is_far)
    asked = known & frame.seen[:, 0] & _in_place(frame, last_joints)
    fits_same, fits_reversed = asked & (as_is < CLEARLY * other), asked & (other < CLEARLY * as_is)
    fade = torch.exp(-frame.step_s[:, 0] / MEMORY_S)
    same, reversed_ = fade * votes.same + fits_same, fade * votes.reversed + fits_reversed
    overruled = reversed_ > same  # then the pose is what turns about
    new_votes = SideVotes(
        torch.where(overruled, reversed_, same), torch.where(overruled, same, reversed_)
    )
    turned = fits_reversed & ~overruled
    if turned.any():
        depth = torch.where(near_is_far <= near_is_near, -1.0, 1.0)
        frame = the_other_way_round(frame, turned[:, None], depth[:, None])
    return frame, new_votes, turned


def _in_place(frame: ObservationBatch, last_joints: Tensor) -> Tensor:
    """[B] bool: the limbs' landmarks are, as a whole, where the joints were."""
    moved = (frame.rays[:, 0, _LANDMARKS] - project(last_joints[:, _JOINTS])).mean(1)
    return moved.norm(dim=-1) * last_joints[:, 0, 2] < ELSEWHERE_M


def _misses(frame: ObservationBatch, last_joints: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean squared distance of the limbs' landmarks from the joints, in the image and about the hips, m^2.

    [B] as they were observed; with left and right exchanged; and near and far, too.
    """
    joints, pelvis = last_joints[:, _JOINTS], last_joints[:, 0]
    places = project(joints)
    distance = pelvis[:, 2].clamp_min(_NEAREST_M)[:, None, None]
    facing = look_at_rotation(project(pelvis))  # the metric landmarks' axes
    metric = (joints - joints[:, _HIPS].mean(1, keepdim=True)) @ facing

    def miss(landmarks: list[int], depth: float) -> Tensor:
        image = (frame.rays[:, 0, landmarks] - places) * distance
        observed = frame.landmarks[:, 0, landmarks]
        about_hips = observed * observed.new_tensor([1.0, 1.0, depth]) - metric
        parts = torch.stack([image.square().sum(-1), about_hips.square().sum(-1)])
        weight = frame.visibility[:, 0, landmarks].clamp_min(LEAST_WEIGHT)
        return (parts.clamp_max(LARGEST_MISS_M**2).sum(0) * weight).sum(-1) / weight.sum(-1)

    return miss(_LANDMARKS, 1.0), miss(_MIRRORED, 1.0), miss(_MIRRORED, -1.0)
