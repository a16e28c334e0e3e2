"""How certain BlazePose says it is of a landmark, given how far off it has put it.

Unlike visibility, certainty follows the error that a landmark really has (docs/observation_errors.md). So it
is drawn from the simulated error: a Gaussian number, whose company and memory are measured, picks a value
from a measured table by part of the body and size of the error.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from d3pose_core.data.error_statistics import (
    FittedNumbers,
    at_signed,
    group_of_landmark,
)
from d3pose_core.data.random_processes import correlated_noise
from d3pose_core.data.stance import hats

# Image errors in person heights that the tables have rows for.
LOG_ERROR_KNOTS = torch.tensor([0.004, 0.008, 0.016, 0.03, 0.06, 0.12, 0.25]).log()
_GROUP = group_of_landmark()


@dataclass
class CertaintyStatistics(FittedNumbers):
    """As `python -m tools.measure_landmarks fit-certainty` writes them; G = 6 groups of landmarks."""

    shipped = Path(__file__).with_name("certainty.npz")
    command = "fit-certainty"

    logits: Tensor  # [G, len(LOG_ERROR_KNOTS), len(SIGNED_GRID)] ascend along the last axis
    mistaken: Tensor  # [] added to the Gaussian number of a landmark put on the other side's
    constant: Tensor  # [33, R0] loadings of what stays through a clip
    slow: Tensor  # [33, R1] loadings of what is forgotten within `memory_s`
    fast: Tensor  # [33, R2] loadings of what is new in every frame
    memory_s: Tensor  # [] time constant


@lru_cache
def fitted_certainty() -> CertaintyStatistics:
    """Those that ship."""
    return CertaintyStatistics.load()


def draw_certainty(
    error: Tensor,
    mistaken: Tensor,
    times_s: Tensor,
    rng: torch.Generator,
    statistics: CertaintyStatistics | None = None,
) -> Tensor:
    """[B, T, 33] 0..1.

    Args:
        error: [B, T, 33] of the landmarks in the image, in heights of the person (1.7 m).
        mistaken: [B, T, 33] bool: put on the landmark of the other side; `error` is to where that is.
        times_s: [B, T].
    """
    statistics = statistics or fitted_certainty()
    batch, frames = times_s.shape

    def noise(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=rng)

    numbers = noise(batch, 1, statistics.constant.shape[1]) @ statistics.constant.T
    slow = correlated_noise(times_s, statistics.slow.shape[1], float(statistics.memory_s), rng)
    numbers = numbers + slow @ statistics.slow.T
    numbers = numbers + noise(batch, frames, statistics.fast.shape[1]) @ statistics.fast.T
    return logits(statistics, error, numbers + statistics.mistaken * mistaken).sigmoid()


def logits(statistics: CertaintyStatistics, error: Tensor, number: Tensor) -> Tensor:
    """[..., 33] of the Gaussian `number` [..., 33], where a landmark is off by `error` [..., 33] heights."""
    knots = len(LOG_ERROR_KNOTS)
    weight = hats(error.clamp_min(1e-6).log(), LOG_ERROR_KNOTS)  # [..., 33, K]
    row = _GROUP[:, None] * knots + torch.arange(knots)  # [33, K]
    tables = statistics.logits.flatten(0, 1)
    return (weight * at_signed(tables, row.expand(weight.shape), number[..., None])).sum(-1)
