"""Rivals gathered from recordings whose rivals were drawn from known ones are those again."""

import dataclasses

import pytest
import torch

from d3pose_core.data.random_processes import held_numbers
from d3pose_core.data.rivals import RivalStatistics, draw_rivals, fitted_rivals
from d3pose_core.errors import InputError
from test.helpers.recordings import exact_recording
from tools.measure_landmarks.rivals import EXAMPLES, fit_rivals

CLIPS, FRAMES = 120, 60


def drawn_recording(held_s: float):
    """Errors of all sizes up to two fifths of the height, certainties of all kinds, both for some time."""
    rng = torch.Generator().manual_seed(4)
    made = exact_recording(CLIPS, FRAMES)
    numbers = held_numbers(made.times_s, 3 * 33, 1.0, rng).unflatten(-1, (33, 3))
    angle = 6.3 * numbers[..., 1]
    direction = torch.stack([angle.cos(), angle.sin()], -1)
    error = 0.005 * 80 ** numbers[..., :1] * direction
    height = (1.7 / made.true_landmarks[..., [23, 24], 2].mean(-1))[..., None, None]
    made.rays = made.rays + error * height
    made.certainty = numbers[..., 2]
    known = dataclasses.replace(fitted_rivals(), held_s=torch.tensor(held_s))
    apart, made.rival_certainty = draw_rivals(error, made.certainty, made.times_s, rng, known)
    made.rival_rays = made.rays[..., None, :] + apart * height[..., None]
    return made


@pytest.fixture(scope="module")
def recorded():
    return drawn_recording(0.3)


def test_what_was_drawn_is_found(recorded, tmp_path):
    fit_rivals(recorded).save(tmp_path / "rivals.npz")
    found, known = RivalStatistics.load(tmp_path / "rivals.npz"), fitted_rivals()
    assert found.place.shape == known.place.shape
    assert found.certainty.shape[3] == EXAMPLES
    for rival in (0, 1):
        shares = [(s.certainty[..., rival] > 0).float().mean(-1) for s in (found, known)]
        assert float((shares[0] - shares[1]).abs().mean()) < 0.03
    near = [s.from_truth[..., 0].mean(-1) for s in (found, known)]
    assert float((near[0] - near[1]).abs().mean()) < 0.05
    certain = [s.certainty.mean(-2) for s in (found, known)]
    assert float((certain[0] - certain[1]).abs().mean()) < 0.02
    # Some of those that are alike were picked instead of others: places are compared as a crowd.
    sizes = [s.place.norm(dim=-1)[..., 0].sort(-1).values for s in (found, known)]
    assert float((sizes[0] - sizes[1]).abs().mean()) < 0.03


@pytest.mark.parametrize("held_s", [0.1, 1.0])
def test_how_long_a_pick_is_held_is_found(held_s):
    found = float(fit_rivals(drawn_recording(held_s)).held_s)
    assert held_s / 1.6 < found < 1.6 * held_s


def test_too_few_clips_are_refused(recorded):
    with pytest.raises(InputError, match=r"errors of size.*record more clips"):
        fit_rivals(recorded[:0])
