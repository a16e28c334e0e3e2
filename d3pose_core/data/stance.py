"""How a person stands to the camera: what the errors of a landmark network depend on."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from d3pose_core.model.view import look_at_rotation, project
from d3pose_core.skeleton import LANDMARK_NAMES

PERSON_M = 1.7
_SIDES = ("left", "right")
_SHOULDERS = [LANDMARK_NAMES.index(f"{side}_shoulder") for side in _SIDES]
HIPS = [LANDMARK_NAMES.index(f"{side}_hip") for side in _SIDES]


@dataclass
class Stance:
    """Of B people over T frames, from their true landmarks in the camera's optical frame, m."""

    distance: Tensor  # [B, T] depth of the mid-hip, at least 0.2 m
    relative: Tensor  # [B, T, 33, 3] landmarks about the mid-hip, axes of a camera turned at it
    axes: Tensor  # [B, T, 3, 3] columns: the trunk's left, up and forward in those axes
    facing: (
        Tensor  # [B, T] cosine: 1 the trunk faces the camera, 0 seen from the side, -1 from behind
    )

    @classmethod
    def of(cls, landmarks: Tensor) -> Stance:
        """`landmarks` [B, T, 33, 3]."""
        middle = landmarks[..., HIPS, :].mean(-2)
        turn = look_at_rotation(project(middle))
        relative = (landmarks - middle[..., None, :]) @ turn
        return cls.of_relative(relative, middle[..., 2].clamp_min(0.2))

    @classmethod
    def of_relative(cls, relative: Tensor, distance: Tensor) -> Stance:
        """`relative` [B, T, 33, 3] about the mid-hip, in the axes of a camera turned at it."""
        axes = trunk_axes(relative)
        return cls(distance, relative, axes, -axes[..., 2, 2])


def trunk_axes(relative: Tensor) -> Tensor:
    """[..., 3, 3] rotation whose columns are left, up and forward of the trunk, from [..., 33, 3]."""
    shoulders, hips = relative[..., _SHOULDERS, :], relative[..., HIPS, :]
    up = torch.nn.functional.normalize(shoulders.mean(-2) - hips.mean(-2), dim=-1)
    across = (shoulders[..., 0, :] - shoulders[..., 1, :]) + (hips[..., 0, :] - hips[..., 1, :])
    forward = torch.nn.functional.normalize(torch.linalg.cross(across, up), dim=-1)
    return torch.stack([torch.linalg.cross(up, forward), up, forward], -1)


def hats(values: Tensor, knots: Tensor) -> Tensor:
    """Weights [..., K] of piecewise linear interpolation between ascending `knots` [K]."""
    at = values.clamp(float(knots[0]), float(knots[-1])).contiguous()
    upper = torch.searchsorted(knots, at).clamp(1, len(knots) - 1)
    low, high = knots[upper - 1], knots[upper]
    share = ((at - low) / (high - low))[..., None]
    one_hot = torch.nn.functional.one_hot
    return (1 - share) * one_hot(upper - 1, len(knots)) + share * one_hot(upper, len(knots))
