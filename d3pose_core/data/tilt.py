"""How well a robot knows the tilt of its camera: perhaps not at all, and never exactly.

Transforms tell it, up to how exactly the camera was mounted and the robot stands on its wheels.
"""

from __future__ import annotations

import math
from dataclasses import replace

import roma
import torch

from d3pose_core.data.simulator import TrainingBatch

# How far off up may be: the standard deviation of a window's tilt about each axis lies between these.
LEAST_TILT_RAD, LARGEST_TILT_RAD = math.radians(0.3), math.radians(5.0)
# Of that, how much a robot rocks while it is watched, and at which frequencies.
ROCKING, LEAST_HZ, LARGEST_HZ = 0.3, 0.2, 2.0
# What a network that is scored is told: nothing; up as a robot's transforms have it; that in every second
# window; or exactly.
TILTS = UNKNOWN, ROUGH, HALF, EXACT = "unknown", "rough", "half", "exact"


def with_tilt(batch: TrainingBatch, tilt: str) -> TrainingBatch:
    """The same people by a robot that knows its camera's tilt as one of `TILTS` says; always the same way."""
    if tilt == UNKNOWN:
        return _masked(batch, torch.ones(len(batch.observations.up), dtype=torch.bool))
    if tilt == EXACT:
        return batch
    rough = roughly_up(batch, torch.Generator().manual_seed(0))
    if tilt == ROUGH:
        return rough
    return _masked(rough, torch.arange(len(batch.observations.up)) % 2 == 1)


def without_up(batch: TrainingBatch, share: float, rng: torch.Generator) -> TrainingBatch:
    """In a `share` of the windows it is not known which way is up."""
    return _masked(batch, torch.rand(len(batch.observations.up), generator=rng) < share)


def roughly_up(batch: TrainingBatch, rng: torch.Generator) -> TrainingBatch:
    """Up as a robot's transforms have it, a few degrees off: tilted for the whole window, and rocking."""
    observations = batch.observations
    up = observations.up
    windows = len(up)

    def uniform(low: float, high: float) -> torch.Tensor:
        return low + (high - low) * torch.rand(windows, 1, 1, generator=rng)

    scale = uniform(math.log(LEAST_TILT_RAD), math.log(LARGEST_TILT_RAD)).exp()
    tilt, rocking = scale * torch.randn(2, windows, 1, 3, generator=rng)
    phase = 2 * math.pi * uniform(LEAST_HZ, LARGEST_HZ) * observations.step_s.cumsum(1)[..., None]
    tilt = tilt + ROCKING * rocking * torch.sin(phase + uniform(0.0, 2 * math.pi))
    off = (roma.rotvec_to_rotmat(tilt) @ up[..., None])[..., 0]
    return TrainingBatch(replace(observations, up=off), batch.truth)


def _masked(batch: TrainingBatch, which: torch.Tensor) -> TrainingBatch:
    """Unknown in the windows where `which` [B] is True."""
    up = batch.observations.up.masked_fill(which[:, None, None], 0.0)
    return TrainingBatch(replace(batch.observations, up=up), batch.truth)
