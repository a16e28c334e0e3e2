"""How well a robot knows the tilt of its camera: perhaps not at all, and never exactly.

Transforms tell it, up to how exactly the camera was mounted and the robot stands on its wheels.
"""

from __future__ import annotations

import math

import roma
import torch
from torch import Tensor

# How far off up may be: the standard deviation of a sequence's tilt about each axis lies between these.
LEAST_TILT_RAD, LARGEST_TILT_RAD = math.radians(0.3), math.radians(5.0)
# Of that, how much a robot rocks while it watches, and at which frequencies.
ROCKING, LEAST_HZ, LARGEST_HZ = 0.3, 0.2, 2.0
# What is known: nothing; up as a robot's transforms have it; or exactly.
TILTS = UNKNOWN, ROUGH, EXACT = "unknown", "rough", "exact"


def known_up(up: Tensor, step_s: Tensor, tilt: str, seed: int = 0) -> Tensor:
    """What is known of `up` by a robot that knows its camera's tilt as one of `TILTS` says.

    Args:
        up: [B, T, 3] against gravity, length 1, in the camera's optical frame.
        step_s: [B, T] s, since the frame before.
        seed: the same one errs in the same way.

    Returns:
        [B, T, 3], zeros where it is not known.

    Raises:
        ValueError: another `tilt`.
    """
    if tilt not in TILTS:
        raise ValueError(f"tilt must be one of {TILTS}, got {tilt!r}")
    if tilt == EXACT:
        return up
    return _roughly(up, step_s, seed) if tilt == ROUGH else torch.zeros_like(up)


def _roughly(up: Tensor, step_s: Tensor, seed: int) -> Tensor:
    """Tilted for the whole sequence, and rocking."""
    rng, batch = torch.Generator().manual_seed(seed), len(up)

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(batch, 1, 1, generator=rng)

    scale = uniform(math.log(LEAST_TILT_RAD), math.log(LARGEST_TILT_RAD)).exp()
    tilt, rocking = scale * torch.randn(2, batch, 1, 3, generator=rng)
    phase = 2 * math.pi * uniform(LEAST_HZ, LARGEST_HZ) * step_s.cumsum(1)[..., None]
    tilt = tilt + ROCKING * rocking * torch.sin(phase + uniform(0.0, 2 * math.pi))
    return (roma.rotvec_to_rotmat(tilt) @ up[..., None])[..., 0]
