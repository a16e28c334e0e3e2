"""Simulated observations: right way up, not mirrored, as wrong as a landmark network and no more."""

import numpy as np
import pytest
import torch

from d3pose_core.body import load_body
from d3pose_core.data import landmark_noise
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


def simulator(shard, body, seed=0) -> Simulator:
    return Simulator(MotionLibrary([shard], "train"), body, seed)


def landmark(name: str) -> int:
    return LANDMARK_NAMES.index(name)


def test_the_same_seed_gives_the_same_batch(shard, body):
    first = simulator(shard, body, seed=5).sample(3, 20)
    second = simulator(shard, body, seed=5).sample(3, 20)
    other = simulator(shard, body, seed=6).sample(3, 20)
    assert torch.equal(first.observations.rays, second.observations.rays)
    assert not torch.equal(first.observations.rays, other.observations.rays)


def test_truth_is_consistent_with_the_body(shard, body):
    batch = simulator(shard, body).sample(4, 10)
    truth = batch.truth
    transl = truth.pelvis - body.joints_rest(truth.betas)[:, None, 0]
    joints = body.joints_matrices(
        truth.rotations.flatten(0, 1), truth.betas.repeat_interleave(10, 0), transl.flatten(0, 1)
    )
    assert torch.allclose(joints.unflatten(0, (4, 10)), truth.joints, atol=1e-5)
    assert (truth.pelvis[..., 2] > 0.5).all(), "everybody stands in front of the camera"


def test_people_stand_upright_and_are_not_mirrored(shard, body, monkeypatch):
    for name in ("IMAGE_ERROR", "METRIC_ERROR_ACROSS_M", "METRIC_ERROR_DEPTH_M"):
        monkeypatch.setattr(landmark_noise, name, 0.0)
    batch = simulator(shard, body).sample(64, 10, augment=False)
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
    # Some are flipped on purpose: that is one of the errors simulated.
    assert (left_to_right[facing] > 0).float().mean() > 0.9


def test_without_errors_observations_are_projections(shard, body, monkeypatch):
    monkeypatch.setattr(landmark_noise, "IMAGE_ERROR", 0.0)
    monkeypatch.setattr(landmark_noise, "bursts", lambda times, *_: torch.zeros_like(times) > 1)
    batch = simulator(shard, body).sample(8, 10)
    shoulder = JOINT_NAMES.index("left_shoulder")
    expected = batch.truth.joints[:, :, shoulder]
    expected = expected[..., :2] / expected[..., 2:]
    got = batch.observations.rays[..., landmark("left_shoulder"), :]
    assert torch.allclose(got, expected, atol=1e-3)


def test_image_errors_are_of_the_measured_size(shard, body):
    batch = simulator(shard, body).sample(128, 30)
    visible = batch.observations.visibility[..., landmark("left_shoulder")] > 0.9
    truth = batch.truth.joints[:, :, JOINT_NAMES.index("left_shoulder")]
    error = (
        batch.observations.rays[..., landmark("left_shoulder"), :] - truth[..., :2] / truth[..., 2:]
    )
    of_height = (error.norm(dim=-1) * batch.truth.pelvis[..., 2] / 1.7)[visible]
    assert 0.005 < float(of_height.median()) < 0.015


def test_correlated_noise_has_unit_variance_and_the_memory_it_says(shard):
    rng = torch.Generator().manual_seed(0)
    times = torch.arange(60).expand(4000, 60) / 30.0
    noise = landmark_noise.correlated_noise(times, (1,), torch.full((4000,), 0.2), rng)[..., 0]
    assert np.isclose(float(noise.var(0).mean()), 1.0, atol=0.05)
    lag = 6  # frames, 0.2 s: the correlation is 1/e there
    correlation = (noise[:, lag:] * noise[:, :-lag]).mean()
    assert np.isclose(float(correlation), np.exp(-1), atol=0.05)


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
    wide = widen(windows, torch.Generator().manual_seed(1)).rotations
    identity = torch.eye(3).expand_as(wide)
    assert torch.allclose(wide @ wide.transpose(-1, -2), identity, atol=1e-5)
    assert not torch.allclose(wide, windows.rotations, atol=1e-3)


def test_missing_shards_and_splits_are_named(tmp_path, shard):
    with pytest.raises(InputError, match=r"no motion shard at .*nowhere.npz"):
        MotionLibrary([tmp_path / "nowhere.npz"], "train")
    with pytest.raises(InputError, match="no clip of split 'night'"):
        MotionLibrary([shard], "night")
