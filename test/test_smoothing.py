"""The One-Euro filter against known answers and against its published form."""

import numpy as np
import pytest

from d3pose_core.smoothing import OneEuroFilter


def published_form(values, times, min_cutoff, beta, derivative_cutoff=1.0):
    """Algorithm 1 of the paper, as written there."""

    def alpha(rate, cutoff):
        tau = 1 / (2 * np.pi * cutoff)
        return 1 / (1 + tau * rate)

    smooth, speed, out = values[0], 0.0, [values[0]]
    for i in range(1, len(values)):
        rate = 1 / (times[i] - times[i - 1])
        raw_speed = (values[i] - values[i - 1]) * rate
        a = alpha(rate, derivative_cutoff)
        speed = a * raw_speed + (1 - a) * speed
        a = alpha(rate, min_cutoff + beta * abs(speed))
        smooth = a * values[i] + (1 - a) * smooth
        out.append(smooth)
    return out


def test_it_is_the_published_filter_at_uneven_times():
    rng = np.random.default_rng(0)
    values, times = rng.normal(size=50), np.cumsum(rng.uniform(0.01, 0.1, 50))
    smooth = OneEuroFilter(1.0, 4.0)
    got = [smooth(v, t) for v, t in zip(values, times, strict=True)]
    assert got == pytest.approx(published_form(values, times, 1.0, 4.0), rel=1e-9)


def test_a_constant_stays_and_noise_shrinks():
    rng = np.random.default_rng(1)
    smooth = OneEuroFilter(1.0, 0.0)
    times = np.arange(300) / 30
    noisy = 2.0 + 0.1 * rng.normal(size=300)
    got = np.array([smooth(v, t) for v, t in zip(noisy, times, strict=True)])
    assert got[60:].mean() == pytest.approx(2.0, abs=0.02)
    assert np.diff(got, 2).std() < 0.25 * np.diff(noisy, 2).std()


def test_a_repeated_time_changes_nothing():
    smooth = OneEuroFilter(1.0, 4.0)
    smooth(1.0, 0.0)
    before = smooth(2.0, 0.1)
    assert smooth(9.0, 0.1) == before
