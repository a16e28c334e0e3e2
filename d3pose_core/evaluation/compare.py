"""Errors and costs of D3Pose and the networks that it is compared with, all by the same measure.

Causal: what a network says of a frame it says when it has seen that frame and no later one, from an
empty state at a sequence's start. Only a network that says it looks ahead (`lookahead_frames`) gets
what it asks for.
"""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from d3pose_core.body.model import BodyModel
from d3pose_core.data.simulator import TrainingBatch
from d3pose_core.evaluation.held_out import Recovered, free_run, in_optical_frame, score_run
from d3pose_core.model.baselines.base import Peer
from d3pose_core.model.d3pose import D3Pose
from d3pose_core.model.tokens import ObservationBatch, tokenize
from d3pose_core.runtime.both_ways import mean_of, mirrored

Network = D3Pose | Peer


def lookahead_frames(model: Network) -> int:
    return model.lookahead_frames if isinstance(model, Peer) else 0


@torch.inference_mode()
def recover(model: Network, batch: TrainingBatch, both_ways: bool = False) -> Recovered:
    """What the network says of each frame, free-running; or the mean of it and of what it says of a mirror.

    `both_ways` is what `runtime.both_ways` does, with any network.
    """
    if both_ways:
        seen = batch.observations
        said, of_mirror = (
            recover(model, replace(batch, observations=each)).prediction
            for each in (seen, seen.mirrored())
        )
        # The view camera depends on what is observed alone.
        view = tokenize(seen, min_presence=0.0).view
        return in_optical_frame(mean_of(said, mirrored(of_mirror)), view)
    if isinstance(model, D3Pose):
        return free_run(model, batch)
    # No peer reads its own answers, so all frames at once say the same as one after the other.
    output = model(batch.observations)
    return in_optical_frame(output.prediction, output.view)


def jerk(points: Tensor, step_s: Tensor) -> Tensor:
    """Mean third derivative of points [..., T, N, 3] m at steps of `step_s` s: [..., T - 3], m/s^3."""
    return torch.diff(points, n=3, dim=-3).norm(dim=-1).mean(-1) / step_s**3


@torch.inference_mode()
def evaluate(
    model: Network, batches: list[TrainingBatch], body: BodyModel, both_ways: bool = False
) -> dict[str, float]:
    """Errors over all seen frames.

    Args:
        batches: observations at a constant frame rate, with the truth.
        both_ways: see `recover`.

    Returns:
        `held_out.score`'s, and `jitter`, the mean jerk of the 24 joints about the pelvis, and
        `true_jitter`, that of the truth, in 100 m/s^3.
    """
    recovered = [recover(model, batch, both_ways) for batch in batches]
    replies = iter(recovered)
    scores = score_run(lambda batch: next(replies), batches, body)
    jitter, true_jitter = [], []
    for reply, batch in zip(recovered, batches, strict=True):
        observations, truth = batch.observations, batch.truth
        joints = partial(_joints_about_pelvis, body)
        unbroken = observations.seen.unfold(1, 4, 1).all(-1)
        step_s = observations.step_s[:, 1:].median()
        jitter.append(jerk(joints(reply.rotations, reply.prediction.betas), step_s)[unbroken])
        betas = truth.betas[:, None].expand_as(reply.prediction.betas)
        true_jitter.append(jerk(joints(truth.rotations, betas), step_s)[unbroken])
    return scores | {
        "jitter": float(torch.cat(jitter).mean()) / 100,
        "true_jitter": float(torch.cat(true_jitter).mean()) / 100,
    }


def _joints_about_pelvis(body: BodyModel, rotations: Tensor, betas: Tensor) -> Tensor:
    """[B, T, 24, 3, 3] and [B, T, 10] -> [B, T, 24, 3] m."""
    flat = betas.flatten(0, 1)
    joints = body.joints_matrices(rotations.flatten(0, 1), flat, -body.joints_rest(flat)[:, 0])
    return joints.unflatten(0, rotations.shape[:2])


def streaming_cost(model: Network, observations: ObservationBatch) -> dict[str, float]:
    """What one step costs, in a state that is full.

    Args:
        observations: [B, T, ...] of one person, or of as many as a step has to do with; as long as the
            network remembers.

    Returns:
        `parameters` (millions), `mflop` (matrix products of one step, 2 a multiply-add),
        `ms` (median over the last half of the frames, with as many threads as torch is set to).
    """
    state = model.initial_state(len(observations.seen))
    times = []
    frames = observations.seen.shape[1]
    for t in range(frames):
        started = time.perf_counter()
        state = model.step(observations[:, t : t + 1], state)[-1]  # type: ignore[arg-type]
        times.append(time.perf_counter() - started)
    with FlopCounterMode(display=False) as counter:
        model.step(observations[:, -1:], state)  # type: ignore[arg-type]
    return {
        "parameters": sum(p.numel() for p in model.parameters()) / 1e6,
        "mflop": counter.get_total_flops() / 1e6,
        "ms": 1e3 * float(torch.tensor(times[frames // 2 :]).median()),
    }
