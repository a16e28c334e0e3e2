"""Observations of nobody: random numbers of the right shapes and ranges."""

import torch

from d3pose_core.model.tokens import ObservationBatch
from d3pose_core.runtime.frames import some_rivals
from d3pose_core.skeleton import RIVALS


def random_observations(people: int, frames: int, seed: int = 0) -> ObservationBatch:
    rng = torch.Generator().manual_seed(seed)

    def normal(scale: float, *shape: int) -> torch.Tensor:
        return scale * torch.randn(people, frames, *shape, generator=rng)

    def uniform(*shape: int) -> torch.Tensor:
        return torch.rand(people, frames, *shape, generator=rng)

    return ObservationBatch(
        rays=normal(0.1, 33, 2),
        depth_hint=normal(0.1, 33),
        landmarks=normal(0.3, 33, 3),
        visibility=uniform(33),
        presence=uniform(33),
        certainty=uniform(33),
        seen=uniform() > 0.1,
        step_s=0.01 + 0.05 * uniform(),
        rival_rays=normal(0.1, 33, RIVALS, 2),
        rival_certainty=some_rivals(people, frames, rng),
    )
