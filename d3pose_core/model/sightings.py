"""How far off a sighting of a landmark is, by its certainty; and which of several places to believe.

An observation names a place for each landmark, and at times rivals of it (`blazepose.rivals`). Where a pose
is at hand, it tells which of them the landmark is likely to be at.
"""

from __future__ import annotations

import torch
from torch import Tensor

# A landmark whose certainty is c usually errs in the image by USUAL_MISS * (c / (1 - c)) ** BY_ODDS, in units
# of the person's size (about 7 cm for a half); c is taken from LEAST_CERTAINTY to 1 - LEAST_CERTAINTY. These,
# FREEDOM and the fit's ALIKE are what serves people of the validation best.
USUAL_MISS = 0.13
BY_ODDS = -0.8
LEAST_CERTAINTY = 0.1
# Errors have heavy tails: those of Student's t with so many degrees of freedom.
FREEDOM = 8.0
# What a network's pose itself usually puts a landmark off by, likewise: on rendered people some 8 cm.
GUESS_MISS = 0.15
# Places whose costs differ by about as much share the belief: else rounding would choose between equals.
SHARED = 0.02


def variance(certainty: Tensor) -> Tensor:
    """Of a sighting in the image, in squares of the person's size."""
    certainty = certainty.clamp(LEAST_CERTAINTY, 1 - LEAST_CERTAINTY)
    return (USUAL_MISS * (certainty / (1 - certainty)) ** BY_ODDS).square()


def believed(
    miss: Tensor, certainty: Tensor, rivals: Tensor, rival_certainty: Tensor
) -> tuple[Tensor, Tensor]:
    """The likeliest of each landmark's places, given where a pose puts it.

    Args:
        miss: [..., 33, 2] from where the pose puts a landmark to where it was seen, over the person's size.
        certainty: [..., 33] of that place.
        rivals: [..., 33, RIVALS, 2] from there to its rivals; rival_certainty: [..., 33, RIVALS], 0: none.

    Returns:
        the miss [..., 33, 2] and the variance [..., 33] of the place that is believed.
    """
    here, spread = miss, variance(certainty)
    best = _cost(here, spread)
    for apart, certain in zip(rivals.unbind(-2), rival_certainty.unbind(-1), strict=True):
        own_spread = variance(certain)
        cost = _cost(here + apart, own_spread).where(certain > 0, torch.inf)
        share = ((best - cost) / SHARED).sigmoid()
        miss = torch.lerp(miss, here + apart, share[..., None])
        spread = torch.lerp(spread, own_spread, share)
        best = torch.minimum(best, cost)
    return miss, spread


def _cost(miss: Tensor, usual: Tensor) -> Tensor:
    """What is least where the density of Student's t, in the plane, is greatest."""
    spread = usual + GUESS_MISS**2
    far = miss.square().sum(-1) / spread / FREEDOM
    return spread ** (2 / (FREEDOM + 2)) * (1 + far)
