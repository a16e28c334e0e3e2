"""Recordings with simulated errors in the place of the measured ones."""

import pytest
import torch

from d3pose_core.data.landmark_noise import Realism
from d3pose_core.errors import InputError
from d3pose_core.model.view import project
from test.helpers.recordings import exact_recording
from tools.measure_landmarks.compare import side_by_side, simulated


def test_without_errors_the_true_landmarks_are_reported():
    recorded = exact_recording(clips=4, frames=3)
    found = simulated(recorded, realism=Realism(errors=0.0, definition=False))
    assert found.seen.all()
    assert torch.allclose(found.rays, project(recorded.true_landmarks), atol=1e-5)
    assert found.start[:, 0].tolist() == [1] * 4
    assert not found.start[:, 1:].any()


def test_a_seed_gives_the_same_errors():
    recorded = exact_recording(clips=4, frames=3)
    first, again, other = (simulated(recorded, seed) for seed in (1, 1, 2))
    assert torch.equal(first.rays, again.rays)
    assert not torch.equal(first.rays, other.rays)


def test_measured_and_simulated_stand_side_by_side():
    text = side_by_side(exact_recording(clips=4, frames=40))
    assert "D3Pose, 12 limb joints" in text
    assert text.count("D3Pose, 12 limb joints") == 2


def test_clips_that_are_too_short_for_tables_are_told():
    with pytest.raises(InputError, match="the best of 4 has 3: record longer clips"):
        side_by_side(exact_recording(clips=4, frames=3))
