"""Simulated reports: their errors have the size, the company and the memory that were fitted."""

import numpy as np
import pytest
import torch

from d3pose_core.data import mistaken_sides
from d3pose_core.data.error_statistics import (
    KINDS,
    ErrorStatistics,
    Latents,
    at_signed,
    at_size,
    fitted_statistics,
)
from d3pose_core.data.landmark_noise import Realism
from d3pose_core.data.sight import Sight, hidden_by_own_body
from d3pose_core.data.stance import Stance
from d3pose_core.errors import InputError
from d3pose_core.model.view import project
from d3pose_core.skeleton import LANDMARK_NAMES
from test.helpers.standing_people import DEPTH_M, image_errors, reported, standing, times

PEOPLE, FRAMES = 80, 30
KNEES = [LANDMARK_NAMES.index("left_knee"), LANDMARK_NAMES.index("right_knee")]


@pytest.fixture
def no_flips(monkeypatch):
    monkeypatch.setattr(mistaken_sides, "FLIPPING_SHARE", 0.0)
    monkeypatch.setattr(mistaken_sides, "PART_SHARE", 1e-9)


def test_the_same_seed_gives_the_same_report():
    truth = standing(3, 10)
    first, again, other = (reported(truth, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first.rays, again.rays)
    assert torch.equal(first.seen, again.seen)
    assert not torch.equal(first.rays, other.rays)


@pytest.mark.usefixtures("no_flips")
@pytest.mark.parametrize("rate_hz", [10, 30, 60])
def test_image_errors_are_of_the_measured_size_at_any_rate(rate_hz):
    truth = standing(PEOPLE, FRAMES)
    nowhere = torch.zeros(truth.shape[:-1], dtype=torch.bool)
    error = image_errors(truth, reported(truth, rate_hz, covered=nowhere))[..., KNEES]
    middle, high = (float(error.quantile(q)) for q in (0.5, 0.95))
    assert 0.008 < middle < 0.03
    assert high > 2.5 * middle, "some landmarks go elsewhere"


@pytest.mark.usefixtures("no_flips")
def test_hidden_landmarks_err_more_and_are_less_confident():
    truth = standing(PEOPLE, FRAMES)
    nowhere = torch.zeros(truth.shape[:-1], dtype=torch.bool)
    covered = nowhere.clone()
    covered[..., KNEES] = True
    seen, hidden = (reported(truth, covered=c) for c in (nowhere, covered))
    by_sight = [image_errors(truth, r)[..., KNEES].median() for r in (seen, hidden)]
    assert by_sight[1] > 2 * by_sight[0]
    assert hidden.visibility[..., KNEES].median() < 0.6 < seen.visibility[..., KNEES].median()


@pytest.mark.usefixtures("no_flips")
def test_large_errors_come_with_low_visibility():
    truth = standing(PEOPLE, FRAMES)
    nowhere = torch.zeros(truth.shape[:-1], dtype=torch.bool)
    reports = reported(truth, covered=nowhere)
    pair = torch.stack([image_errors(truth, reports)[..., KNEES], reports.visibility[..., KNEES]])
    ranks = pair.flatten(1).argsort(1).argsort(1).float()
    assert torch.corrcoef(ranks)[0, 1] < -0.1


@pytest.mark.usefixtures("no_flips")
def test_errors_last_and_neighbours_share_them():
    truth = standing(PEOPLE, FRAMES)
    nowhere = torch.zeros(truth.shape[:-1], dtype=torch.bool)
    error = reported(truth, covered=nowhere).rays - project(truth)
    bound = 3 * error.abs().median()  # one wild landmark must not decide
    error = error.clamp(-bound, bound)

    def correlation(a, b):
        return float(torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1])

    elbow, wrist, index = (
        error[..., LANDMARK_NAMES.index(f"left_{part}"), 1] for part in ("elbow", "wrist", "index")
    )
    foot = error[..., LANDMARK_NAMES.index("right_heel"), 1]
    assert correlation(wrist, index) > 0.7
    assert correlation(wrist, index) > correlation(wrist, elbow) > correlation(wrist, foot)
    assert correlation(elbow[:, 1:], elbow[:, :-1]) > 0.75
    assert correlation(elbow[:, 20:], elbow[:, :-20]) > 0.15, "part of an error stays"
    slow = reported(truth, rate_hz=10, covered=nowhere).rays - project(truth)
    slow = slow.clamp(-bound, bound)[..., LANDMARK_NAMES.index("left_elbow"), 1]
    three = correlation(elbow[:, 3:], elbow[:, :-3])  # 0.1 s, at either rate
    assert correlation(slow[:, 1:], slow[:, :-1]) == pytest.approx(three, abs=0.12)


@pytest.mark.usefixtures("no_flips")
def test_the_hint_follows_the_metric_depth():
    reports = reported(standing(PEOPLE, FRAMES))
    depth, hint = reports.landmarks[..., 2], reports.depth_hint * DEPTH_M
    pair = torch.corrcoef(torch.stack([depth.flatten(), hint.flatten()]))
    assert pair[0, 1] > 0.9


