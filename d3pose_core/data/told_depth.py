"""What of people's depths a landmark network tells: it sees a part, and fills in what is usual.

That is no noise, which would average out over landmarks and frames: where two poses look much alike, it tells
the same of both.
"""

from __future__ import annotations

import torch
from torch import Tensor

from d3pose_core.data.error_statistics import FACING_KNOTS, ErrorStatistics
from d3pose_core.data.stance import HIPS, hats


def depth_features(defined: Tensor, facing: Tensor) -> Tensor:
    """What depths are told from, [..., 3 * 100]: where the landmarks are, by facing.

    Args:
        defined: [..., 33, 3] m, BlazePose's landmarks about their mid-hip, axes of a camera turned at it.
        facing: [...] cosine, as in `stance.Stance`.
    """
    places = torch.cat([defined.flatten(-2), torch.ones_like(defined[..., :1, 0])], -1)
    return (hats(facing, FACING_KNOTS)[..., None] * places[..., None, :]).flatten(-2)


def with_told_depth(defined: Tensor, facing: Tensor, told_depth: Tensor) -> Tensor:
    """`defined` with the depths that are told of it on average, [..., 33, 3] m; see `depth_features`.

    `told_depth` [3 * 100, 33] is measured: `error_statistics.ErrorStatistics`.
    """
    depth = depth_features(defined, facing) @ told_depth
    return torch.cat([defined[..., :2], depth[..., None]], -1)


def as_told(relative: Tensor, facing: Tensor, statistics: ErrorStatistics) -> Tensor:
    """The metric landmarks [..., 33, 3] m about their mid-hip that BlazePose reports of people on average.

    Args:
        relative: [..., 33, 3] m, the body's landmarks as in `stance.Stance`.
        facing: [...] likewise.
    """
    return with_told_depth(as_defined(relative, statistics), facing, statistics.told_depth)


def as_defined(relative: Tensor, statistics: ErrorStatistics) -> Tensor:
    """Where BlazePose puts the landmarks of such people on average, [..., 33, 3] m about their mid-hip."""
    defined = statistics.definition @ relative
    return defined - defined[..., HIPS, :].mean(-2, keepdim=True)
