"""Smoothing without look-ahead."""

from __future__ import annotations

import math


class OneEuroFilter:
    """A low-pass filter that gets out of the way when the signal moves fast.

    Casiez, Roussel and Vogel, "1€ Filter" (2012), for samples at any spacing in time.
    """

    def __init__(self, min_cutoff_hz: float, speed_gain: float, speed_cutoff_hz: float = 1.0):
        """`speed_gain`: Hz of cutoff added for each unit of the signal a second."""
        self.min_cutoff_hz, self.speed_gain = min_cutoff_hz, speed_gain
        self.speed_cutoff_hz = speed_cutoff_hz
        self._raw = self._smooth = self._speed = math.nan
        self._time_s = -math.inf

    def __call__(self, value: float, time_s: float) -> float:
        """The next sample; the first one passes as it is. Times must not run backwards."""
        step_s = time_s - self._time_s
        if math.isinf(step_s):
            self._smooth, self._speed = value, 0.0
        elif step_s > 0:
            speed = (value - self._raw) / step_s
            self._speed += low_pass_weight(self.speed_cutoff_hz, step_s) * (speed - self._speed)
            cutoff_hz = self.min_cutoff_hz + self.speed_gain * abs(self._speed)
            self._smooth += low_pass_weight(cutoff_hz, step_s) * (value - self._smooth)
        self._raw, self._time_s = value, time_s
        return self._smooth


def low_pass_weight(cutoff_hz: float, step_s: float) -> float:
    """Weight of the new sample in a first-order low-pass filter, 0..1."""
    return 1 / (1 + 1 / (2 * math.pi * cutoff_hz * step_s))
