"""Confidences that mean what they say, after calibration on errors of known spread."""

import math
from dataclasses import replace

import pytest
import torch

from d3pose_core.body import load_body
from d3pose_core.data.motions import MotionLibrary
from d3pose_core.data.simulator import Simulator, TrainingBatch
from d3pose_core.evaluation.held_out import free_run
from d3pose_core.evaluation.reliability import RADIUS_M, JointErrors, calibrate, reliability
from d3pose_core.model.checkpoint import load_model
from d3pose_core.model.confidence import probability_within
from d3pose_core.model.config import D3PoseConfig
from d3pose_core.model.d3pose import D3Pose
from d3pose_core.skeleton import JOINT_NAMES, LANDMARK_NAMES
from test.helpers.motion_shard import write_motion_shard

_HAND = ("wrist", "pinky", "index", "thumb")


def gaussian_errors(say, people: int = 4000) -> JointErrors:
    """Joints whose errors have standard deviations of 1 to 20 cm; `say` distorts what is said of them."""
    rng = torch.Generator().manual_seed(0)
    log_sigma = math.log(0.01) + math.log(20.0) * torch.rand(people, 23, generator=rng)
    offset = torch.randn(people, 23, 3, generator=rng) * log_sigma.exp()[..., None]
    return JointErrors(offset.norm(dim=-1), say(2 * log_sigma))


def test_true_variances_are_reliable():
    result = reliability(gaussian_errors(lambda v: v))
    assert result.expected_error < 0.01
    assert (result.said - result.found).abs().max() < 0.03


@pytest.mark.parametrize("say", [lambda v: v - 2.0, lambda v: 0.4 * v - 3.0])
def test_calibration_mends_what_was_said_wrongly(say):
    errors = gaussian_errors(say)
    assert reliability(errors).expected_error > 0.05

    torch.manual_seed(0)
    model = D3Pose(D3PoseConfig(embed_dims=(8, 8, 16, 16), heads=(1, 1, 1, 1), decoder_dim=32,
                                decoder_heads=2))  # fmt: skip
    decoded = torch.randn(50, 32)
    before = model.decoder.variance_head(decoded)
    calibrate(model, errors)
    after = model.decoder.variance_head(decoded)
    # The head's change is one straight line for every joint: read it off, and apply it to the errors.
    slope = ((after.max() - after.min()) / (before.max() - before.min())).item()
    shift = (after - slope * before).mean().item()
    assert torch.allclose(after, slope * before + shift, atol=1e-4)
    mended = JointErrors(errors.error_m, slope * errors.log_variance + shift)
    assert reliability(mended).expected_error < 0.015


def test_a_hidden_arm_is_less_certain_than_a_seen_one(tmp_path):
    """The shipped network, the same people, once with their left arm never in view."""
    shard = write_motion_shard(tmp_path / "made_up.npz")
    body, model = load_body("free-low"), load_model("d3pose-landmarks")
    simulator = Simulator(MotionLibrary([shard], "train"), body, seed=11)
    times = torch.arange(45).expand(16, 45) / 30.0
    seen = simulator.observe(simulator.motions.sample(times, simulator.rng), times)
    arm = [LANDMARK_NAMES.index(f"left_{part}") for part in ("elbow", *_HAND)]
    presence = seen.observations.presence.clone()
    presence[:, :, arm] = 0.0
    hidden = TrainingBatch(replace(seen.observations, presence=presence), seen.truth)

    def confidence(batch) -> torch.Tensor:
        variance = free_run(model, batch).prediction.log_variance[batch.observations.seen]
        return probability_within(variance, RADIUS_M).mean(0)

    before, after = confidence(seen), confidence(hidden)
    left, right = JOINT_NAMES.index("left_wrist"), JOINT_NAMES.index("right_wrist")
    lost = before - after
    assert lost[left] > 0.1
    assert lost[left] > 1.25 * lost[right]  # half a body in view makes the rest less certain too
