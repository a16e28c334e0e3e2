"""A person and their mirror image are recovered alike, one by one or many, by every runtime."""

from dataclasses import fields, replace

import pytest
import roma
import torch

from d3pose_core.model.checkpoint import load_model
from d3pose_core.model.decoder import PosePrediction
from d3pose_core.model.view import ViewCamera
from d3pose_core.runtime import ONNX, TORCH
from d3pose_core.runtime.both_ways import BothWays, mean_of, mirrored
from d3pose_core.runtime.choice import open_runtime
from d3pose_core.runtime.frames import moving_people
from d3pose_core.skeleton import JOINT_NAMES, LANDMARK_NAMES
from d3pose_core.snapshot import load_snapshot, save_snapshot
from test.helpers.networks import largest_difference, random_network, stream

FRAMES = 40


@pytest.fixture(scope="module")
def alone():
    return open_runtime(load_model("d3pose-landmarks"), TORCH)


@pytest.fixture(scope="module")
def people():
    return moving_people(3, FRAMES)


def test_mirrored_people_are_recovered_as_mirrored_people(alone, people):
    """Of 40 steps on their own outputs; the network alone says other things of the two."""
    step = BothWays(alone)
    apart = largest_difference(stream(step, people.mirrored()), mirrored(stream(step, people)))
    assert apart < 2e-4
    alone_apart = largest_difference(
        stream(alone, people.mirrored()), mirrored(stream(alone, people))
    )
    assert alone_apart > 0.05


def test_the_answer_lies_half_way_between_two_that_go_on_alone(alone, people):
    """Each way keeps its own past."""
    both = stream(BothWays(alone), people)
    ways = stream(alone, people), mirrored(stream(alone, people.mirrored()))
    turns = [roma.rotmat_geodesic_distance(way.rotations, both.rotations) for way in ways]
    whole = roma.rotmat_geodesic_distance(ways[0].rotations, ways[1].rotations)
    torch.testing.assert_close(turns[0], whole / 2, atol=2e-3, rtol=0)
    torch.testing.assert_close(turns[1], whole / 2, atol=2e-3, rtol=0)
    for name in ("place", "log_variance", "betas", "stature_log_variance"):
        middle = (getattr(ways[0], name) + getattr(ways[1], name)) / 2
        torch.testing.assert_close(getattr(both, name), middle, atol=1e-4, rtol=0)


def test_the_view_is_that_of_the_person_as_seen(alone, people):
    _, view, _ = BothWays(alone).step(people[:, :1], BothWays(alone).initial_state(3))
    _, expected, _ = alone.step(people[:, :1], alone.initial_state(3))
    assert isinstance(view, ViewCamera)
    torch.testing.assert_close(view.rotation, expected.rotation)
    torch.testing.assert_close(view.size, expected.size)


@pytest.mark.parametrize("runtime", [TORCH, ONNX])
def test_people_who_come_and_go_do_not_touch_each_other(people, runtime):
    step = BothWays(open_runtime(random_network(), runtime))
    assert step.runtime == runtime
    state = step.initial_state(3)
    for t in range(4):
        _, _, state = step.step(people[:, t : t + 1], state)
    rows = state.split()
    expected, _, _ = step.step(people[:, 4:5], step.stack(rows))
    order = [2, 0]
    newcomer = step.initial_state(1)
    frame = people[[*order, 1], 4:5]
    got, _, after = step.step(frame, step.stack([*(rows[i] for i in order), newcomer]))
    alone, _, alone_after = step.step(frame[[2]], step.initial_state(1))
    later, _, _ = step.step(people[[1], 5:6], after.split()[2])
    alone_later, _, _ = step.step(people[[1], 5:6], alone_after)
    for f in fields(got):
        name, near = f.name, {"atol": 2e-5, "rtol": 0}
        torch.testing.assert_close(getattr(got, name)[:2], getattr(expected, name)[order], **near)
        torch.testing.assert_close(getattr(got, name)[2:], getattr(alone, name), **near)
        torch.testing.assert_close(getattr(later, name), getattr(alone_later, name), **near)


