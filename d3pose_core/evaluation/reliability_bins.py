"""Do probabilities mean what they say? Of what was said with 70 %, 70 % should be so."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

# A joint's confidence is the probability that it lies so near to where it was put.
RADIUS_M = 0.10


@dataclass(frozen=True)
class Reliability:
    """One row a bin of confidence."""

    said: Tensor  # [K] mean confidence
    found: Tensor  # [K] share of cases that really were so
    count: Tensor  # [K]

    @property
    def expected_error(self) -> float:
        """Mean |said - found| over cases (expected calibration error, Guo et al. 2017)."""
        weight = self.count / self.count.sum().clamp_min(1)
        return float((weight * (self.said - self.found).abs()).sum())


def sorted_into_bins(said: Tensor, so: Tensor, bins: int = 10) -> Reliability:
    """N cases sorted into equal bins of confidence; empty bins are left out.

    Args:
        said: [N] 0..1.
        so: [N] 1.0 where it really was so, else 0.0.
    """
    index = (said * bins).long().clamp(0, bins - 1)
    count = torch.zeros(bins, dtype=said.dtype).index_add_(0, index, torch.ones_like(said))
    some = count > 0

    def mean(x: Tensor) -> Tensor:
        sums = torch.zeros(bins, dtype=said.dtype).index_add_(0, index, x)
        return sums[some] / count[some]

    return Reliability(mean(said), mean(so), count[some])
