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


def without_up(batch: TrainingBatch, share: float, rng: torch.Generator) -> TrainingBatch:
    """In a `share` of the windows it is not known which way is up; 1: in all."""
    up = batch.observations.up
    which = torch.rand(len(up), 1, 1, generator=rng) < share
    return TrainingBatch(replace(batch.observations, up=up.masked_fill(which, 0.0)), batch.truth)


def half_without_up(batch: TrainingBatch) -> TrainingBatch:
    """In every second window it is not known which way is up: to score a network for both."""
    up = batch.observations.up.clone()
    up[1::2] = 0
    return TrainingBatch(replace(batch.observations, up=up), batch.truth)


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
