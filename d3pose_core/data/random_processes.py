"""Random numbers over time, at whatever times the frames were taken."""

from __future__ import annotations

import torch
from torch import Tensor


def correlated_noise(
    times_s: Tensor, channels: int, memory_s: float | Tensor, rng: torch.Generator
) -> Tensor:
    """Unit-variance noise [B, T, channels] that forgets itself with the time constant `memory_s`.

    A first-order autoregressive process sampled at `times_s` [B, T], whatever their spacing.
    """
    noise = torch.randn(*times_s.shape, channels, generator=rng)
    keep = torch.exp(-torch.diff(times_s, dim=1) / memory_s)[..., None]
    noise[:, 1:] *= (1 - keep**2).clamp_min(0).sqrt()
    for t in range(1, times_s.shape[1]):
        noise[:, t].addcmul_(keep[:, t - 1], noise[:, t - 1])
    return noise


def telegraph(times_s: Tensor, share: Tensor, length_s: Tensor, rng: torch.Generator) -> Tensor:
    """Bool [B, T, N]: states that come on for a `share` of the time, `length_s` on average.

    Args:
        times_s: [B, T].
        share: [B, T, N] or broadcastable, 0..1.
        length_s: [N] mean length of a run (where the share stays).
    """
    batch, frames = times_s.shape
    share = share.expand(batch, frames, len(length_s)).clamp(0, 0.999)
    step = torch.diff(times_s, dim=1, prepend=times_s[:, :1])[..., None]
    keep = torch.exp(-step / (length_s * (1 - share)))
    chance = torch.rand(batch, frames, len(length_s), generator=rng)
    fresh = share * (1 - keep)
    on = [chance[:, 0] < share[:, 0]]
    for t in range(1, frames):
        on.append(chance[:, t] < fresh[:, t] + keep[:, t] * on[-1])
    return torch.stack(on, 1)
