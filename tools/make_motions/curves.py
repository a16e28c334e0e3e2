"""Smooth curves through key values, and the small movements of people who stand still."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from d3pose_core.data.motions import SHARD_FPS


@dataclass(frozen=True)
class Schedule:
    """When each of K keys is reached and left, s; nothing moves in between."""

    arrive: np.ndarray  # [K]
    leave: np.ndarray  # [K]

    @classmethod
    def random(
        cls,
        rng: np.random.Generator,
        duration: float,
        move: tuple[float, float],
        hold: tuple[float, float],
    ) -> Schedule:
        """Keys enough to fill `duration` s, with moves and holds of random lengths (from, to), s, some
        people faster than others."""
        tempo = np.exp(np.clip(rng.normal(-0.2, 0.3), -0.75, 0.4))
        arrive, leave, now = [0.0], [rng.uniform(0.1, 0.6)], 0.0
        while (now := leave[-1] + tempo * rng.uniform(*move)) < duration:
            arrive.append(now)
            leave.append(now + tempo * rng.uniform(*hold))
        return cls(np.array(arrive), np.array(leave))

    def __len__(self) -> int:
        return len(self.arrive)

    def jittered(self, rng: np.random.Generator, share: float = 0.2) -> Schedule:
        """The parts of a body neither start nor stop together: ends moved by a share of the moves."""
        moves = np.append(self.arrive[1:] - self.leave[:-1], 0.5)
        late = rng.uniform(-share, share, len(moves)) * moves
        early = rng.uniform(-share, share, len(moves)) * moves
        arrive = self.arrive + np.append(0, late[:-1])
        return Schedule(arrive, np.maximum(self.leave + early, arrive + 0.02))

    def curve(self, keys: np.ndarray, frames: int, softness: float = 0.07) -> np.ndarray:
        """Values [frames, ...] at 30 Hz that go from key to key [K, ...] with least jerk."""
        times = np.arange(frames) / SHARD_FPS
        last = np.clip(np.searchsorted(self.arrive, times, side="right") - 1, 0, len(self) - 1)
        following = np.minimum(last + 1, len(self) - 1)
        span = np.maximum(self.arrive[following] - self.leave[last], 1e-6)
        u = np.clip((times - self.leave[last]) / span, 0, 1)
        u = u**3 * (10 - 15 * u + 6 * u**2)
        u = u.reshape(-1, *[1] * (keys.ndim - 1))
        return smooth(keys[last] * (1 - u) + keys[following] * u, softness)


def smooth(values: np.ndarray, sigma_s: float) -> np.ndarray:
    """Values [F, ...] averaged over their neighbours in time; the ends are held."""
    sigma = sigma_s * SHARD_FPS
    reach = int(np.ceil(3 * sigma))
    if reach == 0:
        return values
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    flat = values.reshape(len(values), -1)
    padded = np.concatenate([flat[:1].repeat(reach, 0), flat, flat[-1:].repeat(reach, 0)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, len(kernel), axis=0)
    return (windows @ kernel).reshape(values.shape)


def lower_envelope(values: np.ndarray, sigma_s: float) -> np.ndarray:
    """A smooth curve [F] that never exceeds `values` [F]."""
    reach = int(np.ceil(3 * sigma_s * SHARD_FPS))
    padded = np.pad(values, reach, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1)
    return smooth(windows.min(-1), sigma_s)


def sway(
    rng: np.random.Generator,
    frames: int,
    shape: tuple[int, ...],
    deviation: float | Sequence[float] | np.ndarray,
    band_hz: tuple[float, float] = (0.15, 1.2),
) -> np.ndarray:
    """Random movement [frames, *shape] about 0, of that standard deviation, at frequencies of `band_hz`."""
    length = frames + 60  # the ends of one period don't have to meet
    frequency = np.fft.rfftfreq(length, 1 / SHARD_FPS)
    inside = (frequency >= band_hz[0]) & (frequency <= band_hz[1])
    # Amplitudes fall with the frequency, as those of people who stand do.
    gain = np.where(inside, 1 / np.maximum(frequency, 0.1), 0).reshape(-1, *[1] * len(shape))
    phases = rng.normal(size=(len(frequency), *shape, 2))
    wave = np.fft.irfft(gain * (phases[..., 0] + 1j * phases[..., 1]), n=length, axis=0)
    wave /= 2 * np.sqrt((gain**2).sum()) / length
    return wave[:frames] * deviation
