"""The last step of the fit: what is simulated from the statistics must be of the measured size.

The parts of the error are drawn independently although they are not quite so, which makes their sum a
little too large. The remedy is to compare the simulation with what was measured.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from d3pose_core.data.error_statistics import FACING_KNOTS, KINDS, ErrorStatistics
from d3pose_core.data.landmark_noise import Realism
from d3pose_core.data.rendered import RenderedSet
from d3pose_core.data.sight import Sight
from d3pose_core.data.stance import Stance, hats
from tools.measure_landmarks.compare import simulated
from tools.measure_landmarks.errors import LIMBS, Errors

_ROUNDS = 3
_FEWEST = 1000


def calibrated(recorded: RenderedSet, statistics: ErrorStatistics) -> ErrorStatistics:
    """`statistics` whose simulated errors have the measured medians, by kind and facing."""
    measured = _medians(recorded)
    for seed in range(_ROUNDS):
        drawn = _medians(simulated(recorded, seed, Realism(statistics=statistics)))
        ratio = (measured / drawn).nan_to_num(1.0).clamp(0.5, 1.5)
        statistics = replace(statistics, by_facing=statistics.by_facing * ratio)
    return statistics


def _medians(recorded: RenderedSet) -> Tensor:
    """[K, 3] median size of the errors of visible limb joints; NaN where there are too few."""
    errors, stance = Errors.of(recorded), Stance.of(recorded.true_landmarks)
    nearest = hats(stance.facing, FACING_KNOTS).argmax(-1)
    sizes = {
        "image": errors.image_size[..., LIMBS],
        "across": errors.metric[..., LIMBS, :2].norm(dim=-1),
        "depth": errors.metric[..., LIMBS, 2].abs(),
    }
    out = torch.full((len(KINDS), len(FACING_KNOTS)), torch.nan)
    visible = recorded.sight[..., LIMBS] == Sight.VISIBLE
    for k, kind in enumerate(KINDS):
        for knot in range(len(FACING_KNOTS)):
            here = (errors.usable & ~errors.metric_flipped & (nearest == knot))[..., None] & visible
            if kind in sizes and here.sum() >= _FEWEST:
                out[k, knot] = sizes[kind][here].median()
    return out
