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


def held_numbers(times_s: Tensor, channels: int, length_s: float, rng: torch.Generator) -> Tensor:
    """Uniform numbers 0..1, [B, T, channels], each of which stays for `length_s` on average."""
    number = torch.rand(*times_s.shape, channels, generator=rng)
    chance = torch.rand(*times_s.shape, channels, generator=rng)
    step = torch.diff(times_s, dim=1, prepend=times_s[:, :1])[..., None]
    stays = chance < torch.exp(-step / length_s)
    for t in range(1, times_s.shape[1]):
        number[:, t] = torch.where(stays[:, t], number[:, t - 1], number[:, t])
    return number


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


def smoothed(values: Tensor, times_s: Tensor, memory_s: float) -> Tensor:
    """`values` [B, T, ...] averaged over the past with weights that fall by e in `memory_s`."""
    out = values.clone()
    keep = torch.exp(-torch.diff(times_s, dim=1) / memory_s)
    keep = keep.view(*keep.shape, *[1] * (values.ndim - 2))
    for t in range(1, values.shape[1]):
        out[:, t].lerp_(out[:, t - 1], keep[:, t - 1].expand_as(out[:, t]))
    return out


def smooth_noise(
    times_s: Tensor, channels: int, memory_s: float, smoothing_s: float, rng: torch.Generator
) -> Tensor:
    """As `correlated_noise`, without its roughness at times shorter than `smoothing_s`."""
    noise = smoothed(correlated_noise(times_s, channels, memory_s, rng), times_s, smoothing_s)
    step = torch.diff(times_s, dim=1)[..., None]
    a, k = torch.exp(-step / memory_s), torch.exp(-step / smoothing_s)
    variance = (1 - k) / (1 + k) * (1 + k * a) / (1 - k * a)
    # The first frames are not smoothed as long as the others: their variance falls to that.
    share = torch.exp(-(times_s[:, 1:, None] - times_s[:, :1, None]) / smoothing_s)
    noise[:, 1:] /= (share + (1 - share) * variance).sqrt()
    return noise
