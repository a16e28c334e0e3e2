"""An observer for recoveries that are fed with observations made before."""

from __future__ import annotations

import numpy as np

from d3pose_core.errors import InputError
from d3pose_core.observe.observation import PersonObservation


class CachedObserver:
    """Has no networks, so that none are loaded; `MeshRecovery.recover` takes the observations."""

    def __call__(self, image_bgr: np.ndarray, stamp_s: float) -> list[PersonObservation]:
        raise InputError("this recovery takes observations made before, not images: use `recover`")

    def reset(self) -> None:
        """Nothing is remembered here."""
