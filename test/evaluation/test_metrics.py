"""Metrics against scipy and known answers."""

import numpy as np
import pytest
import torch
from scipy.spatial import procrustes
from scipy.spatial.transform import Rotation

from d3pose_core.evaluation.metrics import (
    acceleration_error_mm,
    mean_position_error_mm,
    pa_mpjpe_mm,
    procrustes_aligned,
    root_aligned,
)


def test_mpjpe_is_the_mean_distance_in_millimetres():
    truth = torch.zeros(2, 3, 3)
    predicted = truth.clone()
    predicted[0, :, 0] = 0.030
    predicted[1, 0, 2] = 0.060
    assert mean_position_error_mm(predicted, truth).tolist() == pytest.approx([30.0, 20.0])


def test_root_alignment_takes_the_root_away():
    points = torch.randn(4, 24, 3)
    assert torch.allclose(
        root_aligned(points + 5, points[:, 0] + 5), root_aligned(points, points[:, 0]), atol=1e-5
    )


def test_procrustes_undoes_a_similarity():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(5, 24, 3))
    moved = 1.7 * truth @ Rotation.random(random_state=1).as_matrix() + [1, 2, 3]
    assert pa_mpjpe_mm(torch.tensor(moved), torch.tensor(truth)).max() < 1e-6


def test_procrustes_keeps_mirror_images_apart():
    truth = torch.tensor(np.random.default_rng(0).normal(size=(24, 3)))
    mirrored = truth * torch.tensor([-1.0, 1, 1])
    assert pa_mpjpe_mm(mirrored, truth) > 100


@pytest.mark.parametrize("seed", range(5))
def test_procrustes_equals_scipys(seed):
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=(24, 3))
    predicted = truth + 0.1 * rng.normal(size=(24, 3))
    aligned = procrustes_aligned(torch.tensor(predicted), torch.tensor(truth)).numpy()
    # scipy reports the squared residual after scaling the truth to unit norm about its mean.
    _, _, disparity = procrustes(truth, predicted)
    unit = ((truth - truth.mean(0)) ** 2).sum()
    assert ((aligned - truth) ** 2).sum() / unit == pytest.approx(disparity, rel=1e-9)


def test_acceleration_error_of_one_jump():
    truth = torch.zeros(5, 1, 3)
    predicted = truth.clone()
    predicted[2, 0, 1] = 0.01  # out and back: second differences 10, -20, 10 mm
    assert acceleration_error_mm(predicted, truth).tolist() == pytest.approx([10.0, 20.0, 10.0])


def test_constant_velocity_has_no_acceleration():
    drift = torch.arange(6.0)[:, None, None] * torch.ones(6, 2, 3)
    assert acceleration_error_mm(drift, torch.zeros(6, 2, 3)).abs().max() < 1e-3
