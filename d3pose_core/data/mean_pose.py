"""The mean pose of image clips: what there is to say without having looked."""

from __future__ import annotations

from dataclasses import dataclass

import roma
import torch
from torch import Tensor

from d3pose_core.data.image_clips import ImageClips
from d3pose_core.model.view import into_view, place_of


@dataclass(frozen=True)
class MeanPose:
    rotations: Tensor  # [24, 3, 3], the root's in the view camera
    place: Tensor  # [3] median, as `PosePrediction.place`
    betas: Tensor  # [10]


def mean_pose(clips: ImageClips) -> MeanPose:
    """Over all seen frames: rotations by the chordal mean, which is the least squares one."""
    everyone = torch.arange(len(clips))
    truth = clips.truth(everyone)
    frames = clips.frames(everyone, torch.zeros(*clips.images.shape[:2], 0, 0))
    view, seen = frames.view(), frames.seen
    rotations = into_view(truth.rotations, view)[seen].mean(0)
    place = place_of(truth.pelvis, view)[seen].median(0).values
    return MeanPose(roma.special_procrustes(rotations), place, truth.betas.mean(0))
