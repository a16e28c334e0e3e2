"""Random processes: as strong and as lasting as they say, at any frame rate."""

import math

import pytest
import torch

from d3pose_core.data.random_processes import (
    correlated_noise,
    held_numbers,
    smooth_noise,
    smoothed,
    telegraph,
)


def times(rate_hz: float, seconds: float, batch: int) -> torch.Tensor:
    return (torch.arange(round(rate_hz * seconds)) / rate_hz).expand(batch, -1)


@pytest.mark.parametrize("rate_hz", [10, 30, 60])
def test_noise_has_unit_variance_and_the_memory_it_says(rate_hz):
    rng = torch.Generator().manual_seed(0)
    noise = correlated_noise(times(rate_hz, 1, 4000), 2, 0.2, rng)
    assert torch.allclose(noise.var((0, 1)), torch.ones(2), atol=0.05)
    lag = round(0.2 * rate_hz)  # the correlation is 1/e there
    correlation = (noise[:, lag:] * noise[:, :-lag]).mean()
    assert float(correlation) == pytest.approx(math.exp(-1), abs=0.03)
    assert abs(float((noise[..., 0] * noise[..., 1]).mean())) < 0.03, "channels are independent"


@pytest.mark.parametrize("rate_hz", [10, 60])
def test_held_numbers_are_even_and_stay_as_long_as_they_say(rate_hz):
    rng = torch.Generator().manual_seed(5)
    numbers = held_numbers(times(rate_hz, 20, 100), 20, 0.4, rng)
    assert 0 <= numbers.min() < 0.01 < 0.99 < numbers.max() < 1
    assert numbers.mean() == pytest.approx(0.5, abs=0.02)
    changed = (numbers.diff(dim=1) != 0).float().mean()
    assert float(changed) == pytest.approx(1 - math.exp(-1 / rate_hz / 0.4), rel=0.03)


@pytest.mark.parametrize("rate_hz", [10, 30, 60])
def test_telegraph_keeps_share_and_length(rate_hz):
    rng = torch.Generator().manual_seed(0)
    share, length = torch.tensor([0.1, 0.5, 0.0]), torch.tensor([0.5, 1.0, 1.0])
    on = telegraph(times(rate_hz, 40, 100), share, length, rng)
    assert torch.allclose(on.float().mean((0, 1)), share, atol=0.03)
    ends = (on[:, :-1] & ~on[:, 1:]).sum((0, 1))[:2]
    mean_length = on[..., :2].sum((0, 1)) / ends / rate_hz
    # A run that is seen lasts at least one frame.
    assert torch.allclose(mean_length, length[:2] + 0.5 / rate_hz, rtol=0.15)


def test_telegraph_follows_a_share_that_changes():
    rng = torch.Generator().manual_seed(0)
    share = torch.zeros(200, 100, 1)
    share[:, 50:] = 0.9
    on = telegraph(times(10, 10, 200), share, torch.tensor([0.3]), rng)[..., 0]
    assert not on[:, :50].any()
    assert float(on[:, 90:].float().mean()) == pytest.approx(0.9, abs=0.05)


@pytest.mark.parametrize("rate_hz", [10, 30, 60])
def test_smooth_noise_has_unit_variance_and_is_smoother(rate_hz):
    at = times(rate_hz, 1, 4000)
    smooth = smooth_noise(at, 1, 0.4, 0.06, torch.Generator().manual_seed(0))[..., 0]
    rough = correlated_noise(at, 1, 0.4, torch.Generator().manual_seed(0))[..., 0]
    assert torch.allclose(smooth.var(0), torch.ones(len(at[0])), atol=0.12)
    assert smooth.diff(n=2).std() < 0.9 * rough.diff(n=2).std()


def test_smoothed_forgets_a_step_as_it_says():
    at = times(30, 1, 1)
    step = torch.zeros(1, 30, 2)
    step[:, 10:] = 1.0
    out = smoothed(step, at, 0.1)
    assert torch.equal(out[:, :10], step[:, :10])
    # Three frames, 0.1 s, of the new value: what remains of the old one is 1/e.
    assert float(out[0, 12, 0]) == pytest.approx(1 - math.exp(-1), abs=1e-5)
