"""Whoever stands has both feet on the ground: that neither moves about the pelvis tells them from a walker.

It does so at once, along the line of sight too, where one camera sees slow walking late.
"""

from __future__ import annotations

import math
from collections import deque

import numpy as np

WINDOW_S = 0.25  # over which the speed is taken
# A foot that moves so fast speaks neither for standing nor for walking. On simulated observations the
# faster foot of people who stand seems to move at some 0.1 m/s, seldom at more than 0.35 m/s; of people who
# walk at 0.2 to 0.4 m/s, mostly at more than 0.4 m/s.
EVEN_SPEED = 0.22
STRENGTH = 2.0  # nats for each factor e of the speed
MOST_STANDING, MOST_MOVING = -2.0, 3.0  # nats
INDEPENDENT_S = 0.3  # measurements so far apart count anew


class PlantedFeet:
    """The evidence, from frame to frame, that one person walks."""

    def __init__(self) -> None:
        self._recent: deque[tuple[float, np.ndarray]] = deque()

    def __call__(self, feet: np.ndarray, time_s: float) -> float:
        """The next frame.

        Args:
            feet: [2, 3] m, both ankles from the pelvis, along axes that do not turn with the camera.
            time_s: not earlier than the last frame's.

        Returns:
            Nats per second that speak for walking; negative: for standing. 0 where nothing is known yet.
        """
        if self._recent and time_s - self._recent[-1][0] > 2 * WINDOW_S:
            self._recent.clear()
        self._recent.append((time_s, feet))
        while len(self._recent) > 2 and self._recent[1][0] <= time_s - WINDOW_S:
            self._recent.popleft()
        before_s, before = self._recent[0]
        if time_s - before_s < WINDOW_S / 2:
            return 0.0
        speed = float(np.linalg.norm(feet - before, axis=-1).max()) / (time_s - before_s)
        nats = STRENGTH * math.log(max(speed, 1e-3) / EVEN_SPEED)
        return min(max(nats, MOST_STANDING), MOST_MOVING) / INDEPENDENT_S
