"""What training minimises, in the camera's optical frame."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from d3pose_core.body.model import BodyModel
from d3pose_core.data.simulator import FEET, Truth
from d3pose_core.model.decoder import PosePrediction, encode_feedback
from d3pose_core.model.view import ViewCamera, into_view, out_of_view, pelvis_of, place_of, project


@dataclass(frozen=True)
class LossWeights:
    rotation: float = 1.0
    joints: float = 5.0
    place: float = 1.0
    reprojection: float = 1.0
    velocity: float = 0.15
    acceleration: float = 2.0
    travel: float = 0.5
    contact: float = 0.5
    betas: float = 0.05
    stature: float = 0.02
    uncertainty: float = 0.02
    stages: float = 0.3


# Of the stages' shapes beside their poses: corrections measure with the last one's.
STAGES_BETAS = 0.05


def true_past(truth: Truth, view: ViewCamera) -> Tensor:
    """The decoder's input if it had made no mistake: [B, T, FEEDBACK_SIZE], row t of frame t - 1."""
    poses = encode_feedback(into_view(truth.rotations, view), place_of(truth.pelvis, view))
    return shift(poses)


def shift(poses: Tensor) -> Tensor:
    """Outputs of frames 0..T-1 -> past poses of frames 0..T-1; row 0 stands for the start token."""
    return torch.cat([torch.zeros_like(poses[:, :1]), poses[:, :-1]], 1)


def pose_losses(
    prediction: PosePrediction,
    stages: list[tuple[Tensor, Tensor, Tensor]],
    view: ViewCamera,
    truth: Truth,
    seen: Tensor,
    step_s: Tensor,
    body: BodyModel,
) -> dict[str, Tensor]:
    """Each loss as a scalar, over the frames in which the person was seen.

    Args:
        seen: [B, T] bool; step_s: [B, T] s.
    """
    batch, frames = seen.shape
    true_view_rotations = into_view(truth.rotations, view)
    true_place = place_of(truth.pelvis, view)

    def mean_seen(x: Tensor) -> Tensor:
        """Mean over seen frames of [B, T, ...]."""
        mask = seen.view(batch, frames, *[1] * (x.ndim - 2))
        return (x * mask).sum() / (mask.sum() * x[0, 0].numel()).clamp_min(1)

    def mean_where(x: Tensor, mask: Tensor) -> Tensor:
        mask = mask.expand_as(x)
        return (x * mask).sum() / mask.sum().clamp_min(1)

    def rotation_error(rotations: Tensor) -> Tensor:
        return mean_seen((rotations - true_view_rotations).square().sum((-2, -1)).add(1e-6).sqrt())

    def place_error(place: Tensor) -> Tensor:
        return mean_seen((place - true_place).abs())

    def betas_error(betas: Tensor) -> Tensor:
        return mean_seen((betas - truth.betas[:, None]).square())

    rotations = out_of_view(prediction.rotations, view)
    flat_betas = prediction.betas.flatten(0, 1)
    # Joints about the pelvis: the body with its pelvis at the origin.
    joints = body.joints_matrices(
        rotations.flatten(0, 1), flat_betas, -body.joints_rest(flat_betas)[:, 0]
    ).unflatten(0, (batch, frames))
    true_joints = truth.joints - truth.joints[:, :, :1]
    error = (joints - true_joints).square().sum(-1).add(1e-8).sqrt()  # [B, T, 24] m

    pelvis = pelvis_of(prediction.place, view)
    projected = project(joints + pelvis[:, :, None])
    true_projected = project(truth.joints)
    # A joint beside or behind the camera projects anywhere; what is far outside says nothing.
    sane = (truth.joints[..., 2:] > 0.3).float()
    reprojection = (projected - true_projected).clamp(-2, 2) * sane / view.size[..., None, None]

    step = step_s[:, 1:].clamp_min(0.01)
    both = seen[:, 1:] & seen[:, :-1]
    velocity = torch.diff(joints - true_joints, dim=1) / step[..., None, None]
    # In metres per 30 Hz frame squared, the unit in which it is scored.
    middle = (step[:, 1:] + step[:, :-1])[..., None, None] / 2
    acceleration = torch.diff(velocity, dim=1) / middle / 30.0**2
    # A distant person's depth is less certain, so these count relative to the distance.
    distance = truth.pelvis[:, 1:, 2].clamp_min(0.3)
    slip = torch.diff(pelvis - truth.pelvis, dim=1) / (step * distance)[..., None]
    # A planted foot moves in the camera only as the camera does, which the true joints know.
    feet = list(FEET)
    skate = velocity[:, :, feet] / distance[..., None, None] + slip[:, :, None]
    planted = (truth.contact[:, 1:] & truth.contact[:, :-1]) & both[..., None]

    log_variance = prediction.log_variance.clamp(-10, 3)
    likelihood = error.detach().square() / (2 * log_variance.exp()) + 1.5 * log_variance
    true_stature = body.stature(truth.betas)[:, None].log()
    stature_error = body.stature(prediction.betas.detach()).clamp_min(0.5).log() - true_stature
    stature_log_variance = prediction.stature_log_variance.clamp(-12, 0)
    stature = stature_error.square() / (2 * stature_log_variance.exp()) + stature_log_variance / 2
    return {
        "rotation": rotation_error(prediction.rotations),
        "joints": mean_seen(error),
        "place": place_error(prediction.place),
        "reprojection": mean_seen(reprojection.abs()),
        "velocity": mean_where(velocity.norm(dim=-1), both[..., None]),
        "acceleration": mean_where(
            acceleration.norm(dim=-1), (both[:, 1:] & both[:, :-1])[..., None]
        ),
        "travel": mean_where(slip.norm(dim=-1), both),
        "contact": mean_where(skate.norm(dim=-1), planted),
        "betas": betas_error(prediction.betas),
        "stature": mean_seen(stature),
        "uncertainty": mean_seen(likelihood),
        "stages": torch.stack(
            [
                rotation_error(r) + place_error(p) + STAGES_BETAS * betas_error(b)
                for r, p, b in stages
            ]
        ).mean(),
    }


def total_loss(losses: dict[str, Tensor], weights: LossWeights) -> Tensor:
    return sum(getattr(weights, name) * value for name, value in losses.items())
