"""What of people's depths a landmark network tells: it sees a part, and fills in what is usual.

That is no noise, which would average out over landmarks and frames: where two poses look much alike, it tells
the same of both.
"""

from __future__ import annotations

import torch
from torch import Tensor

from d3pose_core.data.error_statistics import FACING_KNOTS
from d3pose_core.data.stance import hats


def depth_features(relative: Tensor, facing: Tensor) -> Tensor:
    """What depths are told from, [..., 3 * 100]: where the landmarks are, by facing.

    Args:
        relative: [..., 33, 3] m, true landmarks about the mid-hip in the axes of a camera turned at it.
        facing: [...] as in `stance.Stance`.
    """
    places = torch.cat([relative.flatten(-2), torch.ones_like(relative[..., :1, 0])], -1)
    return (hats(facing, FACING_KNOTS)[..., None] * places[..., None, :]).flatten(-2)


def with_told_depth(relative: Tensor, facing: Tensor, told_depth: Tensor) -> Tensor:
    """`relative` [..., 33, 3] with the depths that are told of it on average.

    `told_depth` [3 * 100, 33] is measured: `error_statistics.ErrorStatistics`.
    """
    depth = depth_features(relative, facing) @ told_depth
    return torch.cat([relative[..., :2], depth[..., None]], -1)
