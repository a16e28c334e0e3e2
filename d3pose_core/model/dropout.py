"""Dropout that a whole window shares: against learning recordings by heart, and without trembling."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class WindowDropout(nn.Module):
    """In training, leaves out the same channels in all frames of a window, and others in every window.

    As Gal and Ghahramani (2016) drop in recurrent networks. Drawn anew in every frame, as usual, it would
    make poses tremble, which the losses punish. The rate is the training's, see `set_dropout`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.rate = 0.0

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, ..., d] -> the same, some channels zero and the others larger."""
        if not self.training or self.rate == 0:
            return x
        shape = (len(x), *[1] * (x.ndim - 2), x.shape[-1])
        kept = torch.rand(shape, device=x.device) >= self.rate
        return x * (kept.to(x.dtype) / (1 - self.rate))


def set_dropout(model: nn.Module, rate: float) -> None:
    """Every `WindowDropout` in `model` leaves out a share `rate` (0 to below 1) of the channels."""
    for part in model.modules():
        if isinstance(part, WindowDropout):
            part.rate = rate
