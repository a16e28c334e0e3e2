"""Where else BlazePose says a landmark may be, given how far off it has put it.

A landmark far off often has a rival near the truth, one in its place mostly has none, or a faint one. So
rivals are measured ones, picked from those of landmarks of the same part of the body, with such an error and
such a certainty (docs/observation_errors.md#rivals). What is picked is held for a while.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from d3pose_core.data.error_statistics import FittedNumbers, group_of_landmark
from d3pose_core.data.random_processes import held_numbers
from d3pose_core.skeleton import NUM_LANDMARKS

# Between the kinds of landmarks that are told apart: image errors in person heights, and certainties.
ERROR_EDGES = torch.tensor([0.02, 0.04, 0.08, 0.16])
CERTAINTY_EDGES = torch.tensor([0.3, 0.5, 0.7])
_GROUP = group_of_landmark()


@dataclass
class RivalStatistics(FittedNumbers):
    """As `python -m tools.measure_landmarks fit-rivals` writes them; S examples of each kind of landmark.

    G = 6 groups of landmarks, E = 5 sizes of the error, C = 4 of the certainty. Examples stand in the
    order of how many rivals there are, and how near the truth: so that the same one is alike in all kinds.
    """

    shipped = Path(__file__).with_name("rivals.npz")
    command = "fit-rivals"

    place: Tensor  # [G, E, C, S, RIVALS, 2] person heights, right and down in the image
    from_truth: Tensor  # [G, E, C, S, RIVALS] 1: it counts from the truth; 0: from the landmark
    certainty: Tensor  # [G, E, C, S, RIVALS] 0: there is none
    held_s: Tensor  # [] how long what is picked stays, on average


@lru_cache
def fitted_rivals() -> RivalStatistics:
    """Those that ship."""
    return RivalStatistics.load()


def kind_of_landmark(error: Tensor, certainty: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Which examples landmarks [..., 33] are like: indices [..., 33] of group, of error and of certainty."""
    group = _GROUP.expand(error.shape)
    size = torch.bucketize(error.contiguous(), ERROR_EDGES)
    return group, size, torch.bucketize(certainty.contiguous(), CERTAINTY_EDGES)


def draw_rivals(
    error: Tensor,
    certainty: Tensor,
    times_s: Tensor,
    rng: torch.Generator,
    statistics: RivalStatistics | None = None,
) -> tuple[Tensor, Tensor]:
    """Rivals of landmarks that err in the image by `error`.

    Args:
        error: [B, T, 33, 2] from the truth to the landmark, person heights.
        certainty: [B, T, 33] 0..1.
        times_s: [B, T].

    Returns:
        [B, T, 33, RIVALS, 2] from the landmark to its rivals, person heights; and their certainty
        [B, T, 33, RIVALS], 0 where there is none.
    """
    statistics = statistics or fitted_rivals()
    number = held_numbers(times_s, NUM_LANDMARKS, float(statistics.held_s), rng)
    examples = statistics.certainty.shape[3]
    example = (number * examples).long().clamp_max(examples - 1)
    chosen = (*kind_of_landmark(error.norm(dim=-1), certainty), example)
    from_truth = statistics.from_truth[chosen][..., None]
    apart = statistics.place[chosen] - from_truth * error[..., None, :]
    return apart, statistics.certainty[chosen]
