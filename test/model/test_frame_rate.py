"""Frame times enter the network: a camera's rate hardly matters."""

import dataclasses

import pytest
import torch

from d3pose_core.body import load_body
from d3pose_core.data.motions import MotionLibrary
from d3pose_core.data.simulator import Simulator, TrainingBatch, Truth
from d3pose_core.evaluation.held_out import free_run
from d3pose_core.evaluation.metrics import mean_position_error_mm
from d3pose_core.model.checkpoint import load_model
from d3pose_core.model.tokens import ObservationBatch
from test.helpers.motion_shard import write_motion_shard

# The poses of a 60 Hz clip and of its 30 Hz half, mean joint distance about the pelvis. The observations'
# own errors differ by several times as much from the truth.
TOLERANCE_MM = 20.0
FRAMES = 120


@pytest.fixture(scope="module")
def body():
    return load_body("free-low")


@pytest.fixture(scope="module")
def clip_60_hz(tmp_path_factory) -> TrainingBatch:
    shard = write_motion_shard(tmp_path_factory.mktemp("shard") / "made_up.npz")
    simulator = Simulator(MotionLibrary([shard], "train"), load_body("free-low"), seed=5)
    times = torch.arange(FRAMES).expand(8, FRAMES) / 60.0
    return simulator.observe(simulator.motions.sample(times, simulator.rng), times)


def every_second_frame(batch: TrainingBatch) -> TrainingBatch:
    seen, truth = batch.observations, batch.truth
    half = {f.name: getattr(seen, f.name)[:, ::2] for f in dataclasses.fields(seen)}
    half["step_s"] = 2 * half["step_s"]
    kept = {
        f.name: getattr(truth, f.name) if f.name == "betas" else getattr(truth, f.name)[:, ::2]
        for f in dataclasses.fields(Truth)
    }
    return TrainingBatch(ObservationBatch(**half), Truth(**kept))


def joints(batch: TrainingBatch, body) -> torch.Tensor:
    """[B, T, 24, 3] m about the pelvis, free-running with the shipped network."""
    return free_run(load_model("d3pose-landmarks"), batch).joints(body)


def test_a_60_hz_clip_and_its_30_hz_half_give_the_same_poses(clip_60_hz, body):
    half = every_second_frame(clip_60_hz)
    fast, slow = joints(clip_60_hz, body)[:, ::2], joints(half, body)
    seen = half.observations.seen
    assert mean_position_error_mm(fast, slow)[seen].mean() < TOLERANCE_MM

    # And it is the frame times that tell: the same frames with the wrong times give other poses.
    wrong = dataclasses.replace(half.observations, step_s=half.observations.step_s / 8)
    mistimed = joints(TrainingBatch(wrong, half.truth), body)
    assert mean_position_error_mm(mistimed, slow)[seen].mean() > 1.0
