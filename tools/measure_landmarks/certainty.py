"""Fits how certain the landmark network says it is to how far off its landmarks are."""

from __future__ import annotations

import torch
from torch import Tensor

from d3pose_core.data.certainty import LOG_ERROR_KNOTS, CertaintyStatistics
from d3pose_core.data.error_statistics import SIGNED_GRID, groups_of_landmarks
from d3pose_core.data.rendered import RenderedSet
from d3pose_core.data.stance import hats
from d3pose_core.errors import InputError
from d3pose_core.skeleton import LANDMARK_MIRROR, NUM_LANDMARKS
from tools.measure_landmarks.errors import Errors
from tools.measure_landmarks.fit import quantile
from tools.measure_landmarks.memory import fit_loadings

_FEWEST = 100
_NEAR = float(LOG_ERROR_KNOTS.diff().mean()) / 2  # errors that count for a knot, log


def fit_certainty(recorded: RenderedSet) -> CertaintyStatistics:
    """Of landmarks in all frames in which the person was reported.

    Landmarks of limbs that were taken for the other side's are compared with where those are.
    Raises InputError where there are too few of any kind.
    """
    errors = Errors.of(recorded)
    mistaken = errors.mistaken
    size = torch.where(mistaken, errors.swapped_size, errors.image_size)
    log_error = size.clamp_min(1e-6).log()
    seen = recorded.seen[..., None].expand_as(mistaken)
    # They were rounded to half precision.
    certainty = recorded.certainty.clamp(2e-4, 1 - 2e-4).logit()

    weight = hats(log_error, LOG_ERROR_KNOTS)  # [C, T, 33, K]
    shares = torch.special.ndtr(SIGNED_GRID)
    tables, number = [], torch.zeros_like(certainty)
    for landmarks in groups_of_landmarks().values():
        own = certainty[..., landmarks]
        usable = (seen & ~mistaken)[..., landmarks]
        near = [
            usable & ((log_error[..., landmarks] - knot).abs() < _NEAR) for knot in LOG_ERROR_KNOTS
        ]
        _need(min(int(chosen.sum()) for chosen in near), "errors of any one size")
        table = torch.stack([quantile(own[chosen], shares) for chosen in near])
        table = table + 1e-4 * torch.arange(len(SIGNED_GRID))  # strictly ascending
        number[..., landmarks] = _numbers(weight[..., landmarks, :] @ table, own)
        tables.append(table)
    _need(int((seen & mistaken).sum()), "landmarks taken for the other side's")
    shift = number[seen & mistaken].mean() - number[seen & ~mistaken].mean()
    step = float(recorded.times_s.diff(dim=1).median())
    none = torch.zeros(0, dtype=torch.int64)
    alike = torch.tensor(LANDMARK_MIRROR), torch.ones(NUM_LANDMARKS)
    constant, slow, fast, memory = fit_loadings(number, seen & ~mistaken, step, none, alike)
    return CertaintyStatistics(
        torch.stack(tables), shift, constant, slow, fast, torch.tensor(memory)
    )


def _need(found: int, what: str) -> None:
    if found < _FEWEST:
        raise InputError(
            f"the recordings have {found} {what}, {_FEWEST} are needed: record more clips"
        )


def _numbers(rows: Tensor, values: Tensor) -> Tensor:
    """Gaussian numbers [...] that ascending `rows` [..., len(SIGNED_GRID)] have `values` [...] at."""
    low, high = rows[..., :-1], rows[..., 1:]
    passed = ((values[..., None] - low) / (high - low)).clamp(0, 1).sum(-1)
    return SIGNED_GRID[0] + passed * (SIGNED_GRID[1] - SIGNED_GRID[0])
