"""Left taken for right: whole people seen the other way round, legs or arms alone, briefly or for long.

The renders say how often BlazePose does so with clean, synthetic people; on real footage it does so far
more (on one clip for a third of all frames of a front view, for seconds on end). A network must live
through both, so that the shares here are deliberately larger than the fitted ones.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from d3pose_core.data.error_statistics import FACING_KNOTS, ErrorStatistics
from d3pose_core.data.random_processes import telegraph
from d3pose_core.data.stance import hats
from d3pose_core.skeleton import LANDMARK_MIRROR, LANDMARK_NAMES, NUM_LANDMARKS

FLIPPING_SHARE = 0.25  # of the sequences have whole-body flips, if nothing else is asked for
LONG_SHARE = 0.4  # of those have long ones
# In sequences that have them: share of the frames, by FACING_KNOTS (behind, side, front), and length.
BRIEF_IN_FLIPPING, BRIEF_S = (0.20, 0.08, 0.10), 0.06
LONG_IN_FLIPPING, LONG_S = (0.60, 0.25, 0.40), 1.5
BRIEF_DEPTH = -0.7, 1.0  # factors of the depth, uniform
PART_SHARE = 0.15  # of the sequences have swaps of the legs alone; as many of the arms alone
PART_S = 0.06

_ENDS = {
    "legs": ("knee", "ankle", "heel", "foot_index"),
    "arms": ("elbow", "wrist", "pinky", "index", "thumb"),
}


def _swap_of(ends: tuple[str, ...]) -> Tensor:
    """[33] order of the landmarks in which those of these parts have changed sides."""
    order = torch.arange(NUM_LANDMARKS)
    for i, name in enumerate(LANDMARK_NAMES):
        if name.split("_", 1)[-1] in ends:
            order[i] = LANDMARK_MIRROR[i]
    return order


MIRROR = torch.tensor(LANDMARK_MIRROR)
# [33] each, as MIRROR: of the legs, of the arms.
SWAPS = [_swap_of(ends) for ends in _ENDS.values()]
# Sides are taken as swapped when swapping them back leaves less than this share of the limbs' error
# and is worth more than this share of the person's height.
_SWAP_RATIO, _SWAP_GAIN = 0.6, 0.015


def better_swapped(own: Tensor, other: Tensor, landmarks: Sequence[int]) -> Tensor:
    """[...] bool: `landmarks` seem to have been put on the other side's.

    `own`, `other` [..., 33], person heights: how far off they are of their places, and of the other side's.
    """
    own, other = own[..., list(landmarks)].mean(-1), other[..., list(landmarks)].mean(-1)
    return (other < _SWAP_RATIO * own) & (own - other > _SWAP_GAIN)


def mistaken_sides(
    facing: Tensor,
    times_s: Tensor,
    statistics: ErrorStatistics,
    rng: torch.Generator,
    flipping_share: float = FLIPPING_SHARE,
) -> tuple[Tensor, Tensor]:
    """Which landmark is taken for which, [B, T, 33] int64, and the factor of the depths, [B, T].

    A body lastingly seen the other way round has its sides exchanged and near taken for far (factor
    -1). In brief flips the depths were measured to be anything between that and right.

    Args:
        facing: [B, T] see `Stance`.
        times_s: [B, T].
        flipping_share: of the sequences have whole-body flips.
    """
    batch = len(facing)
    draw = torch.rand(batch, 5, generator=rng)
    flipping = draw[:, 0] < flipping_share
    long = draw[:, 1] < LONG_SHARE
    weights = hats(facing, FACING_KNOTS)
    brief = (weights @ torch.tensor(BRIEF_IN_FLIPPING)) * (flipping & ~long)[:, None]
    lasting = (weights @ torch.tensor(LONG_IN_FLIPPING)) * (flipping & long)[:, None]
    part = statistics.part_flipped / PART_SHARE  # [2] within the sequences that have them
    parts = (draw[:, 2:4] < PART_SHARE)[:, None] * part
    share = torch.cat([brief[..., None], lasting[..., None], parts.expand(*facing.shape, -1)], -1)
    on = telegraph(times_s, share, torch.tensor([BRIEF_S, LONG_S, PART_S, PART_S]), rng)
    reversed_ = on[..., :2].any(-1)
    in_brief = BRIEF_DEPTH[0] + (BRIEF_DEPTH[1] - BRIEF_DEPTH[0]) * draw[:, 4:]
    depth = torch.where(on[..., 1], -1.0, torch.where(on[..., 0], in_brief, 1.0))
    order = torch.arange(NUM_LANDMARKS).expand(*facing.shape, -1)
    order = torch.where(reversed_[..., None], MIRROR, order)
    for swap, swapped in zip(SWAPS, on[..., 2:].unbind(-1), strict=True):
        order = torch.where(swapped[..., None], order[..., swap], order)
    return order, depth
