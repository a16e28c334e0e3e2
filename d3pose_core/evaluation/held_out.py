"""Scores a network on held-out people: recorded motions, simulated observations, run as a robot would."""

from __future__ import annotations

import torch
from torch import Tensor

from d3pose_core.body.model import BodyModel
from d3pose_core.data.motions import MotionLibrary
from d3pose_core.data.simulator import Simulator, TrainingBatch
from d3pose_core.evaluation.metrics import (
    acceleration_error_mm,
    mean_position_error_mm,
    pa_mpjpe_mm,
)
from d3pose_core.model.d3pose import D3Pose
from d3pose_core.model.decoder import PosePrediction
from d3pose_core.model.view import out_of_view, pelvis_of, project
from d3pose_core.skeleton import LANDMARK_TO_JOINT

# Streaming starts from nothing; the first frames of a person count like all others, none are left
# out.
FRAMES = 90
BATCH = 32


def held_out_batches(
    motions: MotionLibrary, body: BodyModel, sequences: int, seed: int = 1234
) -> list[TrainingBatch]:
    """The same observations at 30 Hz for every network that is compared."""
    simulator = Simulator(motions, body, seed)
    batches = []
    for first in range(0, sequences, BATCH):
        times = torch.arange(FRAMES).expand(min(BATCH, sequences - first), FRAMES) / 30.0
        windows = motions.sample(times, simulator.rng)
        batches.append(simulator.observe(windows, times))
    return batches


@torch.inference_mode()
def free_run(model: D3Pose, batch: TrainingBatch) -> tuple[PosePrediction, Tensor, Tensor]:
    """Step by step on its own outputs.

    Returns:
        the prediction, and its rotations [B, T, 24, 3, 3] and pelvis [B, T, 3] in the optical
        frame.
    """
    observations = batch.observations
    state = model.initial_state(len(observations.seen))
    steps, rotations, pelvis = [], [], []
    for t in range(observations.seen.shape[1]):
        prediction, view, state = model.step(observations[:, t : t + 1], state)
        steps.append(prediction)
        rotations.append(out_of_view(prediction.rotations, view))
        pelvis.append(pelvis_of(prediction.place, view))
    joined = PosePrediction(
        *(
            torch.cat([getattr(s, name) for s in steps], 1)
            for name in ("rotations", "place", "log_variance", "betas")
        )
    )
    return joined, torch.cat(rotations, 1), torch.cat(pelvis, 1)


@torch.inference_mode()
def score(model: D3Pose, batches: list[TrainingBatch], body: BodyModel) -> dict[str, float]:
    """Free-running errors over all seen frames.

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
        prediction, rotations, pelvis = free_run(model, batch)

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
        run = seen[:, 2:] & seen[:, 1:-1] & seen[:, :-2]
        add("accel", acceleration_error_mm(joints, true_joints)[run])
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
