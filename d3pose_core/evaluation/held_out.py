"""Scores a network on held-out people: recorded motions, simulated observations, run as a robot would."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol

import torch
from torch import Tensor

from d3pose_core.body.model import BodyModel
from d3pose_core.data.landmark_noise import Realism
from d3pose_core.data.motions import MotionLibrary
from d3pose_core.data.simulator import Simulator, TrainingBatch
from d3pose_core.data.tilt import UNKNOWN, known_up
from d3pose_core.evaluation.metrics import (
    acceleration_error_mm,
    mean_position_error_mm,
    pa_mpjpe_mm,
)
from d3pose_core.lean import turn_upright
from d3pose_core.model.d3pose import D3Pose
from d3pose_core.model.decoder import PosePrediction
from d3pose_core.model.tokens import ObservationBatch, tokenize
from d3pose_core.model.view import ViewCamera, out_of_view, pelvis_of, project
from d3pose_core.runtime.both_ways import BothWays
from d3pose_core.sides import LOST_S, SideVotes, keep_sides
from d3pose_core.skeleton import LANDMARK_TO_JOINT, NUM_JOINTS
from d3pose_core.training.losses import true_past

# Streaming starts from nothing; the first frames of a person count like all others, none are left
# out.
SECONDS, RATE_HZ = 3, 30
BATCH = 32


def held_out_batches(
    motions: MotionLibrary,
    body: BodyModel,
    sequences: int,
    seed: int = 1234,
    realism: Realism | None = None,
    rate_hz: int = RATE_HZ,
) -> list[TrainingBatch]:
    """The same observations for every network that is compared, 3 s of each person."""
    simulator = Simulator(motions, body, seed, realism)
    batches = []
    for first in range(0, sequences, BATCH):
        frames = SECONDS * rate_hz
        times = torch.arange(frames).expand(min(BATCH, sequences - first), frames) / rate_hz
        windows = motions.sample(times, simulator.rng)
        batches.append(simulator.observe(windows, times))
    return batches


@dataclass
class Recovered:
    """What a network said of a batch; rotations and pelvis in the optical frame."""

    prediction: PosePrediction
    rotations: Tensor  # [B, T, 24, 3, 3]
    pelvis: Tensor  # [B, T, 3] m

    def joints(self, body: BodyModel) -> Tensor:
        """[B, T, 24, 3] m, about the pelvis."""
        betas = self.prediction.betas.flatten(0, 1)
        joints = body.joints_matrices(
            self.rotations.flatten(0, 1), betas, -body.joints_rest(betas)[:, 0]
        )
        return joints.unflatten(0, self.rotations.shape[:2])


# Turns a batch into what a network says of it.
Run = Callable[[TrainingBatch], Recovered]


class Stepping(Protocol):
    """`D3Pose` itself, or a runtime of it (`d3pose_core.runtime`)."""

    def initial_state(self, batch: int) -> Any:
        """Of `batch` people who were never seen before."""

    def step(self, frame: ObservationBatch, state: Any) -> tuple[PosePrediction, ViewCamera, Any]:
        """One new frame ([B, 1, ...]) of each person, fed with its own last output."""


@torch.inference_mode()
def free_run(model: Stepping, batch: TrainingBatch) -> Recovered:
    """Step by step on its own outputs; as on a robot, if `model` steps both ways."""
    state = model.initial_state(len(batch.observations.seen))
    steps = []
    for t in range(batch.observations.seen.shape[1]):
        prediction, view, state = model.step(batch.observations[:, t : t + 1], state)
        steps.append(in_optical_frame(prediction, view))
    return _joined(steps)


@torch.inference_mode()
def with_sides_kept(model: Stepping, batch: TrainingBatch, body: BodyModel) -> Recovered:
    """As `free_run`, on observations that `keep_sides` has put right, as `MeshRecovery` does."""
    people = len(batch.observations.seen)
    state, votes = model.initial_state(people), SideVotes.none(people)
    last = torch.zeros(people, NUM_JOINTS, 3)
    age_s = torch.full((people,), torch.inf)
    steps = []
    for t in range(batch.observations.seen.shape[1]):
        frame = batch.observations[:, t : t + 1]
        age_s = age_s + frame.step_s[:, 0]
        frame, votes, _ = keep_sides(frame, last.numpy(), (age_s <= LOST_S).numpy(), votes)
        prediction, view, state = model.step(frame, state)
        recovered = in_optical_frame(prediction, view)
        steps.append(recovered)
        joints = recovered.joints(body) + recovered.pelvis[:, :, None]
        seen = frame.seen[:, 0]
        last = torch.where(seen[:, None, None], joints[:, 0], last)
        age_s = torch.where(seen, 0.0, age_s)
    return _joined(steps)


def as_on_a_robot(model: D3Pose, batch: TrainingBatch, body: BodyModel) -> Recovered:
    """As `MeshRecovery` does: the network both ways, on observations that `keep_sides` has put right."""
    return with_sides_kept(BothWays.of(model), batch, body)


@torch.inference_mode()
def truth_in_loop(model: D3Pose, batch: TrainingBatch) -> Recovered:
    """Step by step, the decoder reading the true pose of each frame before instead of its own."""
    past = true_past(batch.truth, _view(model, batch))
    observations = batch.observations
    state = model.initial_state(len(observations.seen))
    steps = []
    for t in range(observations.seen.shape[1]):
        output = model(observations[:, t : t + 1], past[:, t : t + 1], state)
        state = output.state
        steps.append(in_optical_frame(output.prediction, output.view))
    return _joined(steps)


@torch.inference_mode()
def complete_truth(model: D3Pose, batch: TrainingBatch) -> Recovered:
    """All frames at once, the decoder reading the true pose of each frame before."""
    output = model(batch.observations, true_past(batch.truth, _view(model, batch)))
    return in_optical_frame(output.prediction, output.view)


def _view(model: D3Pose, batch: TrainingBatch) -> ViewCamera:
    return tokenize(batch.observations, model.config.min_presence).view


def _joined(steps: list[Recovered]) -> Recovered:
    """One frame after the other as one batch."""
    prediction = PosePrediction(
        *(
            torch.cat([getattr(step.prediction, f.name) for step in steps], 1)
            for f in fields(PosePrediction)
        )
    )
    return Recovered(
        prediction,
        torch.cat([step.rotations for step in steps], 1),
        torch.cat([step.pelvis for step in steps], 1),
    )


def in_optical_frame(prediction: PosePrediction, view: ViewCamera) -> Recovered:
    """What a network said before its view camera, before the camera."""
    return Recovered(
        prediction, out_of_view(prediction.rotations, view), pelvis_of(prediction.place, view)
    )


@torch.inference_mode()
def score(
    model: D3Pose,
    batches: list[TrainingBatch],
    body: BodyModel,
    run: Callable[[D3Pose, TrainingBatch], Recovered] = free_run,
    tilt: str = UNKNOWN,
) -> dict[str, float]:
    """Errors of a network over all seen frames, free-running unless `run` says otherwise.

    `tilt`: what is known of the camera's, one of `data.tilt.TILTS`.
    """
    seeds = itertools.count()
    return score_run(
        lambda batch: turned_upright(run(model, batch), batch, body, tilt, next(seeds)),
        batches,
        body,
    )


def turned_upright(
    recovered: Recovered, batch: TrainingBatch, body: BodyModel, tilt: str, seed: int
) -> Recovered:
    """As `MeshRecovery` turns people, where the camera's tilt is known as `tilt` says (`data.tilt`)."""
    if tilt == UNKNOWN:
        return recovered
    up = known_up(batch.truth.up, batch.observations.step_s, tilt, seed)
    rotations = recovered.rotations.clone()
    turn = turn_upright(recovered.joints(body), recovered.pelvis, up)
    rotations[:, :, 0] = turn @ rotations[:, :, 0]
    return replace(recovered, rotations=rotations)


