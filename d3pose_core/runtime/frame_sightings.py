"""Which of a landmark's places to believe: `sightings.believed` of one frame."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from d3pose_core.model.sightings import (
    BY_ODDS,
    FREEDOM,
    GUESS_MISS,
    LEAST_CERTAINTY,
    SHARED,
    USUAL_MISS,
)
from d3pose_core.model.tokens import CERTAINTY
from d3pose_core.skeleton import NUM_LANDMARKS, RIVALS

_NEVER = 1e6  # the cost of a rival that is none


@dataclass
class FrameSightings:
    """Of B people; place 0 is where a landmark was seen, the others are its rivals."""

    apart: list[Tensor]  # [B, 2, 33] from place 0 to each rival, over the person's size
    variance: list[Tensor]  # [B, 1, 33] of each place
    cost: list[Tensor]  # [B, 1, 33] of believing it where the pose does not miss it
    by_miss: list[Tensor]  # [B, 1, 33] what each squared miss adds to that


def sightings(features: Tensor) -> FrameSightings:
    """Of landmarks' features [B, 33, LANDMARK_FEATURES], zero where hidden."""
    planes = features.transpose(1, 2)  # [B, LANDMARK_FEATURES, 33]
    own, rivals = planes[:, CERTAINTY : CERTAINTY + 1], planes[:, CERTAINTY + 1 :]
    rivals = rivals.reshape(-1, RIVALS, 3, NUM_LANDMARKS)
    certainty = rivals[:, :, 2]
    largest = 1 - 2 * LEAST_CERTAINTY
    certain = torch.cat([own, certainty * 2.0 - 1.0], 1).clamp(-largest, largest)  # -1 to 1
    log_odds = (certain + 1.0).log() - (certain * -1.0 + 1.0).log()
    variance = (log_odds * (2 * BY_ODDS) + 2 * math.log(USUAL_MISS)).exp()
    spread = variance + GUESS_MISS**2
    cost = (spread.log() * (2 / (FREEDOM + 2))).exp()
    by_miss = cost / (spread * FREEDOM)
    own_cost, rival_cost = cost.split([1, RIVALS], 1)
    cost = torch.cat([own_cost, torch.where(certainty > 0, rival_cost, _NEVER)], 1)
    return FrameSightings(
        list(rivals[:, :, :2].unbind(1)),
        *(list(values.split(1, 1)) for values in (variance, cost, by_miss)),
    )


def believed(miss: Tensor, seen: FrameSightings) -> tuple[Tensor, Tensor]:
    """The miss [B, 2, 33] and the variance [B, 1, 33] of the places that are believed.

    `miss` [B, 2, 33] is that of place 0.
    """
    places = [miss, *(miss + apart for apart in seen.apart)]
    costs = [
        cost + by_miss * (place * place).sum(1, keepdim=True)
        for place, cost, by_miss in zip(places, seen.cost, seen.by_miss, strict=True)
    ]
    best, variance = costs[0], seen.variance[0]
    for place, cost, own in zip(places[1:], costs[1:], seen.variance[1:], strict=True):
        share = ((best - cost) * (1 / SHARED)).sigmoid()
        miss, variance = miss + share * (place - miss), variance + share * (own - variance)
        best = torch.where(best > cost, cost, best)
    return miss, variance
