"""Recordings of rendered people: file, truth, and the score of the landmarks themselves."""

from pathlib import Path

import numpy as np
import pytest
import roma
import torch

from d3pose_core.body.load import load_body
from d3pose_core.data.rendered import RenderedSet, landmark_scores
from d3pose_core.errors import InputError
from d3pose_core.model.view import look_at_rotation, project
from d3pose_core.skeleton import LANDMARK_TO_JOINT

CLIPS, FRAMES = 2, 5


@pytest.fixture(scope="module")
def recorded() -> RenderedSet:
    """Two people in random poses whose landmarks are reported without error."""
    rng = torch.Generator().manual_seed(0)
    body = load_body("free-mid")
    rotations = roma.rotvec_to_rotmat(0.4 * torch.randn(CLIPS * FRAMES, 24, 3, generator=rng))
    rotations[:, 0] = torch.diag(torch.tensor([1.0, -1.0, -1.0])) @ rotations[:, 0]
    betas = torch.randn(CLIPS, 10, generator=rng)
    pelvis = torch.tensor([0.8, -0.3, 4.0]) + 0.1 * torch.randn(CLIPS, FRAMES, 3, generator=rng)
    each = betas.repeat_interleave(FRAMES, 0)
    pose = rotations, each, pelvis.flatten(0, 1) - body.joints_rest(each)[:, 0]
    joints = body.joints_matrices(*pose).unflatten(0, (CLIPS, FRAMES))
    landmarks = body.landmarks_matrices(*pose).unflatten(0, (CLIPS, FRAMES))
    for landmark, joint in LANDMARK_TO_JOINT:  # so that there is no error at all
        landmarks[:, :, landmark] = joints[:, :, joint]
    middle = landmarks[:, :, [23, 24]].mean(-2)
    facing = (landmarks - middle[:, :, None]) @ look_at_rotation(project(middle))
    ones = torch.ones(CLIPS, FRAMES, 33)
    return RenderedSet(
        rays=project(landmarks),
        depth_hint=0 * ones,
        landmarks=facing,
        visibility=ones,
        presence=ones,
        certainty=ones,
        score=ones[..., 0],
        seen=ones[..., 0] > 0,
        stray=ones[..., 0] < 0,
        start=torch.zeros(CLIPS, FRAMES, dtype=torch.int8),
        sight=torch.zeros(CLIPS, FRAMES, 33, dtype=torch.int8),
        times_s=torch.arange(FRAMES).expand(CLIPS, FRAMES) / 30,
        true_landmarks=landmarks,
        rotations=rotations.unflatten(0, (CLIPS, FRAMES)),
        betas=betas,
        pelvis=pelvis,
        joints=joints,
        camera_rotation=torch.eye(3).expand(CLIPS, FRAMES, 3, 3),
        camera_position=torch.zeros(CLIPS, FRAMES, 3),
        camera=torch.tensor([[500.0, 500, 320, 240, 640, 480]]).expand(CLIPS, -1),
        clip=torch.arange(CLIPS),
    )


def test_saved_and_loaded_again(recorded, tmp_path):
    recorded.save(tmp_path / "set.npz")
    again = RenderedSet.load(tmp_path / "set.npz", tmp_path / "set.npz")
    assert len(again) == 2 * CLIPS
    for name, value in vars(recorded).items():
        assert torch.equal(getattr(again, name)[:CLIPS], value), name


def test_landmarks_without_error_score_zero(recorded):
    scores = landmark_scores(recorded)
    assert scores["mpjpe"] < 0.1
    assert scores["accel"] < 0.5  # rounding, at 4 m
    assert scores["seen"] == 1.0


def test_error_of_landmarks_is_in_millimetres(recorded):
    worse = recorded[:]
    worse.landmarks = recorded.landmarks.clone()
    knees = [25, 26]
    worse.landmarks[:, :, knees, 2] += 0.06
    assert landmark_scores(worse)["mpjpe"] == pytest.approx(10, abs=0.1)  # 2 of 12 joints by 60 mm


def test_batches_hold_the_truth_of_the_same_body(recorded):
    batches = recorded.batches(load_body("free-mid"), size=1)
    assert len(batches) == CLIPS
    for clip, batch in enumerate(batches):
        assert torch.allclose(batch.truth.joints[0], recorded.joints[clip], atol=1e-5)
        assert torch.equal(batch.observations.rays[0], recorded.rays[clip])
        assert batch.observations.step_s[0, 1:].mean() == pytest.approx(1 / 30)


def test_what_is_no_recording_is_refused(tmp_path):
    with pytest.raises(InputError, match="no recording at"):
        RenderedSet.load(tmp_path / "nothing.npz")
    path = Path(tmp_path / "other.npz")
    np.savez(path, rays=np.zeros(3))
    with pytest.raises(InputError, match="lacks"):
        RenderedSet.load(path)
