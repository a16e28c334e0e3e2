"""Attention over the recent past, one code path for training (many frames) and streaming (one
frame).

Both read `history` frames kept from before and `T` new ones; a query may look at its own frame and
the `history` frames before it, never ahead. Running T frames at once or one after the other
therefore gives the same numbers.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class TimeBias(nn.Module):
    """How much each head prefers a key by its age in seconds: a continuous relative position bias.

    A small network on the logarithm of the age, after "Swin Transformer V2" (Liu et al. 2022), so
    that any frame rate and dropped frames are understood.
    """

    def __init__(self, heads: int):
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(2, 32), nn.GELU(), nn.Linear(32, heads))

    def forward(self, age_s: Tensor) -> Tensor:
        """Ages [...] in seconds (>= 0) -> bias [..., heads]."""
        age = age_s.clamp(0.0, 10.0)
        return self.mlp(torch.stack([torch.log1p(30 * age), age], -1))


def past_windows(x: Tensor, history: int, chunk: int) -> Tensor:
    """Cut [B, history + T, ...] into T/chunk overlapping runs of history + chunk frames.

    Returns:
        [B, T // chunk, history + chunk, ...], a view.
    """
    if x.shape[1] == history + chunk:  # a single run, as in streaming; ONNX has no unfold
        return x[:, None]
    windows = x.unfold(1, history + chunk, chunk)  # [B, N, ..., history + chunk]
    return windows.movedim(-1, 2)


def causal_band(history: int, chunk: int, device: torch.device) -> Tensor:
    """[chunk, history + chunk] bool: query i may see keys i .. i + history, the last being itself."""
    query = torch.arange(chunk, device=device)[:, None]
    key = torch.arange(history + chunk, device=device)
    return (key >= query) & (key <= query + history)


def masked_attention(q: Tensor, k: Tensor, v: Tensor, bias: Tensor, allowed: Tensor) -> Tensor:
    """Softmax attention where `allowed` is False means exactly zero weight.

    Args:
        q: [..., heads, Q, d]; k, v: [..., heads, K, d].
        bias: broadcastable to [..., heads, Q, K]; added to the scaled scores.
        allowed: bool, broadcastable likewise; at least one key for each query.
    """
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2) + bias
    return scores.masked_fill(~allowed, float("-inf")).softmax(-1) @ v


class FeedForward(nn.Sequential):
    def __init__(self, dim: int, ratio: float):
        hidden = int(dim * ratio)
        super().__init__(
            nn.LayerNorm(dim), nn.Linear(dim, hidden), nn.GELU(), nn.Linear(hidden, dim)
        )