@pytest.mark.parametrize("turned", [False, True])
def test_a_quarter_of_the_people_is_flipped_at_times(turned):
    truth = standing(200, 60, turned)
    left, right = (LANDMARK_NAMES.index(f"{side}_shoulder") for side in ("left", "right"))
    rays = reported(truth).rays
    side = project(truth)[..., left, 0] - project(truth)[..., right, 0]
    flipped = (rays[..., left, 0] - rays[..., right, 0]) * side < 0
    share, people = float(flipped.float().mean()), float(flipped.any(1).float().mean())
    assert 0.12 < people < 0.35
    assert (0.06 if turned else 0.03) < share < 0.15
    lasting = flipped.float().mean(1) > 0.4
    assert lasting.any(), "some are flipped for long"
    assert (flipped.any(1) & (flipped.float().mean(1) < 0.1)).any(), "some for a moment"


def test_lasting_flips_exchange_near_and_far(monkeypatch):
    monkeypatch.setattr(mistaken_sides, "LONG_SHARE", 1.0)
    rng = torch.Generator().manual_seed(0)
    facing, at = torch.ones(50, 60), times(50, 60, 30)
    order, depth = mistaken_sides.mistaken_sides(
        facing, at, fitted_statistics(), rng, flipping_share=1.0
    )
    flipped = order[..., LANDMARK_NAMES.index("left_hip")] == LANDMARK_NAMES.index("right_hip")
    assert torch.equal(flipped, depth == -1)
    assert 0.2 < float(flipped.float().mean()) < 0.6


def test_people_at_the_border_are_often_lost():
    inside, cut = standing(PEOPLE, FRAMES), standing(PEOPLE, FRAMES).clone()
    cut[..., 0] += 0.62 * DEPTH_M  # the border goes through the body
    found = [float(reported(truth).seen.float().mean()) for truth in (inside, cut)]
    assert found[0] > 0.85
    assert found[1] < found[0] - 0.1


def test_without_errors_landmarks_are_the_true_ones():
    truth = standing(2, 5)
    reports = reported(truth, realism=Realism(errors=0.0, definition=False))
    assert torch.allclose(reports.rays, project(truth), atol=1e-6)
    assert torch.allclose(reports.landmarks, Stance.of(truth).relative, atol=1e-5)


def test_backs_hide_faces_and_chests_do_not():
    front, back = (Stance.of(standing(1, 1, turned)).relative for turned in (False, True))
    nose = LANDMARK_NAMES.index("nose")
    assert not hidden_by_own_body(front)[..., nose].any()
    assert hidden_by_own_body(back)[..., nose].all()
    arm = back.clone()
    arm[..., LANDMARK_NAMES.index("left_wrist"), :] = torch.tensor([0.0, -0.2, 0.3])
    assert hidden_by_own_body(arm)[..., LANDMARK_NAMES.index("left_wrist")].all(), (
        "behind the trunk"
    )


def test_stance_tells_front_from_back():
    assert float(Stance.of(standing(1, 1)).facing) == pytest.approx(1, abs=0.05)
    assert float(Stance.of(standing(1, 1, turned=True)).facing) == pytest.approx(-1, abs=0.05)


def test_fitted_statistics_are_sound(tmp_path):
    fitted = fitted_statistics()
    assert torch.isfinite(torch.cat([v.flatten() for v in vars(fitted).values()])).all()
    assert (fitted.sizes.diff(dim=-1) >= 0).all()
    assert fitted.sizes.shape[::2] == (len(KINDS), len(Sight))
    assert torch.allclose(fitted.definition.sum(1), torch.ones(33), atol=1e-2), "affine"
    variance = sum(part.square().sum(1) for part in (fitted.constant, fitted.slow, fitted.fast))
    assert len(variance) == Latents.count
    assert torch.allclose(variance, torch.ones(Latents.count), atol=0.02)
    fitted.save(tmp_path / "again.npz")
    assert torch.allclose(ErrorStatistics.load(tmp_path / "again.npz").sizes, fitted.sizes)


def test_other_files_are_refused(tmp_path):
    np.savez(tmp_path / "other.npz", sizes=np.zeros(3))
    with pytest.raises(InputError, match=r"lacks .*tools.measure_landmarks fit"):
        ErrorStatistics.load(tmp_path / "other.npz")


def test_tables_are_read_with_interpolation():
    table = torch.arange(16.0)[None] * 0.25  # size = |n|
    numbers = torch.tensor([-1.1, 0.0, 0.6, 9.0])
    row = torch.zeros(4, dtype=torch.int64)
    assert torch.allclose(
        at_size(table, row, numbers), torch.tensor([1.1, 0, 0.6, 3.75]), atol=1e-2
    )
    signed = torch.arange(-3, 3.1, 0.5)[None]
    assert torch.allclose(
        at_signed(signed, row, numbers), torch.tensor([-1.1, 0, 0.6, 3]), atol=1e-2
    )


@pytest.mark.usefixtures("no_flips")
def test_easier_sequences_have_smaller_errors_and_the_others_the_same():
    truth = standing(PEOPLE, FRAMES)
    exact = {"definition": False}
    usual = image_errors(truth, reported(truth, realism=Realism(**exact))).median(1).values
    all_easier = reported(truth, realism=Realism(easier=1.0, **exact))
    factor = image_errors(truth, all_easier).median(1).values.mean(-1) / usual.mean(-1)
    assert factor.max() < 1.0
    assert factor.min() < 0.3  # errors of a real person in good light occur

    half = reported(truth, realism=Realism(easier=0.5, **exact))
    kept = (image_errors(truth, half).median(1).values.mean(-1) / usual.mean(-1)) > 0.999
    assert 0.3 < kept.float().mean() < 0.7
