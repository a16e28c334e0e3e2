"""Recordings of rendered people: file, truth, and the score of the landmarks themselves."""

from pathlib import Path

import numpy as np
import pytest
import torch

from d3pose_core.body.load import load_body
from d3pose_core.data.rendered import RenderedSet, landmark_scores
from d3pose_core.errors import InputError
from test.helpers.recordings import exact_recording

CLIPS, FRAMES = 2, 5


@pytest.fixture(scope="module")
def recorded() -> RenderedSet:
    return exact_recording(CLIPS, FRAMES)


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


def test_clips_begin_when_their_person_is_found(recorded):
    late = recorded[:]
    late.seen = recorded.seen.clone()
    late.seen[0, :2] = False  # of five frames
    late.seen[1] = False  # never
    moved = late.from_first_seen()
    assert moved.seen.tolist() == [[True, True, True, False, False], [False] * 5]
    assert torch.equal(moved.rays[0, :3], recorded.rays[0, 2:])
    assert torch.equal(moved.joints[0, :3], recorded.joints[0, 2:])
    assert torch.equal(moved.betas, recorded.betas)
    torch.testing.assert_close(moved.times_s.diff(dim=1), torch.full((CLIPS, FRAMES - 1), 1 / 30))
    assert torch.equal(recorded.from_first_seen().landmarks, recorded.landmarks)
    (batch,) = late.batches(load_body("free-mid"))
    assert batch.observations.seen[0].tolist() == moved.seen[0].tolist()
    torch.testing.assert_close(batch.truth.joints[0, 0], recorded.joints[0, 2], atol=1e-5, rtol=0)


def test_what_is_no_recording_is_refused(tmp_path):
    with pytest.raises(InputError, match="no recording at"):
        RenderedSet.load(tmp_path / "nothing.npz")
    path = Path(tmp_path / "other.npz")
    np.savez(path, rays=np.zeros(3))
    with pytest.raises(InputError, match="lacks"):
        RenderedSet.load(path)


def test_a_recording_of_before_certainty_is_to_be_made_again(recorded, tmp_path):
    recorded.save(tmp_path / "set.npz")
    with np.load(tmp_path / "set.npz") as file:
        arrays = {name: file[name] for name in file.files if name != "certainty"}
    np.savez(tmp_path / "older.npz", **arrays)
    with pytest.raises(InputError, match=r"older.npz lacks certainty.*record it again"):
        RenderedSet.load(tmp_path / "older.npz")
