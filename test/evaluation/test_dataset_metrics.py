"""Metrics against independent implementations (scipy) and known answers, to 1e-6."""

import numpy as np
import pytest
import torch
from scipy.integrate import trapezoid
from scipy.spatial import procrustes
from scipy.spatial.transform import Rotation

from d3pose_core.evaluation.metrics import pa_mpjpe_mm, procrustes_rotation
from d3pose_core.evaluation.pck import auc, pck
from d3pose_core.evaluation.rotation_metrics import angle_errors_deg, global_rotations, mpjae_deg
from d3pose_core.evaluation.world_metrics import (
    foot_sliding_mm,
    jitter_m_s3,
    rte_percent,
    similarity,
    w_mpjpe_mm,
    wa_mpjpe_mm,
)
from d3pose_core.skeleton import JOINT_PARENTS

RNG = np.random.default_rng(0)


def tensor(array):
    return torch.from_numpy(np.asarray(array, np.float64))


def scipy_pa_errors(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Per point, in the unit of `truth`, by scipy's Procrustes analysis (which normalises both)."""
    a, b, _ = procrustes(truth, predicted)
    size = np.linalg.norm(truth - truth.mean(0))
    return np.linalg.norm(a - b, axis=1) * size


def test_pa_errors_of_joints_and_vertices_agree_with_scipy():
    for points in (14, 24, 500):
        truth = RNG.normal(size=(points, 3))
        turn = Rotation.random(rng=1)
        predicted = 0.7 * turn.apply(truth) + RNG.normal(0, 0.1, (points, 3)) + 2
        ours = float(pa_mpjpe_mm(tensor(predicted), tensor(truth)))
        assert ours == pytest.approx(1000 * scipy_pa_errors(predicted, truth).mean(), abs=1e-6)


def test_procrustes_rotation_agrees_with_scipys_align_vectors():
    truth = RNG.normal(size=(24, 3))
    predicted = Rotation.random(rng=2).apply(truth) + RNG.normal(0, 0.1, (24, 3))
    ours = procrustes_rotation(tensor(predicted), tensor(truth)).numpy()
    theirs, _ = Rotation.align_vectors(truth - truth.mean(0), predicted - predicted.mean(0))
    np.testing.assert_allclose(ours, theirs.as_matrix(), atol=1e-9)


def test_angles_agree_with_scipy_from_tiny_to_half_a_turn():
    for degrees in (0.0, 1e-6, 0.5, 60, 120, 179.999, 180):
        axis = RNG.normal(size=3)
        by = Rotation.from_rotvec(np.radians(degrees) * axis / np.linalg.norm(axis))
        start = Rotation.random(rng=3)
        error = angle_errors_deg(tensor(start.as_matrix()), tensor((start * by).as_matrix()))
        assert float(error) == pytest.approx(degrees, abs=1e-6)


def test_mpjae_is_of_global_rotations():
    local = Rotation.from_rotvec(RNG.normal(size=(24, 3)))
    world = [None] * 24
    for joint, parent in enumerate(JOINT_PARENTS):
        world[joint] = local[joint] if parent < 0 else world[parent] * local[joint]
    ours = global_rotations(tensor(local.as_matrix())).numpy()
    np.testing.assert_allclose(ours, [w.as_matrix() for w in world], atol=1e-12)
    # Turning the root by 30 degrees turns every joint by 30 degrees.
    other = local.as_matrix()
    other[0] = (Rotation.from_euler("y", 30, degrees=True) * local[0]).as_matrix()
    error = mpjae_deg(global_rotations(tensor(other)), tensor(ours))
    assert float(error) == pytest.approx(30, abs=1e-6)
    wrong_wrist = local.as_matrix()
    wrong_wrist[23] = (local[23] * Rotation.from_euler("x", 24, degrees=True)).as_matrix()
    turned = global_rotations(tensor(wrong_wrist))
    assert float(mpjae_deg(turned, tensor(ours))) == pytest.approx(1, abs=1e-6)
    assert float(mpjae_deg(turned, tensor(ours), (0, 1, 2))) == pytest.approx(0, abs=1e-6)


def test_pck_and_auc_of_known_errors():
    errors = tensor([0.0, 50.0, 51.0, 1000.0])
    assert float(pck(errors, 50.0)) == 0.5
    # Of all errors zero the curve is 1 everywhere; of all beyond the range it is 0.
    assert float(auc(tensor([0.0, 0.0]))) == pytest.approx(1)
    assert float(auc(tensor([500.0]))) == 0
    # Uniform errors make a straight line.
    assert float(auc(tensor(np.linspace(0, 199, 20000)))) == pytest.approx(0.5, abs=1e-3)
    values = RNG.uniform(0, 250, 300)
    thresholds = np.arange(0.0, 200.0)
    curve = np.array([(values <= t).mean() for t in thresholds])
    expected = trapezoid(curve, thresholds / 199)
    assert float(auc(tensor(values))) == pytest.approx(expected, abs=1e-6)


def test_similarity_agrees_with_scipy():
    source = RNG.normal(size=(50, 3))
    target = 1.7 * Rotation.random(rng=4).apply(source) + [1, -2, 3] + RNG.normal(0, 0.1, (50, 3))
    scale, rotation, shift = similarity(tensor(source), tensor(target))
    aligned = (scale * tensor(source) @ rotation.T + shift).numpy()
    error = np.linalg.norm(aligned - target, axis=1)
    np.testing.assert_allclose(error, scipy_pa_errors(source, target), atol=1e-9)
    scale, rotation, _ = similarity(tensor(source), tensor(target), with_scale=False)
    assert float(scale) == 1
    theirs, _ = Rotation.align_vectors(target - target.mean(0), source - source.mean(0))
    np.testing.assert_allclose(rotation.numpy(), theirs.as_matrix(), atol=1e-9)


def a_walk(frames: int) -> np.ndarray:
    """[T, 24, 3] m: a random figure that walks a curve at a metre a second."""
    t = np.arange(frames) / 30
    root = np.stack([t, 0.1 * np.sin(t), 0.5 * np.cos(t)], 1)
    return RNG.normal(size=(1, 24, 3)) + root[:, None] + RNG.normal(0, 0.01, (frames, 24, 3))


def test_world_errors_do_not_depend_on_the_worlds_origin_but_on_drift():
    truth = a_walk(250)
    turn = Rotation.random(rng=5)
    moved = turn.apply(truth.reshape(-1, 3)).reshape(truth.shape) + np.array([5, 6, 7])
    for metric in (wa_mpjpe_mm, w_mpjpe_mm):
        errors = metric(tensor(moved), tensor(truth))
        assert errors.shape == (250,)
        assert float(errors.max()) < 1e-6
    drift = moved + np.arange(250)[:, None, None] * [0.01, 0, 0]
    wa, w = (float(m(tensor(drift), tensor(truth)).mean()) for m in (wa_mpjpe_mm, w_mpjpe_mm))
    assert 0 < wa < w  # aligned by its start, a drift is never made up for


def test_each_segment_is_aligned_alone_by_scipys_reckoning():
    truth = a_walk(150)
    predicted = truth + np.cumsum(RNG.normal(0, 0.01, (150, 1, 3)), 0)
    errors = wa_mpjpe_mm(tensor(predicted), tensor(truth)).numpy()
    for start, stop in ((0, 100), (100, 150)):
        p, t = predicted[start:stop].reshape(-1, 3), truth[start:stop].reshape(-1, 3)
        expected = 1000 * scipy_pa_errors(p, t).reshape(-1, 24).mean(1)
        np.testing.assert_allclose(errors[start:stop], expected, atol=1e-6)


def test_rte_of_a_known_drift():
    truth = np.stack([np.arange(101) / 10, np.zeros(101), np.zeros(101)], 1)  # 10 m straight on
    predicted = 1.1 * truth  # 10 % too far; a rigid alignment centres the error
    error = rte_percent(tensor(predicted), tensor(truth)).numpy()
    expected = 100 * 0.1 * np.abs(truth[:, 0] - 5) / 10
    np.testing.assert_allclose(error, expected, atol=1e-6)


def test_jitter_of_a_cubic_and_sliding_of_a_skate():
    t = np.arange(20)[:, None, None] / 30
    cubic = t**3 * np.array([0.0, 2.0, 0.0])  # third derivative 12 m/s^3
    np.testing.assert_allclose(jitter_m_s3(tensor(cubic), 30.0), 12, atol=1e-6)
    standing = np.zeros((10, 4, 3))
    standing[:, 3] = np.arange(10)[:, None]  # one point walks: it does not count
    skating = standing + np.arange(10)[:, None, None] * [0.005, 0, 0]
    slid = foot_sliding_mm(tensor(skating), tensor(standing))
    assert slid.shape == (27,)
    np.testing.assert_allclose(slid, 5, atol=1e-6)