def test_a_state_goes_through_a_file(people, tmp_path):
    step = BothWays(open_runtime(random_network(), ONNX))
    _, _, state = step.step(people[:, :1], step.initial_state(3))
    save_snapshot(tmp_path / "state.npz", state.split())
    expected, _, _ = step.step(people[:, 1:2], step.stack(state.split()))
    again = step.stack(load_snapshot(tmp_path / "state.npz"))
    got, _, _ = step.step(people[:, 1:2], again)
    assert largest_difference(got, expected) == 0


def test_a_stacked_state_is_a_copy_that_lasts(people):
    """As of ONNX Runtime's own states, which later steps write over."""
    step = BothWays(open_runtime(random_network(), ONNX))
    _, _, state = step.step(people[:, :1], step.initial_state(3))
    kept = step.stack([state])
    expected, _, after = step.step(people[:, 1:2], state)
    for t in range(2, 5):
        _, _, after = step.step(people[:, t : t + 1], after)
    got, _, _ = step.step(people[:, 1:2], kept)
    assert largest_difference(got, expected) == 0


def test_mirroring_twice_changes_nothing(alone, people):
    again = people.mirrored().mirrored()
    assert all(torch.equal(getattr(again, f.name), getattr(people, f.name)) for f in fields(people))
    said = stream(alone, people[:, :3])
    assert largest_difference(mirrored(mirrored(said)), said) == 0
    left, right = JOINT_NAMES.index("left_wrist"), JOINT_NAMES.index("right_wrist")
    assert torch.equal(mirrored(said).log_variance[..., left], said.log_variance[..., right])


def test_what_was_left_of_the_middle_is_right_of_it(people):
    """Of rivals, too."""
    left, right = LANDMARK_NAMES.index("left_wrist"), LANDMARK_NAMES.index("right_wrist")
    got = people.mirrored()
    for name in ("rays", "rival_rays"):
        before, after = getattr(people, name)[:, :, left], getattr(got, name)[:, :, right]
        assert torch.equal(after[..., 0], -before[..., 0])
        assert torch.equal(after[..., 1], before[..., 1])
    assert torch.equal(got.landmarks[:, :, right, 2], people.landmarks[:, :, left, 2])
    assert torch.equal(got.certainty[:, :, right], people.certainty[:, :, left])


@pytest.mark.parametrize(("one", "other", "half_way"), [(170, -150, 190), (-80, -100, -90)])
def test_half_way_is_along_the_shorter_arc(alone, people, one, other, half_way):
    """Also on either side of half a turn, and of where the quaternion's sign changes."""
    first = stream(alone, people[:, :1])
    joint, axis = JOINT_NAMES.index("right_wrist"), torch.tensor([0.0, 1.0, 0.0])

    def turned(degrees: float) -> PosePrediction:
        rotations = first.rotations.clone()
        rotations[:, :, joint] = roma.rotvec_to_rotmat(torch.deg2rad(axis * degrees))
        return replace(first, rotations=rotations)

    got = mean_of(turned(one), turned(other)).rotations[:, :, joint]
    expected = roma.rotvec_to_rotmat(torch.deg2rad(axis * half_way)).expand_as(got)
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("degrees", "is_mean"), [(80.0, True), (100.0, False), (180.0, False)])
def test_front_and_back_have_no_mean(alone, people, degrees, is_mean):
    """Whoever faces quite differently in the second answer is as in the first, all of them."""
    first = stream(alone, people[:, :1])
    turn = roma.rotvec_to_rotmat(torch.tensor([0.0, degrees, 0.0]).deg2rad())
    rotations = first.rotations.clone()
    rotations[1, :, 0] = turn @ rotations[1, :, 0]
    second = replace(first, rotations=rotations, place=first.place + 0.2)
    got = mean_of(first, second)
    assert isinstance(got, PosePrediction)
    turned = roma.rotmat_geodesic_distance(got.rotations[1, 0, 0], first.rotations[1, 0, 0])
    assert float(turned.rad2deg()) == pytest.approx(degrees / 2 if is_mean else 0.0, abs=0.1)
    moved = (got.place - first.place)[:, 0]
    assert moved[0] == pytest.approx([0.1] * 3)
    assert moved[1] == pytest.approx([0.1 if is_mean else 0.0] * 3)
