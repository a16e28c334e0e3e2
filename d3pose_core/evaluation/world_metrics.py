"""Errors of people who move through the world, after SLAHMR (Ye et al. 2023) and WHAM (Shin et al. 2024).

All arrays are of one person over T frames, in world coordinates, m.
"""

from __future__ import annotations

import torch
from torch import Tensor

from d3pose_core.errors import InputError
from d3pose_core.evaluation.metrics import mean_position_error_mm

SEGMENT_FRAMES = 100
# A point of the foot that moves less between two frames stands, m.
STANDS_M = 0.01


def similarity(
    source: Tensor, target: Tensor, with_scale: bool = True
) -> tuple[Tensor, Tensor, Tensor]:
    """Scale, rotation [3, 3] and shift [3] that bring points [N, 3] closest to `target` (Umeyama 1991)."""
    mean_s, mean_t = source.mean(0), target.mean(0)
    s, t = source - mean_s, target - mean_t
    u, d, vh = torch.linalg.svd(t.T @ s)
    sign = torch.ones_like(d)
    sign[-1] = torch.linalg.det(u @ vh).sign()
    rotation = (u * sign) @ vh
    scale = (d * sign).sum() / s.square().sum().clamp_min(1e-12)
    if not with_scale:
        scale = torch.ones_like(scale)
    return scale, rotation, mean_t - scale * rotation @ mean_s


def _segment_errors(
    predicted: Tensor, truth: Tensor, segment: int, aligned_by: int | None
) -> Tensor:
    if predicted.shape != truth.shape or predicted.ndim != 3:
        raise InputError(
            f"joints must be two arrays [T, J, 3], got {list(predicted.shape)} and {list(truth.shape)}"
        )
    errors = []
    for start in range(0, len(truth), segment):
        p, t = predicted[start : start + segment], truth[start : start + segment]
        frames = len(t) if aligned_by is None else min(aligned_by, len(t))
        scale, rotation, shift = similarity(p[:frames].flatten(0, 1), t[:frames].flatten(0, 1))
        errors.append(mean_position_error_mm(scale * p @ rotation.T + shift, t))
    return torch.cat(errors)


def wa_mpjpe_mm(predicted: Tensor, truth: Tensor, segment: int = SEGMENT_FRAMES) -> Tensor:
    """WA-MPJPE: each segment of joints [T, J, 3] aligned as a whole (similarity) -> [T], mm."""
    return _segment_errors(predicted, truth, segment, None)


def w_mpjpe_mm(predicted: Tensor, truth: Tensor, segment: int = SEGMENT_FRAMES) -> Tensor:
    """W-MPJPE: each segment aligned by its first two frames (similarity) -> [T], mm."""
    return _segment_errors(predicted, truth, segment, 2)


def rte_percent(predicted_root: Tensor, true_root: Tensor) -> Tensor:
    """Root trajectory error [T, 3] -> [T], % of the way gone, after a rigid alignment of the whole way."""
    _, rotation, shift = similarity(predicted_root, true_root, with_scale=False)
    distance = torch.diff(true_root, dim=0).norm(dim=-1).sum()
    error = (predicted_root @ rotation.T + shift - true_root).norm(dim=-1)
    return 100 * error / distance.clamp_min(1e-9)


def jitter_m_s3(joints: Tensor, fps: float) -> Tensor:
    """Mean third derivative of joints [T, J, 3] -> [T - 3], m/s^3. The literature gives a tenth of it."""
    return torch.diff(joints, n=3, dim=0).norm(dim=-1).mean(-1) * fps**3


def foot_sliding_mm(predicted: Tensor, truth: Tensor) -> Tensor:
    """How far points of the feet [T, N, 3] move between frames in which the true ones stand -> [K], mm."""
    stands = torch.diff(truth, dim=0).norm(dim=-1) < STANDS_M
    return 1000 * torch.diff(predicted, dim=0).norm(dim=-1)[stands]
