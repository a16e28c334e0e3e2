"""Which way is up: the same direction through everything that turns a camera, and never known exactly."""

import math
from dataclasses import replace

import pytest
import roma
import torch

from d3pose_core.body import load_body
from d3pose_core.data.measured import mirrored, rolled
from d3pose_core.data.tilt import (
    EXACT,
    HALF,
    LARGEST_TILT_RAD,
    ROUGH,
    UNKNOWN,
    roughly_up,
    with_tilt,
    without_up,
)
from d3pose_core.skeleton import JOINT_NAMES
from d3pose_core.training.config import TrainConfig
from d3pose_core.training.loop import TILT_UNKNOWN, draw
from test.helpers.motion_shard import simulated
from test.helpers.recordings import exact_recording

HEAD, FEET = JOINT_NAMES.index("head"), [JOINT_NAMES.index(f"{s}_foot") for s in ("left", "right")]


def random(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def heights(batch) -> torch.Tensor:
    """[B, T, 24] m of the joints above the camera."""
    return (batch.truth.joints @ batch.observations.up[..., None])[..., 0]


@pytest.fixture
def batch(tmp_path):
    return simulated(tmp_path, frames=6)


def test_people_stand_along_it_and_it_has_length_one(batch):
    up = batch.observations.up
    torch.testing.assert_close(up.norm(dim=-1), torch.ones(up.shape[:2]))
    upright = heights(batch)[..., HEAD] - heights(batch)[..., FEET].mean(-1)
    assert upright.median() > 1.2
    recorded = exact_recording(2, 5)
    tilt = torch.randn(2, 5, 3, generator=random())
    recorded = replace(recorded, camera_rotation=roma.rotvec_to_rotmat(tilt))
    (rendered,) = recorded.batches(load_body("free-mid"))
    in_world = recorded.camera_rotation.transpose(-1, -2)[:, :, None] @ recorded.joints[..., None]
    in_world = in_world[..., 1, 0]  # y is up there
    torch.testing.assert_close(
        heights(rendered)[..., HEAD] - heights(rendered)[..., 0],
        in_world[..., HEAD] - in_world[..., 0],
        atol=1e-4,
        rtol=0,
    )


def test_it_turns_with_the_camera(batch):
    roll = torch.linspace(-0.5, 0.5, len(batch.truth.betas))
    turned = rolled(batch, roll)
    assert not torch.allclose(turned.observations.up, batch.observations.up, atol=0.1)
    torch.testing.assert_close(heights(turned), heights(batch), atol=1e-4, rtol=0)
    other = mirrored(batch, torch.ones(len(roll), dtype=torch.bool))
    middle = [0, JOINT_NAMES.index("neck")]  # joints that no other side has
    torch.testing.assert_close(heights(other)[..., middle], heights(batch)[..., middle])


def test_a_robot_is_off_by_degrees_or_does_not_know(batch):
    batch = type(batch).cat([batch] * 100)
    up = batch.observations.up
    about = roughly_up(batch.observations, random()).up
    torch.testing.assert_close(about.norm(dim=-1), torch.ones(up.shape[:2]))
    off = torch.rad2deg(torch.acos((about * up).sum(-1).clamp(-1, 1)))
    assert 1 < off.median() < 3
    assert 5 < off.quantile(0.99) < 4 * math.degrees(LARGEST_TILT_RAD)
    assert 0 < (off[:, 1:] - off[:, :-1]).abs().max() < 3, "it rocks, and does not jump"

    known = without_up(batch.observations, 0.3, random()).up.norm(dim=-1) > 0
    assert 0.6 < known.float().mean() < 0.8
    assert (known == known[:, :1]).all()
    nowhere = without_up(batch.observations, 1.0, random())
    assert not nowhere.up.any()
    assert not roughly_up(nowhere, random()).up.any(), "unknown stays unknown"
    assert up.norm(dim=-1).all(), "the batch itself is left as it is"


def test_what_a_scored_network_is_told(batch):
    up, told = batch.observations.up, {}
    for tilt in (EXACT, ROUGH, HALF, UNKNOWN):
        told[tilt] = with_tilt(batch.observations, tilt).up
        assert torch.equal(told[tilt], with_tilt(batch.observations, tilt).up), "always the same"
    assert torch.equal(told[EXACT], up)
    assert not told[UNKNOWN].any()
    assert 0.7 < (told[ROUGH] * up).sum(-1).min() < 0.9999
    assert torch.equal(told[HALF][::2], told[ROUGH][::2])
    assert not told[HALF][1::2].any()
    other = with_tilt(batch.observations, ROUGH, seed=1).up
    assert not torch.allclose(told[ROUGH], other, atol=1e-3)
    with pytest.raises(ValueError, match="got 'Rough'"):
        with_tilt(batch.observations, "Rough")


def test_training_windows_are_told_it_roughly_and_not_always(batch):
    class Fixed:
        rng = random()

        def sample(self, count: int, frames: int):
            return type(batch).cat([batch] * 200)

    config = TrainConfig(motions=(), output="", steps=1, batch=200)
    told = draw(Fixed(), None, config).observations.up
    known = told.norm(dim=-1)[:, 0] > 0
    assert abs(float(known.float().mean()) - (1 - TILT_UNKNOWN)) < 0.1
    exact = batch.observations.up.repeat(200, 1, 1)
    assert (
        not torch.isclose(told[known], exact[known], atol=1e-4).all(-1).any(1).float().mean() > 0.1
    )
