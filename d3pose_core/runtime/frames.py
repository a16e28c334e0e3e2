"""The tensors that a step reads and answers, by name, and frames to try one with."""

from __future__ import annotations

from dataclasses import fields

import torch

from d3pose_core.model.decoder import PosePrediction
from d3pose_core.model.tokens import ObservationBatch
from d3pose_core.skeleton import NUM_LANDMARKS

OBSERVATION_NAMES = tuple(field.name for field in fields(ObservationBatch))
PREDICTION_NAMES = tuple(field.name for field in fields(PosePrediction))
VIEW_NAMES = ("view_rotation", "view_size")


def made_up_frame(people: int, random: torch.Generator) -> ObservationBatch:
    """One frame of nobody in particular, all landmarks seen: for checks and measurements."""

    def normal(scale: float, *shape: int) -> torch.Tensor:
        return scale * torch.randn(people, 1, *shape, generator=random)

    return ObservationBatch(
        rays=normal(0.1, NUM_LANDMARKS, 2),
        depth_hint=normal(0.1, NUM_LANDMARKS),
        landmarks=normal(0.3, NUM_LANDMARKS, 3),
        visibility=torch.rand(people, 1, NUM_LANDMARKS, generator=random),
        presence=torch.ones(people, 1, NUM_LANDMARKS),
        seen=torch.ones(people, 1, dtype=torch.bool),
        step_s=torch.full((people, 1), 1 / 30),
    )
