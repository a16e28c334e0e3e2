"""Confidences that mean what they say, after calibration on errors of known spread."""

import math

import pytest
import torch

from d3pose_core.evaluation.reliability import JointErrors, calibrate, reliability
from d3pose_core.model.config import D3PoseConfig
from d3pose_core.model.d3pose import D3Pose


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
