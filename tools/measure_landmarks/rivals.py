"""Gathers examples of the rivals that landmarks have, by how far off and how certain they are."""

from __future__ import annotations

import torch
from torch import Tensor

from d3pose_core.data.error_statistics import groups_of_landmarks
from d3pose_core.data.rendered import RenderedSet
from d3pose_core.data.rivals import (
    CERTAINTY_EDGES,
    ERROR_EDGES,
    RivalStatistics,
    draw_rivals,
    kind_of_landmark,
)
from d3pose_core.data.stance import PERSON_M
from d3pose_core.errors import InputError
from d3pose_core.model.view import project
from tools.measure_landmarks.errors import Errors

EXAMPLES = 64
_FEWEST = 200  # landmarks of a kind; else those of the other groups count, too
_HELD_S = (0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0)  # of which one is chosen
_LAGS = (3, 12)  # frames


def fit_rivals(recorded: RenderedSet) -> RivalStatistics:
    """Of landmarks in all frames in which the person was reported.

    Raises InputError where the recordings are too small.
    """
    errors = Errors.of(recorded)
    rng = torch.Generator().manual_seed(0)
    seen = recorded.seen[..., None].expand(errors.image_size.shape)
    certainty = recorded.rival_certainty
    there = certainty > 0
    to_truth, to_landmark = rival_errors(recorded, errors)
    from_truth = there & (to_truth.norm(dim=-1) < to_landmark.norm(dim=-1))
    place = torch.where(from_truth[..., None], to_truth, to_landmark).where(there[..., None], 0.0)
    # By how many there are, whether the first is near the truth, and how certain it is; else at random.
    order = 4 * there.sum(-1) + 2 * from_truth[..., 0] + certainty[..., 0]
    order = (order + 1e-3 * torch.rand(order.shape, generator=rng)).flatten()

    group, size, surety = kind_of_landmark(errors.image_size, recorded.certainty)
    shape = len(groups_of_landmarks()), len(ERROR_EDGES) + 1, len(CERTAINTY_EDGES) + 1
    picked = torch.zeros(*shape, EXAMPLES, dtype=torch.int64)
    for g, e, c in torch.cartesian_prod(*(torch.arange(n) for n in shape)).tolist():
        of_kind = seen & (size == e) & (surety == c)
        own = of_kind & (group == g)
        chosen = own if int(own.sum()) >= _FEWEST else of_kind
        if int(chosen.sum()) < EXAMPLES:
            # Hardly any err so much and are so certain: those who err so much will do.
            chosen = seen & (size == e)
        picked[g, e, c] = _examples(order, chosen, e)

    made = RivalStatistics(
        place.flatten(0, 2)[picked],
        from_truth.flatten(0, 2)[picked].float(),
        certainty.flatten(0, 2)[picked],
        torch.tensor(0.0),
    )
    lasting = _alike(there[..., 0], seen)

    def off(held_s: float) -> float:
        made.held_s = torch.tensor(held_s)
        drawn = draw_rivals(errors.image, recorded.certainty, recorded.times_s, rng, made)[1]
        return float((_alike(drawn[..., 0] > 0, seen) - lasting).abs().sum())

    made.held_s = torch.tensor(min(_HELD_S, key=off))
    return made


def rival_errors(recorded: RenderedSet, errors: Errors) -> tuple[Tensor, Tensor]:
    """From the truth and from the landmarks to their rivals, [C, T, 33, RIVALS, 2] person heights each."""
    height = (PERSON_M / errors.distance)[..., None, None, None]
    truth = project(recorded.true_landmarks)[..., None, :]
    here = recorded.rays[..., None, :]
    return (recorded.rival_rays - truth) / height, (recorded.rival_rays - here) / height


def _examples(order: Tensor, chosen: Tensor, size: int) -> Tensor:
    """[EXAMPLES] flat indices of some of the landmarks `chosen`, evenly from all of them in their order."""
    index = chosen.flatten().nonzero()[:, 0]
    if len(index) < EXAMPLES:
        raise InputError(
            f"the recordings have {len(index)} landmarks with errors of size {size}, {EXAMPLES} are "
            "needed: record more clips"
        )
    index = index[order[index].argsort()]
    return index[((torch.arange(EXAMPLES) + 0.5) / EXAMPLES * len(index)).long()]


def _alike(there: Tensor, seen: Tensor) -> Tensor:
    """[len(_LAGS)] correlation of bool `there` [C, T, 33] with itself so many frames later."""
    out = []
    for lag in _LAGS:
        both = seen[:, lag:] & seen[:, :-lag]
        pair = torch.stack([there[:, lag:][both], there[:, :-lag][both]]).float()
        out.append(torch.corrcoef(pair)[0, 1])
    return torch.stack(out)
