"""Gathers examples of the rivals that landmarks have, by how far off and how certain they are."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from d3pose_core.data.error_statistics import groups_of_landmarks
from d3pose_core.data.rendered import RenderedSet
from d3pose_core.data.rivals import (
    CERTAINTY_EDGES,
    ERROR_EDGES,
    RivalStatistics,
    axes_of,
    kind_of_landmark,
)
from d3pose_core.data.stance import PERSON_M
from d3pose_core.errors import InputError
from d3pose_core.model.view import project
from tools.measure_landmarks.errors import Errors

EXAMPLES = 64
_FEWEST = 200  # landmarks of a kind; else those of the other groups count, too
_LAG = 3  # frames, after which it is looked how much of a pick is left


def fit_rivals(recorded: RenderedSet) -> RivalStatistics:
    """Of landmarks in all frames in which the person was reported.

    Raises InputError where the recordings are too small.
    """
    errors = Errors.of(recorded)
    seen = recorded.seen[..., None].expand(errors.image_size.shape)
    height = (PERSON_M / errors.distance)[..., None, None, None]
    truth = project(recorded.true_landmarks)[..., None, :]
    to_truth = (recorded.rival_rays - truth) / height
    to_landmark = (recorded.rival_rays - recorded.rays[..., None, :]) / height
    from_truth = to_truth.norm(dim=-1) < to_landmark.norm(dim=-1)
    apart = torch.where(from_truth[..., None], to_truth, to_landmark)
    along, across = axes_of(errors.image)
    place = torch.stack(
        [(apart * axis[..., None, :]).sum(-1) for axis in (along, across)], -1
    )  # [C, T, 33, RIVALS, 2]
    certainty = recorded.rival_certainty
    place = place.where(certainty[..., None] > 0, 0.0)
    # Alike are those with as many rivals, as near to the truth, as certain.
    likeness = 4 * (certainty > 0).sum(-1) + 2 * from_truth[..., 0] + certainty[..., 0]

    group, size, surety = kind_of_landmark(errors.image_size, recorded.certainty)
    shape = len(groups_of_landmarks()), len(ERROR_EDGES) + 1, len(CERTAINTY_EDGES) + 1
    picked = torch.zeros(*shape, EXAMPLES, dtype=torch.int64)
    number = torch.full_like(errors.image_size, torch.nan)
    flat = likeness.flatten()
    for g, e, c in torch.cartesian_prod(*(torch.arange(n) for n in shape)).tolist():
        of_kind = seen & (size == e) & (surety == c)
        own = of_kind & (group == g)
        chosen = _ordered(flat, own if int(own.sum()) >= _FEWEST else of_kind)
        if len(chosen) < EXAMPLES:
            # Hardly any err so much and are so certain: those who err so much will do.
            chosen = _ordered(flat, seen & (size == e))
        if len(chosen) < EXAMPLES:
            raise InputError(
                f"the recordings have {len(chosen)} landmarks with errors of size {e}, {EXAMPLES} are "
                "needed: record more clips"
            )
        middle = (torch.arange(EXAMPLES) + 0.5) / EXAMPLES
        picked[g, e, c] = chosen[(middle * len(chosen)).long()]
        if int(own.sum()) >= _FEWEST:
            rank = (torch.arange(len(chosen)) + 0.5) / len(chosen)
            number.view(-1)[chosen] = torch.special.ndtri(rank)
    return RivalStatistics(
        place.flatten(0, 2)[picked],
        from_truth.flatten(0, 2)[picked].float(),
        certainty.flatten(0, 2)[picked],
        torch.tensor(_memory_s(number, recorded.times_s)),
    )


def _ordered(likeness: Tensor, chosen: Tensor) -> Tensor:
    """Flat indices of the landmarks `chosen`, the alike side by side."""
    index = chosen.flatten().nonzero()[:, 0]
    return index[likeness[index].argsort(stable=True)]


def _memory_s(number: Tensor, times_s: Tensor) -> float:
    """Time constant of Gaussian numbers [C, T, 33], nan where there is none."""
    products = number[:, _LAG:] * number[:, :-_LAG]
    lag_s = float((times_s[:, _LAG:] - times_s[:, :-_LAG]).median())
    alike = float(products.nanmean() / number.square().nanmean())
    return -lag_s / math.log(min(max(alike, 0.01), 0.99))
