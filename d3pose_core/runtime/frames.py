"""The tensors that a step reads and answers, by name, and frames to try one with."""

from __future__ import annotations

import math
from dataclasses import fields, replace

import torch

from d3pose_core.body import load_body
from d3pose_core.model.decoder import PosePrediction
from d3pose_core.model.tokens import ObservationBatch
from d3pose_core.skeleton import LANDMARK_NAMES, NUM_LANDMARKS, RIVALS

OBSERVATION_NAMES = tuple(field.name for field in fields(ObservationBatch))
PREDICTION_NAMES = tuple(field.name for field in fields(PosePrediction))
VIEW_NAMES = ("view_rotation", "view_size")


def made_up_frame(people: int, random: torch.Generator) -> ObservationBatch:
    """One frame of nobody: noise, all landmarks seen."""

    def normal(scale: float, *shape: int) -> torch.Tensor:
        return scale * torch.randn(people, 1, *shape, generator=random)

    return ObservationBatch(
        rays=normal(0.1, NUM_LANDMARKS, 2),
        depth_hint=normal(0.1, NUM_LANDMARKS),
        landmarks=normal(0.3, NUM_LANDMARKS, 3),
        visibility=torch.rand(people, 1, NUM_LANDMARKS, generator=random),
        presence=torch.ones(people, 1, NUM_LANDMARKS),
        certainty=torch.rand(people, 1, NUM_LANDMARKS, generator=random),
        rival_rays=normal(0.1, NUM_LANDMARKS, RIVALS, 2),
        rival_certainty=some_rivals(people, 1, random),
        seen=torch.ones(people, 1, dtype=torch.bool),
        step_s=torch.full((people, 1), 1 / 30),
    )


def moving_people(people: int, frames: int, seed: int = 0) -> ObservationBatch:
    """The free body's landmarks at 30 Hz, all its joints swaying, with some noise; now and then unseen."""
    rng = torch.Generator().manual_seed(seed)

    def uniform(low: float, high: float, *shape: int) -> torch.Tensor:
        return low + (high - low) * torch.rand(shape, generator=rng)

    time = torch.arange(frames)[None, :, None, None] / 30
    swing = uniform(0.0, 0.5, people, 1, 23, 3)
    pace, start = uniform(1.0, 5.0, people, 1, 23, 3), uniform(0.0, 6.0, people, 1, 23, 3)
    pose = swing * torch.sin(pace * time + start)
    turned = uniform(-0.5, 0.5, people, 1, 3) + torch.tensor([math.pi, 0.0, 0.0])
    place = uniform(-1.0, 1.0, people, 1, 3) + torch.tensor([0.0, 0.3, 4.5])
    place = place + 0.3 * torch.sin(pace[:, :, 0] * time[..., 0])
    betas = torch.randn(people, 1, 10, generator=rng)
    points = (
        load_body("free-low")
        .landmarks(
            turned.expand(-1, frames, -1).flatten(0, 1),
            pose.flatten(0, 1),
            betas.expand(-1, frames, -1).flatten(0, 1),
            place.flatten(0, 1),
        )
        .unflatten(0, (people, frames))
    )
    points = points + 0.01 * torch.randn(points.shape, generator=rng)
    hips = [LANDMARK_NAMES.index(f"{side}_hip") for side in ("left", "right")]
    landmarks = points - points[:, :, hips].mean(2, keepdim=True)
    rays = points[..., :2] / points[..., 2:]
    apart = 0.05 * torch.randn(people, frames, NUM_LANDMARKS, RIVALS, 2, generator=rng)
    return ObservationBatch(
        rays=rays,
        depth_hint=landmarks[..., 2] / place[..., 2:],
        landmarks=landmarks,
        visibility=uniform(0.2, 1.0, people, frames, 33),
        presence=uniform(0.2, 1.0, people, frames, 33),
        certainty=uniform(0.2, 1.0, people, frames, 33),
        rival_rays=rays[..., None, :] + apart,
        rival_certainty=some_rivals(people, frames, rng),
        seen=torch.rand(people, frames, generator=rng) > 0.03,
        step_s=torch.full((people, frames), 1 / 30),
    )


def some_rivals(people: int, frames: int, random: torch.Generator) -> torch.Tensor:
    """Certainties of rivals, [people, frames, 33, RIVALS]: half of the landmarks have some, mostly faint."""
    shape = people, frames, NUM_LANDMARKS, RIVALS
    certainty = 0.05 * 15 ** torch.rand(shape, generator=random)
    there = torch.rand(shape, generator=random) < 0.3
    return torch.where(there, certainty, 0.0).sort(-1, descending=True).values


def in_double(frame: ObservationBatch) -> ObservationBatch:
    """The same in double precision, to tell rounding from mistakes."""
    values = {f.name: getattr(frame, f.name) for f in fields(frame)}
    return replace(frame, **{n: v.double() for n, v in values.items() if v.is_floating_point()})
