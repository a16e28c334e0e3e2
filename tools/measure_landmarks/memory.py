"""How the errors of a frame go together and last: a factor model of Gaussian numbers over time.

Numbers are a sum of three independent parts: one that stays through a clip, one that is forgotten
within a time constant, one that is new in every frame; each with its own covariance.
"""

from __future__ import annotations

import torch
from torch import Tensor

_FAR_S = 1.0  # what two frames this far apart share stays through a clip
_NEAR_S = (0.04, 0.14)  # lags that tell what is forgotten slowly from what is new
_MEMORIES_S = (0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5)
_RANK = 64


def fit_loadings(
    numbers: Tensor,
    known: Tensor,
    step_s: float,
    always: Tensor,
    mirror: tuple[Tensor, Tensor],
) -> tuple[Tensor, Tensor, Tensor, float]:
    """Loadings [D, R] of the constant, slow and fast parts, and the time constant of the slow one, s.

    Args:
        numbers: [C, T, D] of unit variance where `known` [C, T, D].
        step_s: time between frames.
        always: indices of numbers that are constant by definition.
        mirror: order and sign [D] of the mirrored person's numbers, who errs alike.
    """
    frames = numbers.shape[1]
    lags = range(frames)
    covariance = {lag: _lagged(numbers, known, lag, mirror) for lag in lags if _wanted(lag, step_s)}
    total = covariance[0]
    far = [c for lag, c in covariance.items() if lag * step_s >= _FAR_S]
    constant = torch.stack(far).mean(0)
    constant[always] = total[always]
    constant[:, always] = total[:, always]

    # The time constant that explains the mean decay best.
    diagonal = {lag: float((c - constant).diagonal().mean()) for lag, c in covariance.items()}
    near = [lag for lag in covariance if _NEAR_S[0] / 2 < lag * step_s < 0.5]
    memory = min(_MEMORIES_S, key=lambda s: _misfit(diagonal, near, step_s, s))
    slow_lags = [lag for lag in near if lag * step_s <= _NEAR_S[1]]
    slow = torch.stack(
        [
            (covariance[g] - constant) / torch.exp(torch.tensor(-g * step_s / memory))
            for g in slow_lags
        ]
    ).mean(0)
    fast = total - constant - slow

    wanted = [part.diagonal().clamp_min(0.01) for part in (constant, slow, fast)]
    wanted[1][always] = wanted[2][always] = 0.0
    whole = sum(wanted, torch.zeros(()))
    parts = (constant, slow, fast)
    loadings = [_loadings(p, w / whole) for p, w in zip(parts, wanted, strict=True)]
    return loadings[0], loadings[1], loadings[2], memory


def _wanted(lag: int, step_s: float) -> bool:
    far = lag * step_s >= _FAR_S and lag % 5 == 0 and lag * step_s < 1.9
    return lag * step_s < 0.5 or far


def _misfit(diagonal: dict[int, float], lags: list[int], step_s: float, memory: float) -> float:
    decay = torch.exp(-torch.tensor(lags) * step_s / memory)
    seen = torch.tensor([diagonal[lag] for lag in lags])
    amount = (decay * seen).sum() / decay.square().sum()
    return float((seen - amount * decay).square().sum())


def _lagged(numbers: Tensor, known: Tensor, lag: int, mirror: tuple[Tensor, Tensor]) -> Tensor:
    """[D, D] mean product of numbers `lag` frames apart, either way round, left and right alike."""
    first, last = slice(0, numbers.shape[1] - lag), slice(lag, None)
    x, y = (torch.where(known, numbers, 0.0)[:, s].flatten(0, 1) for s in (first, last))
    n, m = (known[:, s].flatten(0, 1).float() for s in (first, last))
    product = (x.T @ y) / (n.T @ m).clamp_min(1)
    product = (product + product.T) / 2
    order, sign = mirror
    mirrored = sign[:, None] * product[order][:, order] * sign
    return (product + mirrored) / 2


def _loadings(covariance: Tensor, diagonal: Tensor) -> Tensor:
    """[D, R] whose product with itself is near `covariance`, with exactly this `diagonal`."""
    values, vectors = torch.linalg.eigh(covariance)
    rank = min(_RANK, len(values))
    loadings = vectors[:, -rank:] * values[-rank:].clamp_min(0).sqrt()
    length = loadings.norm(dim=1).clamp_min(1e-3)
    return loadings * (diagonal.sqrt() / length)[:, None]
