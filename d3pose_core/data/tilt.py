"""How well a robot knows the tilt of its camera: perhaps not at all, and never exactly.

Transforms tell it, up to how exactly the camera was mounted and the robot stands on its wheels.
"""

from __future__ import annotations

import math
from dataclasses import replace

import roma
import torch

from d3pose_core.model.tokens import ObservationBatch

# How far off up may be: the standard deviation of a window's tilt about each axis lies between these.
LEAST_TILT_RAD, LARGEST_TILT_RAD = math.radians(0.3), math.radians(5.0)
# Of that, how much a robot rocks while it is watched, and at which frequencies.
ROCKING, LEAST_HZ, LARGEST_HZ = 0.3, 0.2, 2.0
# What a network that is scored is told: nothing; up as a robot's transforms have it; that in every second
# window; or exactly.
TILTS = UNKNOWN, ROUGH, HALF, EXACT = "unknown", "rough", "half", "exact"


def with_tilt(seen: ObservationBatch, tilt: str, seed: int = 0) -> ObservationBatch:
    """The same people by a robot that knows its camera's tilt as one of `TILTS` says.

    The same `seed` is wrong in the same way. Raises ValueError for another `tilt`.
    """
    if tilt not in TILTS:
        raise ValueError(f"tilt must be one of {TILTS}, got {tilt!r}")
    if tilt == EXACT:
        return seen
    windows = torch.arange(len(seen.up))
    if tilt == UNKNOWN:
        return _masked(seen, windows >= 0)
    rough = roughly_up(seen, torch.Generator().manual_seed(seed))
    return rough if tilt == ROUGH else _masked(rough, windows % 2 == 1)


def without_up(seen: ObservationBatch, share: float, rng: torch.Generator) -> ObservationBatch:
    """In a `share` of the windows it is not known which way is up."""
    return _masked(seen, torch.rand(len(seen.up), generator=rng) < share)


def roughly_up(seen: ObservationBatch, rng: torch.Generator) -> ObservationBatch:
    """Up as a robot's transforms have it, a few degrees off: tilted for the whole window, and rocking."""
    windows = len(seen.up)

    def uniform(low: float, high: float) -> torch.Tensor:
        return low + (high - low) * torch.rand(windows, 1, 1, generator=rng)

    scale = uniform(math.log(LEAST_TILT_RAD), math.log(LARGEST_TILT_RAD)).exp()
    tilt, rocking = scale * torch.randn(2, windows, 1, 3, generator=rng)
    phase = 2 * math.pi * uniform(LEAST_HZ, LARGEST_HZ) * seen.step_s.cumsum(1)[..., None]
    tilt = tilt + ROCKING * rocking * torch.sin(phase + uniform(0.0, 2 * math.pi))
    return replace(seen, up=(roma.rotvec_to_rotmat(tilt) @ seen.up[..., None])[..., 0])


def _masked(seen: ObservationBatch, which: torch.Tensor) -> ObservationBatch:
    """Unknown in the windows where `which` [B] is True."""
    return replace(seen, up=seen.up.masked_fill(which[:, None, None], 0.0))
