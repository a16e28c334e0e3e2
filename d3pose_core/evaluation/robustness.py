"""The same people seen under harder conditions: a rolled camera, sides mistaken, frames lost.

Each function takes a batch and returns what the observer and the truth would have been; scores of the
two show what the condition costs.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from d3pose_core.data.simulator import TrainingBatch
from d3pose_core.sides import the_other_way_round

# Factor of the landmark errors (`Realism.errors`) that stands for real footage. Renders are harder to read
# than people: their landmarks are 2.5 % of the height off (median), those of a man on real footage 1 %.
CLEAR = 0.4


def sides_mistaken(batch: TrainingBatch, when: Tensor) -> TrainingBatch:
    """Front taken for back in the frames `when` [B, T]: left and right swapped, near and far too."""
    return TrainingBatch(the_other_way_round(batch.observations, when), batch.truth)


def every_second(batch: TrainingBatch) -> TrainingBatch:
    """The same people by a camera that takes half as many frames."""
    windows, frames = batch.observations.seen.shape
    half = batch.frames(torch.arange(windows), torch.arange(0, frames, 2).expand(windows, -1))
    step_s = half.observations.step_s.clone()
    step_s[:, 1:] += batch.observations.step_s[:, 1:-1:2]  # of the frames between
    return replace(half, observations=replace(half.observations, step_s=step_s))


def lost(batch: TrainingBatch, when: Tensor) -> TrainingBatch:
    """Nobody found in the frames `when` [B, T]."""
    seen = batch.observations
    return TrainingBatch(replace(seen, seen=seen.seen & ~when), batch.truth)


def facing(batch: TrainingBatch) -> Tensor:
    """[B, T] degrees between where the pelvis faces and the camera: 0 seen from the front, 180 behind."""
    forward = batch.truth.rotations[:, :, 0, :, 2]  # the body's +z
    toward = -torch.nn.functional.normalize(batch.truth.pelvis, dim=-1)
    return torch.rad2deg(torch.acos((forward * toward).sum(-1).clamp(-1, 1)))


def in_runs(batch: TrainingBatch, share: float, length_s: float, rng: torch.Generator) -> Tensor:
    """[B, T] bool: about a `share` of the frames, in runs of about `length_s` seconds."""
    step = batch.observations.step_s.clamp_min(1e-3)
    leave = torch.rand(step.shape, generator=rng) < step / length_s
    enter = torch.rand(step.shape, generator=rng) < step * share / (length_s * (1 - share))
    state = torch.rand(len(step), generator=rng) < share
    out = []
    for t in range(step.shape[1]):
        state = torch.where(state, ~leave[:, t], enter[:, t])
        out.append(state)
    return torch.stack(out, 1)
