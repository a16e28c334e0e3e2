"""People are turned upright along the line of sight, in part, where up is known, and nowhere else."""

import math

import pytest
import roma
import torch

from d3pose_core.body import load_body
from d3pose_core.camera import up_of_tilt
from d3pose_core.data.tilt import EXACT, UNKNOWN
from d3pose_core.evaluation.held_out import free_run, turned_upright
from d3pose_core.lean import FADING, SHARE, turn_upright
from d3pose_core.model.checkpoint import load_model
from d3pose_core.skeleton import JOINT_NAMES
from test.helpers.motion_shard import simulated

AHEAD = torch.tensor([0.0, 0.0, 4.0])
LEVEL = torch.tensor([0.0, -1.0, 0.0])


def person(lean_deg: float, sideways_deg: float = 0.0) -> torch.Tensor:
    """Joints [24, 3] of somebody who leans towards the camera, or to its right."""
    body = load_body("free-low")
    rotations = torch.eye(3).repeat(1, 24, 1, 1)
    rotations[0, 0] = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
    joints = body.joints_matrices(rotations, torch.zeros(1, 10), torch.zeros(1, 3))[0]
    joints = joints - joints[:1]
    # As straight as can be: from the ankles to the shoulders without a lean of the template's own.
    joints = joints @ turn_upright(joints, AHEAD, LEVEL, share=1.0).T
    a, b = math.radians(lean_deg), math.radians(sideways_deg)
    towards = torch.tensor(
        [[1, 0, 0], [0, math.cos(a), -math.sin(a)], [0, math.sin(a), math.cos(a)]]
    )
    aside = torch.tensor([[math.cos(b), -math.sin(b), 0], [math.sin(b), math.cos(b), 0], [0, 0, 1]])
    return joints @ (aside @ towards).T


def lean(joints: torch.Tensor) -> tuple[float, float]:
    """Degrees towards the camera, and to its right."""
    x, y, z = joints[[16, 17]].mean(0) - joints[[7, 8]].mean(0)
    return math.degrees(math.atan2(-z, -y)), math.degrees(math.atan2(x, -y))


@pytest.mark.parametrize("lean_deg", [-12.0, -3.0, 0.0, 5.0, 20.0])
def test_a_part_of_the_lean_is_taken_back(lean_deg):
    joints = person(lean_deg)
    before, _ = lean(joints)
    assert before == pytest.approx(lean_deg, abs=0.6)
    after, aside = lean(joints @ turn_upright(joints, AHEAD, LEVEL).T)
    radians = math.radians(before)
    taken = SHARE * math.cos(radians) ** FADING * math.degrees(math.sin(radians))
    assert after == pytest.approx(before - taken, abs=0.05)
    assert abs(aside) < 0.1


def test_who_lies_or_falls_is_left_so():
    for lean_deg in (60.0, 90.0, 150.0):
        joints = person(lean_deg)
        turned, _ = lean(joints @ turn_upright(joints, AHEAD, LEVEL).T)
        assert turned == pytest.approx(lean(joints)[0], abs=0.1)


def test_a_lean_that_the_picture_shows_is_left():
    joints = person(0.0, sideways_deg=15.0)
    turned = joints @ turn_upright(joints, AHEAD, LEVEL).T
    torch.testing.assert_close(turned, joints, atol=0.01, rtol=0)


@pytest.mark.parametrize("pitch_deg", [10.0, 30.0, 45.0])
def test_nor_is_it_turned_by_a_camera_that_looks_down(pitch_deg):
    """Somebody who leans aside is not turned about themselves for it."""
    up = torch.tensor(up_of_tilt(pitch_deg, 0.0), dtype=torch.float32)
    a = math.radians(pitch_deg)
    tilt = torch.tensor([[1, 0, 0], [0, math.cos(a), -math.sin(a)], [0, math.sin(a), math.cos(a)]])
    joints = person(0.0, sideways_deg=15.0) @ tilt.T
    turned = joints @ turn_upright(joints, AHEAD, up).T
    torch.testing.assert_close(turned, joints, atol=0.01, rtol=0)


def test_a_camera_overhead_sees_every_lean():
    above = torch.tensor(up_of_tilt(90.0, 0.0), dtype=torch.float32)
    for lean_deg in (-100.0, -80.0):  # the head is towards the camera: leans by 10 degrees
        joints = person(lean_deg)
        torch.testing.assert_close(turn_upright(joints, AHEAD, above), torch.eye(3))


def test_who_sits_on_a_chair_leans_otherwise():
    body = load_body("free-low")
    pose = torch.zeros(1, 24, 3)
    pose[0, 0, 0] = math.pi
    for side in ("left", "right"):
        pose[0, JOINT_NAMES.index(f"{side}_hip"), 0] = -math.pi / 2
        pose[0, JOINT_NAMES.index(f"{side}_knee"), 0] = math.pi / 2
    joints = body.joints_matrices(
        roma.rotvec_to_rotmat(pose), torch.zeros(1, 10), torch.zeros(1, 3)
    )[0]
    turn = torch.rad2deg(roma.rotmat_to_rotvec(turn_upright(joints, AHEAD, LEVEL)).norm())
    assert turn < 0.5
    assert abs(lean(joints)[0]) > 15


def test_upright_is_meant_in_the_world_and_along_the_line_of_sight():
    """A camera that looks down by 10 degrees sees upright people lean towards it by as much."""
    up = torch.tensor(up_of_tilt(10.0, 0.0), dtype=torch.float32)
    joints = person(10.0)
    assert lean(joints @ turn_upright(joints, AHEAD, up).T)[0] == pytest.approx(10, abs=0.3)
    joints = person(0.0)
    assert lean(joints @ turn_upright(joints, AHEAD, up).T)[0] == pytest.approx(2.5, abs=0.4)
    # Seen from the side, the same lean is one in the picture.
    beside = torch.tensor([4.0, 0.0, 0.1])
    joints = person(0.0, sideways_deg=10.0)
    assert lean(joints @ turn_upright(joints, beside, LEVEL).T)[1] == pytest.approx(7.5, abs=0.4)


def test_where_up_is_not_known_nothing_is_turned():
    joints = torch.stack([person(10.0), person(10.0)])
    up = torch.stack([LEVEL, torch.zeros(3)])
    turn = turn_upright(joints, AHEAD.expand(2, 3), up)
    assert not torch.allclose(turn[0], torch.eye(3), atol=1e-2)
    assert torch.equal(turn[1], torch.eye(3))


def test_evaluations_turn_whole_bodies_about_the_pelvis(tmp_path):
    body, model = load_body("free-low"), load_model("d3pose-landmarks")
    batch = simulated(tmp_path, frames=4)
    recovered = free_run(model, batch)
    assert turned_upright(recovered, batch, body, UNKNOWN, 0) is recovered
    told = turned_upright(recovered, batch, body, EXACT, 0)
    joints = recovered.joints(body)
    turn = turn_upright(joints, recovered.pelvis, batch.truth.up)
    torch.testing.assert_close(
        told.joints(body), joints @ turn.transpose(-1, -2), atol=1e-4, rtol=0
    )
    assert (told.joints(body) - joints).norm(dim=-1).max() > 0.02
    assert torch.equal(told.pelvis, recovered.pelvis)
    assert torch.equal(told.rotations[:, :, 1:], recovered.rotations[:, :, 1:])