@torch.inference_mode()
def score_run(run: Run, batches: list[TrainingBatch], body: BodyModel) -> dict[str, float]:
    """Errors of anything that recovers people, over all seen frames.

    Returns:
        `mpjpe`, `pa_mpjpe`, `pve` (24 SMPL joints / all vertices, pelvis-aligned, mm), `accel`
        (mm/frame^2), `translation` (median distance of the pelvis, % of the true distance from the
        camera), `reprojection` (mean joint distance, % of the person's angular height), and
        over the 12 limb joints, `limbs_pa_mpjpe` of the network and, for comparison,
        `landmarks_pa_mpjpe` of the metric landmarks that it was given (mm).
    """
    sums: dict[str, list[Tensor]] = {}

    def add(name: str, value: Tensor) -> None:
        sums.setdefault(name, []).append(value.flatten())

    for batch in batches:
        truth, seen = batch.truth, batch.observations.seen
        size, frames = seen.shape
        recovered = run(batch)
        prediction, rotations, pelvis = (
            recovered.prediction,
            recovered.rotations,
            recovered.pelvis,
        )

        def posed(rotation: Tensor, betas: Tensor, size=size, frames=frames):
            betas = betas.flatten(0, 1)
            out = body.forward_matrices(
                rotation.flatten(0, 1), betas, -body.joints_rest(betas)[:, 0]
            )
            return tuple(x.unflatten(0, (size, frames)) for x in out)

        true_betas = truth.betas[:, None].expand(-1, frames, -1)
        vertices, joints = posed(rotations, prediction.betas)
        true_vertices, true_joints = posed(truth.rotations, true_betas)
        add("mpjpe", mean_position_error_mm(joints, true_joints)[seen])
        add("pa_mpjpe", pa_mpjpe_mm(joints, true_joints)[seen])
        add("pve", mean_position_error_mm(vertices, true_vertices)[seen])
        unbroken = seen[:, 2:] & seen[:, 1:-1] & seen[:, :-2]
        add("accel", acceleration_error_mm(joints, true_joints)[unbroken])
        distance = truth.pelvis.norm(dim=-1)
        add("translation", (100 * (pelvis - truth.pelvis).norm(dim=-1) / distance)[seen])
        pixel = project(joints + pelvis[:, :, None]) - project(truth.joints)
        in_front = (truth.joints[..., 2] > 0.3).all(-1) & seen
        height = 1.7 / truth.pelvis[..., 2:]
        add("reprojection", (100 * pixel.norm(dim=-1) / height).mean(-1)[in_front])

        landmark, joint = (list(column) for column in zip(*LANDMARK_TO_JOINT, strict=True))
        # The metric landmarks live in a camera that faces the person: only their shape compares.
        observed, true_limbs = (
            batch.observations.landmarks[:, :, landmark],
            true_joints[:, :, joint],
        )
        add("landmarks_pa_mpjpe", pa_mpjpe_mm(observed, true_limbs)[seen])
        add("limbs_pa_mpjpe", pa_mpjpe_mm(joints[:, :, joint], true_limbs)[seen])
    result = {name: float(torch.cat(values).mean()) for name, values in sums.items()}
    result["translation"] = float(torch.cat(sums["translation"]).median())
    return result
