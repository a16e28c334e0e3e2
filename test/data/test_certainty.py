"""Simulated certainties: they go with the errors as the measured ones do, at any frame rate."""

from dataclasses import fields

import numpy as np
import pytest
import torch

from d3pose_core.data.certainty import (
    LOG_ERROR_KNOTS,
    CertaintyStatistics,
    draw_certainty,
    fitted_certainty,
    logits,
)
from d3pose_core.data.error_statistics import SIGNED_GRID, groups_of_landmarks
from d3pose_core.data.landmark_noise import Realism
from d3pose_core.errors import InputError
from d3pose_core.skeleton import LANDMARK_NAMES
from test.helpers.standing_people import image_errors, reported, standing

PEOPLE, FRAMES = 400, 40
NOWHERE = torch.zeros(1, 1, 33, dtype=torch.bool)
LIMBS = [i for i, name in enumerate(LANDMARK_NAMES) if name.split("_")[-1] in ("knee", "wrist")]


def drawn(error: float, rate_hz: float = 30.0, mistaken: torch.Tensor = NOWHERE) -> torch.Tensor:
    times = (torch.arange(FRAMES) / rate_hz).expand(PEOPLE, -1)
    rng = torch.Generator().manual_seed(0)
    return draw_certainty(torch.full((PEOPLE, FRAMES, 33), error), mistaken, times, rng)


def test_the_further_off_the_less_certain():
    medians = torch.stack(
        [drawn(error)[..., LIMBS].median() for error in (0.002, 0.01, 0.03, 0.1, 0.5)]
    )
    assert (medians.diff() < 0).all()
    # As measured (docs/observation_errors.md), for exact landmarks and for those that lie elsewhere.
    assert 0.7 < medians[0] < 0.9
    assert 0.1 < medians[-1] < 0.35


def test_those_on_the_other_side_are_less_certain_than_their_error_says():
    usual, mistaken = drawn(0.02).logit(), drawn(0.02, mistaken=~NOWHERE).logit()
    assert 0.1 < float((usual - mistaken).mean()) < 1.0


@pytest.mark.parametrize("lag", [3, 12])
def test_certainty_lasts_as_long_at_any_frame_rate(lag):
    def correlation(values, frames):
        wrist = values[..., LANDMARK_NAMES.index("left_wrist")].logit()
        pair = torch.stack([wrist[:, frames:].flatten(), wrist[:, :-frames].flatten()])
        return float(torch.corrcoef(pair)[0, 1])

    fast, slow = correlation(drawn(0.02), lag), correlation(drawn(0.02, 10.0), lag // 3)
    assert 0.2 < slow < 0.9
    assert fast == pytest.approx(slow, abs=0.05)


def test_landmarks_of_a_hand_are_certain_together():
    numbers = drawn(0.02).logit().flatten(0, 1)
    correlation = torch.corrcoef(numbers.T)
    wrist, index, foot = (
        LANDMARK_NAMES.index(name) for name in ("left_wrist", "left_index", "right_foot_index")
    )
    assert correlation[wrist, index] > 0.5 > correlation[wrist, foot] + 0.1


def test_simulated_reports_are_certain_where_they_are_right():
    truth = standing(80, 30)
    covered = torch.zeros(truth.shape[:-1], dtype=torch.bool)
    reports = reported(truth, covered=covered, realism=Realism(flipping=0.0))
    pair = torch.stack([image_errors(truth, reports), reports.certainty])[..., LIMBS]
    ranks = pair.flatten(1).argsort(1).argsort(1).float()
    assert torch.corrcoef(ranks)[0, 1] < -0.35

    easier = reported(truth, covered=covered, realism=Realism(flipping=0.0, easier=1.0))
    assert easier.certainty[..., LIMBS].mean() > reports.certainty[..., LIMBS].mean() + 0.02


def test_fitted_numbers_are_sound(tmp_path):
    fitted = fitted_certainty()
    assert torch.isfinite(torch.cat([v.flatten() for v in vars(fitted).values()])).all()
    shape = (len(groups_of_landmarks()), len(LOG_ERROR_KNOTS), len(SIGNED_GRID))
    assert fitted.logits.shape == shape
    assert (fitted.logits.diff(dim=-1) >= 0).all()
    variance = sum(part.square().sum(1) for part in (fitted.constant, fitted.slow, fitted.fast))
    assert torch.allclose(variance, torch.ones(33), atol=0.02)
    fitted.save(tmp_path / "again.npz")
    again = CertaintyStatistics.load(tmp_path / "again.npz")
    for field in fields(again):
        assert torch.allclose(getattr(again, field.name), getattr(fitted, field.name), atol=1e-3)


def test_other_files_are_refused(tmp_path):
    np.savez(tmp_path / "other.npz", logits=np.zeros(3))
    with pytest.raises(InputError, match="lacks"):
        CertaintyStatistics.load(tmp_path / "other.npz")


def test_tables_are_read_between_their_knots():
    fitted = fitted_certainty()
    knots = LOG_ERROR_KNOTS.exp()
    number = torch.zeros(33)
    at = torch.stack([logits(fitted, torch.full((33,), float(k)), number) for k in knots])
    middle = logits(fitted, torch.full((33,), float((knots[2] * knots[3]).sqrt())), number)
    assert torch.allclose(middle, (at[2] + at[3]) / 2, atol=1e-4)
    beyond = logits(fitted, torch.full((33,), 9.0), number)
    assert torch.allclose(beyond, at[-1])
    assert torch.equal(beyond.isfinite(), torch.ones(33, dtype=torch.bool))
