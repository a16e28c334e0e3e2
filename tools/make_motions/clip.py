"""One clip of motion."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass
class Clip:
    """F frames at 30 Hz of the free body; y up, the floor at 0."""

    pose: np.ndarray  # [F, 24, 3] rotation vectors, the first in the world
    root: np.ndarray  # [F, 3] m, the pelvis joint
    # By side: in which frames a foot was meant to stand still on the floor.
    planted: dict[str, np.ndarray] = field(default_factory=dict)
