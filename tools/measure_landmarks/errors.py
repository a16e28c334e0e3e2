"""The differences between what BlazePose reported and what is true, frame by frame."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from d3pose_core.data.mistaken_sides import better_swapped
from d3pose_core.data.rendered import RenderedSet
from d3pose_core.model.view import look_at_rotation, project
from d3pose_core.skeleton import (
    LANDMARK_MIRROR,
    LANDMARK_NAMES,
    LANDMARK_TO_JOINT,
    NUM_LANDMARKS,
)

LIMBS = [landmark for landmark, _ in LANDMARK_TO_JOINT]
_HIPS = [LANDMARK_NAMES.index(f"{side}_hip") for side in ("left", "right")]
_PERSON_M = 1.7
# Front, side and back: by how far the pelvis is turned away from the camera.
_FRONT_COS = 0.6


def legs_beyond_hip() -> list[int]:
    """Landmarks that a swap of the legs moves."""
    ends = ("knee", "ankle", "heel", "foot_index")
    return [i for i, name in enumerate(LANDMARK_NAMES) if name.split("_", 1)[-1] in ends]


def arms_beyond_shoulder() -> list[int]:
    """Landmarks that a swap of the arms moves."""
    ends = ("elbow", "wrist", "pinky", "index", "thumb")
    return [i for i, name in enumerate(LANDMARK_NAMES) if name.split("_", 1)[-1] in ends]


@dataclass
class Errors:
    """Of C clips of T frames; meaningless where nothing is seen."""

    image: Tensor  # [C, T, 33, 2] of the rays, over the person's angular height
    image_size: Tensor  # [C, T, 33] length of `image`
    swapped_size: Tensor  # [C, T, 33] the same, to where the other side's landmark is
    true_metric: Tensor  # [C, T, 33, 3] m about the mid-hip, axes of a camera that faces the person
    metric: Tensor  # [C, T, 33, 3] m, reported minus `true_metric`, both about their mid-hips
    in_body: Tensor  # [C, T, 33, 3] m, `metric` in the pelvis' axes: to its left, up, forward
    distance: Tensor  # [C, T] m, depth of the mid-hip
    flipped: Tensor  # [C, T] bool: left and right are swapped in the image
    legs_flipped: Tensor  # [C, T] bool: those of the legs
    arms_flipped: Tensor  # [C, T] bool: those of the arms
    metric_flipped: Tensor  # [C, T] bool: swapped in the metric landmarks, near taken for far
    usable: Tensor  # [C, T] bool: seen and not flipped
    facing: dict[str, Tensor]  # [C, T] bool each: how the person stands to the camera

    @property
    def clips_used(self) -> list[int]:
        """Clips with a usable second."""
        return (self.usable.sum(1) >= 30).nonzero()[:, 0].tolist()

    @property
    def mistaken(self) -> Tensor:
        """[C, T, 33] bool: landmarks that were put on the other side's; the nose has none."""
        mistaken = self.flipped[..., None].repeat(1, 1, NUM_LANDMARKS)
        mistaken[..., legs_beyond_hip()] |= self.legs_flipped[..., None]
        mistaken[..., arms_beyond_shoulder()] |= self.arms_flipped[..., None]
        return mistaken & (torch.arange(NUM_LANDMARKS) != torch.tensor(LANDMARK_MIRROR))

    @classmethod
    def of(cls, recorded: RenderedSet) -> Errors:
        middle = recorded.true_landmarks[..., _HIPS, :].mean(-2)
        distance = middle[..., 2].clamp_min(0.2)
        turn = look_at_rotation(project(middle))
        true_rays = project(recorded.true_landmarks)
        height = (_PERSON_M / distance)[..., None, None]
        image = (recorded.rays - true_rays) / height

        true_metric = recorded.facing_landmarks()
        reported = recorded.landmarks - recorded.landmarks[..., _HIPS, :].mean(-2, keepdim=True)
        metric = reported - true_metric
        pelvis = turn.transpose(-1, -2) @ recorded.rotations[:, :, 0]  # body -> facing camera
        in_body = metric @ pelvis

        mirror = list(LANDMARK_MIRROR)
        swapped_rays = (recorded.rays[..., mirror, :] - true_rays) / height
        knees_down = [
            i for i in LIMBS if "knee" in LANDMARK_NAMES[i] or "ankle" in LANDMARK_NAMES[i]
        ]
        elbows_out = [
            i for i in LIMBS if "elbow" in LANDMARK_NAMES[i] or "wrist" in LANDMARK_NAMES[i]
        ]
        flipped = _better_swapped(image, swapped_rays, LIMBS)
        swapped_metric = reported[..., mirror, :] - true_metric
        toward = torch.nn.functional.normalize(middle, dim=-1)
        forward = recorded.rotations[:, :, 0, :, 2]  # the pelvis' z axis in the optical frame
        cosine = -(forward * toward).sum(-1)
        facing = {
            "front": cosine > _FRONT_COS,
            "side": cosine.abs() <= _FRONT_COS,
            "back": cosine < -_FRONT_COS,
        }
        return cls(
            image=image,
            image_size=image.norm(dim=-1),
            swapped_size=swapped_rays.norm(dim=-1)[..., mirror],
            true_metric=true_metric,
            metric=metric,
            in_body=in_body,
            distance=distance,
            flipped=flipped & recorded.seen,
            legs_flipped=_better_swapped(image, swapped_rays, knees_down) & recorded.seen,
            arms_flipped=_better_swapped(image, swapped_rays, elbows_out) & recorded.seen,
            metric_flipped=_better_swapped(metric / _PERSON_M, swapped_metric / _PERSON_M, LIMBS)
            & recorded.seen,
            usable=recorded.seen & ~flipped,
            facing=facing,
        )


def _better_swapped(error: Tensor, swapped: Tensor, landmarks: list[int]) -> Tensor:
    """[C, T] bool, of errors [C, T, 33, ...] in person heights, as they are and with sides swapped."""
    return better_swapped(error.norm(dim=-1), swapped.norm(dim=-1), landmarks)
