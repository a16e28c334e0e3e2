"""What the single-frame network is made of: layers over rows, and several of the trained ones as one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from d3pose_core.model.attention import FeedForward, TimeBias


class Affine(nn.Module):
    """x @ weight + bias, [N, in] -> [N, out]: one operator in a graph."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        """weight: [in, out], the transpose of nn.Linear's."""
        super().__init__()
        self.weight, self.bias = constant(weight), constant(bias)

    @classmethod
    def of(cls, *layers: nn.Linear) -> Affine:
        """Layers of the same input side by side."""
        weight = torch.cat([layer.weight for layer in layers]).T
        return cls(weight, torch.cat([layer.bias for layer in layers]))

    def forward(self, x: Tensor, more: Tensor | None = None) -> Tensor:
        """`more` [N, out] is added in the place of the bias."""
        return torch.addmm(self.bias if more is None else more, x, self.weight)


class Norm(nn.Module):
    """nn.LayerNorm over the last axis."""

    def __init__(self, norm: nn.LayerNorm) -> None:
        super().__init__()
        self.weight, self.bias, self.eps = constant(norm.weight), constant(norm.bias), norm.eps

    def forward(self, x: Tensor) -> Tensor:
        return functional.layer_norm(x, x.shape[-1:], self.weight, self.bias, self.eps)


class RowFeedForward(nn.Module):
    """`FeedForward` over rows [N, d]."""

    def __init__(self, layers: FeedForward) -> None:
        super().__init__()
        norm, wide, _, narrow = layers
        assert isinstance(norm, nn.LayerNorm)
        assert isinstance(wide, nn.Linear)
        assert isinstance(narrow, nn.Linear)
        self.norm, self.wide, self.narrow = Norm(norm), Affine.of(wide), Affine.of(narrow)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.narrow(functional.gelu(self.wide(self.norm(x))))


class TimeBiases(nn.Module):
    """The `TimeBias` of several blocks as one network: side by side, its second layer block-diagonal."""

    def __init__(self, biases: Sequence[TimeBias]) -> None:
        super().__init__()
        first = [cast(nn.Linear, bias.mlp[0]) for bias in biases]
        second = [cast(nn.Linear, bias.mlp[2]) for bias in biases]
        self.heads: list[int] = [layer.out_features for layer in second]
        self.first = Affine.of(*first)
        weight = torch.block_diag(*(layer.weight for layer in second)).T
        self.second = Affine(weight, torch.cat([layer.bias for layer in second]))

    def forward(self, features: Tensor) -> Tensor:
        """`age_features` [B, L, 2] -> [B, heads of all blocks, L]."""
        frames = features.shape[1]
        hidden = functional.gelu(self.first(features.reshape(-1, 2)))
        return self.second(hidden).reshape(-1, frames, sum(self.heads)).transpose(1, 2)


def age_features(age_s: Tensor) -> Tensor:
    """What `TimeBias` reads of ages [B, L], [B, L, 2]."""
    age = age_s.clamp(0.0, 10.0)
    return torch.stack([torch.log1p(30 * age), age], -1)


def attend(q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
    """Attention [..., heads, Q, d] with `bias` [..., heads, Q, K] on the scores; queries come scaled."""
    return (q @ k.transpose(-1, -2) + bias).softmax(-1) @ v


def constant(values: Tensor) -> nn.Parameter:
    """Frozen numbers of the network, in a memory layout of their own."""
    return nn.Parameter(values.detach().clone().contiguous(), requires_grad=False)
