"""Errors of recovered bodies, as the mesh-recovery field defines them.

Every function takes arrays over frames and returns the error of each frame (or frame and joint), so
that the caller decides how to average. Positions in metres, results in the unit that the name says.
"""

from __future__ import annotations

import torch
from torch import Tensor


def root_aligned(points: Tensor, root: Tensor) -> Tensor:
    """`points` [..., N, 3] about `root` [..., 3]."""
    return points - root[..., None, :]


def position_errors_mm(predicted: Tensor, truth: Tensor) -> Tensor:
    """Distance of each pair of corresponding points [..., N, 3] -> [..., N], mm."""
    return 1000 * (predicted - truth).norm(dim=-1)


def mean_position_error_mm(predicted: Tensor, truth: Tensor) -> Tensor:
    """Mean distance of corresponding points [..., N, 3] -> [...], mm: MPJPE of joints, PVE of
    vertices.

    Align both first (`root_aligned`), as MPJPE does at the pelvis.
    """
    return position_errors_mm(predicted, truth).mean(-1)


def procrustes_aligned(predicted: Tensor, truth: Tensor, points: Tensor | None = None) -> Tensor:
    """`predicted` [..., N, 3] after the similarity transform that brings it closest to `truth`.

    Least squares over rotation, translation and scale, after Umeyama (1991). `points` [..., M, 3]: moved by
    the same transform, and returned instead.
    """
    mean_p, mean_t = predicted.mean(-2, keepdim=True), truth.mean(-2, keepdim=True)
    p, t = predicted - mean_p, truth - mean_t
    rotation, stretch = _turn_and_stretch(p, t)
    scale = stretch / p.square().sum((-2, -1)).clamp_min(1e-12)
    moved = p if points is None else points - mean_p
    return scale[..., None, None] * moved @ rotation.transpose(-1, -2) + mean_t


def procrustes_rotation(predicted: Tensor, truth: Tensor) -> Tensor:
    """The rotation [..., 3, 3] of `procrustes_aligned`."""
    mean_p, mean_t = predicted.mean(-2, keepdim=True), truth.mean(-2, keepdim=True)
    return _turn_and_stretch(predicted - mean_p, truth - mean_t)[0]


def _turn_and_stretch(p: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """Of centred points [..., N, 3]: the best rotation, and the sum of signed singular values [...]."""
    u, s, vh = torch.linalg.svd(t.transpose(-1, -2) @ p)
    sign = torch.ones_like(s)
    sign[..., -1] = torch.linalg.det(u @ vh).sign()
    return (u * sign[..., None, :]) @ vh, (s * sign).sum(-1)


def pa_mpjpe_mm(predicted: Tensor, truth: Tensor) -> Tensor:
    """Procrustes-aligned mean joint error, [..., N, 3] -> [...], mm."""
    return mean_position_error_mm(procrustes_aligned(predicted, truth), truth)


def acceleration_error_mm(predicted: Tensor, truth: Tensor) -> Tensor:
    """Mean difference of second differences over time, mm/frame^2 (Kanazawa et al. 2019).

    Args:
        predicted, truth: [..., T, N, 3] at equal time steps.

    Returns:
        [..., T - 2].
    """
    difference = predicted - truth
    second = (
        difference[..., 2:, :, :] - 2 * difference[..., 1:-1, :, :] + difference[..., :-2, :, :]
    )
    return 1000 * second.norm(dim=-1).mean(-1)


def acceleration_error_m_s2(predicted: Tensor, truth: Tensor, times_s: Tensor) -> Tensor:
    """Mean difference of accelerations, m/s^2, at time steps that need not be equal.

    Args:
        predicted, truth: [T, N, 3].
        times_s: [T], increasing.

    Returns:
        [T - 2].
    """
    difference = predicted - truth
    steps = (times_s[1:] - times_s[:-1])[:, None, None]
    velocity = (difference[1:] - difference[:-1]) / steps
    acceleration = 2 * (velocity[1:] - velocity[:-1]) / (steps[1:] + steps[:-1])
    return acceleration.norm(dim=-1).mean(-1)
