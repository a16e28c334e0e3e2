"""Simulated observations: right way up, not mirrored, as wrong as a landmark network and no more."""

import pytest
import torch

from d3pose_core.body import load_body
from d3pose_core.data.cameras import sample_cameras
from d3pose_core.data.landmark_noise import Realism
from d3pose_core.data.motions import MotionLibrary, MotionWindows, mirror, widen
from d3pose_core.data.simulator import Simulator
from d3pose_core.errors import InputError
from d3pose_core.skeleton import JOINT_NAMES, LANDMARK_NAMES
from test.helpers.motion_shard import write_motion_shard


@pytest.fixture(scope="module")
def shard(tmp_path_factory):
    return write_motion_shard(tmp_path_factory.mktemp("motions") / "made_up.npz")


@pytest.fixture(scope="module")
def body():
    return load_body("free-low")


EXACT = Realism(errors=0.0, definition=False)


def simulator(shard, body, seed=0, realism=None) -> Simulator:
    return Simulator(MotionLibrary([shard], "train"), body, seed, realism)


def landmark(name: str) -> int:
    return LANDMARK_NAMES.index(name)


def test_the_same_seed_gives_the_same_batch(shard, body):
    first = simulator(shard, body, seed=5).sample(3, 20)
    second = simulator(shard, body, seed=5).sample(3, 20)
    other = simulator(shard, body, seed=6).sample(3, 20)
    assert torch.equal(first.observations.rays, second.observations.rays)
    assert not torch.equal(first.observations.rays, other.observations.rays)


def test_cameras_hang_as_high_as_they_do_before_robots():
    """Half of them about 1.2 m above the person's floor, some below it."""
    times = torch.arange(2).expand(20_000, 2) / 30.0
    pelvis = torch.tensor([0.0, 0.95, 0.0]).expand(20_000, 2, 3)
    cameras = sample_cameras(pelvis, times, torch.Generator().manual_seed(0))
    away = cameras.position[:, 0] - pelvis[:, 0]
    elevation = torch.rad2deg(torch.asin(away[:, 1] / away.norm(dim=-1)))
    assert abs(float(elevation.median())) < 6, "an upright person leans neither way on average"
    assert elevation.quantile(0.03) > -35
    assert elevation.quantile(0.97) < 50
    height = cameras.position[:, 0, 1]
    assert 0.45 < float(((height > 0.6) & (height < 1.8)).float().mean()) < 0.8
    assert 0.03 < float((height < 0).float().mean()) < 0.2


def test_truth_is_consistent_with_the_body(shard, body):
    batch = simulator(shard, body).sample(4, 10)
    truth = batch.truth
    transl = truth.pelvis - body.joints_rest(truth.betas)[:, None, 0]
    joints = body.joints_matrices(
        truth.rotations.flatten(0, 1), truth.betas.repeat_interleave(10, 0), transl.flatten(0, 1)
    )
    assert torch.allclose(joints.unflatten(0, (4, 10)), truth.joints, atol=1e-5)
    assert (truth.pelvis[..., 2] > 0.5).all(), "everybody stands in front of the camera"


def test_people_stand_upright_and_are_not_mirrored(shard, body):
    batch = simulator(shard, body, realism=EXACT).sample(64, 10, augment=False)
    rays, truth = batch.observations.rays, batch.truth
    nose, ankle = rays[..., landmark("nose"), 1], rays[..., landmark("left_ankle"), 1]
    assert (nose < ankle).float().mean() > 0.98, "y points down in the optical frame"

    # Where the chest faces the camera, the left shoulder is on the right of the image.
    chest = truth.rotations[:, :, 0] @ torch.tensor([0.0, 0.0, 1.0])
    facing = (chest * truth.pelvis).sum(-1) < -0.7 * truth.pelvis.norm(dim=-1)
    left_to_right = (
        rays[..., landmark("left_shoulder"), 0] - rays[..., landmark("right_shoulder"), 0]
    )
    assert facing.sum() > 20
    assert (left_to_right[facing] > 0).float().mean() > 0.98


def test_without_errors_observations_are_projections(shard, body):
    batch = simulator(shard, body, realism=EXACT).sample(8, 10)
    shoulder = JOINT_NAMES.index("left_shoulder")
    expected = batch.truth.joints[:, :, shoulder]
    expected = expected[..., :2] / expected[..., 2:]
    got = batch.observations.rays[..., landmark("left_shoulder"), :]
    near = batch.truth.joints[:, :, shoulder, 2] < 0.25  # there, rays are bounded
    assert torch.allclose(got[~near], expected[~near], atol=1e-3)
    assert batch.observations.seen.float().mean() > 0.9


def test_mirroring_a_motion_mirrors_its_joints(shard, body):
    windows = MotionLibrary([shard], "test").clip(0)
    mirrored = mirror(windows, torch.tensor([True]))
    betas = torch.zeros(1, 10)

    def joints(w: MotionWindows) -> torch.Tensor:
        transl = w.pelvis[0] - body.joints_rest(betas)[:, 0]
        return body.joints_matrices(w.rotations[0], betas, transl)

    left, right = (JOINT_NAMES.index(f"{side}_wrist") for side in ("left", "right"))
    expected = joints(windows)[:, left] * torch.tensor([-1.0, 1, 1])
    assert torch.allclose(joints(mirrored)[:, right], expected, atol=1e-3)


def test_widening_keeps_rotations_rotations(shard):
    windows = MotionLibrary([shard], "train").sample(
        torch.arange(5).expand(6, 5) / 30.0, torch.Generator().manual_seed(0)
    )
    wide = widen(windows, windows, torch.Generator().manual_seed(1)).rotations
    identity = torch.eye(3).expand_as(wide)
    assert torch.allclose(wide @ wide.transpose(-1, -2), identity, atol=1e-5)
    assert not torch.allclose(wide, windows.rotations, atol=1e-3)


def test_upper_bodies_change_partners_at_their_own_pace(shard, monkeypatch):
    """A partner's body from other times would move too fast or too slowly."""
    monkeypatch.setattr(
        "d3pose_core.data.motions.turned_a_little", lambda rotations, rng: rotations
    )
    library, rng = MotionLibrary([shard], "train"), torch.Generator().manual_seed(0)
    times = torch.arange(30).expand(40, 30) / torch.tensor([[10.0], [60.0]]).repeat(20, 1)
    windows, others = library.sample(times, rng), library.sample(times, rng)
    wide = widen(windows, others, rng).rotations
    arm, leg = JOINT_NAMES.index("left_shoulder"), JOINT_NAMES.index("left_hip")
    assert torch.equal(wide[:, :, leg], windows.rotations[:, :, leg])
    swapped = (wide[:, :, arm] == others.rotations[:, :, arm]).flatten(1).all(1)
    kept = (wide[:, :, arm] == windows.rotations[:, :, arm]).flatten(1).all(1)
    assert (swapped ^ kept).all()
    assert 5 < int(swapped.sum()) < 25


def test_missing_shards_and_splits_are_named(tmp_path, shard):
    with pytest.raises(InputError, match=r"no motion shard at .*nowhere.npz"):
        MotionLibrary([tmp_path / "nowhere.npz"], "train")
    with pytest.raises(InputError, match="no clip of split 'night'"):
        MotionLibrary([shard], "night")
