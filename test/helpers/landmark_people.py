"""People made up of landmarks, as the landmark network would report them: no network, no image."""

from __future__ import annotations

import numpy as np

from d3pose_core.observe.blazepose import Landmarks
from d3pose_core.observe.observation import Roi

# A body 1 high and 0.35 wide about its hips; the same for everybody.
BODY = np.random.default_rng(0).uniform([-0.18, -0.5], [0.18, 0.5], (33, 2))


def person(
    x: float, y: float = 240.0, height: float = 200.0, score: float = 0.9, certainty: float = 0.7
) -> Landmarks:
    """Somebody whose hips are at `x`, `y`, px, `height` px tall and upright."""
    center = np.array([x, y], np.float32)
    return Landmarks(
        keypoints=(center + BODY * height).astype(np.float32),
        depth_hint=np.zeros(33, np.float32),
        landmarks=np.zeros((33, 3), np.float32),
        visibility=np.ones(33, np.float32),
        presence=np.ones(33, np.float32),
        certainty=np.full(33, certainty, np.float32),
        rivals=np.zeros((33, 2, 2), np.float32),
        rival_certainty=np.zeros((33, 2), np.float32),
        score=score,
        next_roi=Roi(center, 1.4 * height, 0.0),
    )
