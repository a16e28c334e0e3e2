"""Random people for the body tests."""

import torch
from torch import Tensor


def random_people(count: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """global_orient [B, 3], body_pose [B, 23, 3], betas [B, 10], transl [B, 3]; poses well beyond natural."""
    random = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=random)

    return normal(count, 3), 0.6 * normal(count, 23, 3), normal(count, 10), 2 * normal(count, 3)
