"""What the network's variances mean: how likely a joint lies near where it was put."""

from __future__ import annotations

import torch
from torch import Tensor


def probability_within(log_variance: Tensor, radius_m: float) -> Tensor:
    """Probability that a 3D point with isotropic Gaussian error lies within `radius_m` of its mean.

    Args:
        log_variance: of the error along each axis, log m^2, any shape.
    """
    ratio = radius_m / (0.5 * log_variance.clamp(-12, 6)).exp()
    shell = (2 / torch.pi) ** 0.5 * ratio * torch.exp(-0.5 * ratio.square())
    return (torch.erf(ratio / 2**0.5) - shell).clamp(0, 1)
