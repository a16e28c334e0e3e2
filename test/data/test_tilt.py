"""Which way is up: the same direction through everything that turns a camera, and never known exactly."""

import math
from dataclasses import replace

import pytest
import roma
import torch

from d3pose_core.body import load_body
from d3pose_core.data.measured import mirrored, rolled
from d3pose_core.data.tilt import EXACT, LARGEST_TILT_RAD, ROUGH, UNKNOWN, known_up
from d3pose_core.skeleton import JOINT_NAMES
from test.helpers.motion_shard import simulated
from test.helpers.recordings import exact_recording

HEAD, FEET = JOINT_NAMES.index("head"), [JOINT_NAMES.index(f"{s}_foot") for s in ("left", "right")]


def heights(batch) -> torch.Tensor:
    """[B, T, 24] m of the joints above the camera."""
    return (batch.truth.joints @ batch.truth.up[..., None])[..., 0]


@pytest.fixture
def batch(tmp_path):
    return simulated(tmp_path, frames=6)


def test_people_stand_along_it_and_it_has_length_one(batch):
    up = batch.truth.up
    torch.testing.assert_close(up.norm(dim=-1), torch.ones(up.shape[:2]))
    upright = heights(batch)[..., HEAD] - heights(batch)[..., FEET].mean(-1)
    assert upright.median() > 1.2


def test_recordings_have_the_y_axis_of_their_world():
    recorded = exact_recording(2, 5)
    tilt = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0))
    recorded = replace(recorded, camera_rotation=roma.rotvec_to_rotmat(tilt))
    (rendered,) = recorded.batches(load_body("free-mid"))
    in_world = recorded.camera_rotation.transpose(-1, -2)[:, :, None] @ recorded.joints[..., None]
    y = in_world[..., 1, 0]
    found = heights(rendered)
    torch.testing.assert_close(found - found[..., :1], y - y[..., :1], atol=1e-4, rtol=0)


def test_it_turns_with_the_camera(batch):
    roll = torch.linspace(-0.5, 0.5, len(batch.truth.betas))
    turned = rolled(batch, roll)
    assert not torch.allclose(turned.truth.up, batch.truth.up, atol=0.1)
    torch.testing.assert_close(heights(turned), heights(batch), atol=1e-4, rtol=0)
    other = mirrored(batch, torch.ones(len(roll), dtype=torch.bool))
    middle = [0, JOINT_NAMES.index("neck")]  # joints that no other side has
    torch.testing.assert_close(heights(other)[..., middle], heights(batch)[..., middle])


def test_a_robot_is_off_by_degrees_or_does_not_know():
    up = torch.nn.functional.normalize(torch.randn(1600, 1, 3), dim=-1).expand(-1, 6, -1)
    step = torch.full(up.shape[:2], 1 / 30)
    assert torch.equal(known_up(up, step, EXACT), up)
    assert not known_up(up, step, UNKNOWN).any()
    rough = known_up(up, step, ROUGH, seed=1)
    assert torch.equal(rough, known_up(up, step, ROUGH, seed=1))
    assert not torch.allclose(rough, known_up(up, step, ROUGH, seed=2), atol=1e-2)
    torch.testing.assert_close(rough.norm(dim=-1), torch.ones(up.shape[:2]))
    off = torch.rad2deg(torch.acos((rough * up).sum(-1).clamp(-1, 1)))
    assert 1 < off.median() < 3
    assert 5 < off.quantile(0.99) < 4 * math.degrees(LARGEST_TILT_RAD)
    assert 0 < (off[:, 1:] - off[:, :-1]).abs().max() < 3, "it rocks, and does not jump"
    with pytest.raises(ValueError, match="got 'Rough'"):
        known_up(up, step, "Rough")
