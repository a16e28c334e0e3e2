"""Simulated rivals lie where measured ones do and last as long at any frame rate; exact reports have none."""

import math

import pytest
import torch

from d3pose_core.data.landmark_noise import Realism
from d3pose_core.data.rivals import draw_rivals, fitted_rivals
from d3pose_core.model.view import project
from test.helpers.standing_people import reported, standing

PEOPLE, FRAMES = 200, 40


def drawn(error: float, certainty: float = 0.4, rate_hz: float = 30.0):
    """Errors of length `error` in random directions, rivals from the landmark, and their certainties."""
    rng = torch.Generator().manual_seed(0)
    direction = torch.randn(PEOPLE, 1, 33, 2, generator=rng)
    off = error * torch.nn.functional.normalize(direction, dim=-1).expand(-1, FRAMES, -1, -1)
    certainties = torch.full((PEOPLE, FRAMES, 33), certainty)
    times = (torch.arange(FRAMES) / rate_hz).expand(PEOPLE, -1)
    return off, *draw_rivals(off, certainties, times, rng)


def share_near_truth(error: float, certainty: float = 0.4) -> float:
    off, apart, certain = drawn(error, certainty)
    misses = (apart + off[..., None, :]).norm(dim=-1).where(certain > 0, torch.inf)
    return float((misses.amin(-1) < 0.04).float().mean())


def test_landmarks_far_off_have_rivals_near_the_truth():
    # As measured (docs/observation_errors.md#rivals).
    assert share_near_truth(0.2) > 0.1
    assert share_near_truth(0.2) > 5 * share_near_truth(0.03)


def test_rivals_come_with_errors_and_doubts():
    def share(error, certainty):
        return float((drawn(error, certainty)[2][..., 0] > 0).float().mean())

    assert share(0.2, 0.2) > 0.6 > 0.3 > share(0.01, 0.8)
    assert share(0.03, 0.2) > share(0.03, 0.6)


def test_the_first_rival_is_the_more_certain_one():
    certain = drawn(0.2)[2]
    assert (certain[..., 0] >= certain[..., 1]).all()
    assert certain.max() < 1


@pytest.mark.parametrize("lag", [3, 6])
def test_rivals_last_as_long_at_any_frame_rate(lag):
    def alike(certain, frames):
        there = (certain[..., 0] > 0).float()
        pair = torch.stack([there[:, frames:].flatten(), there[:, :-frames].flatten()])
        return float(torch.corrcoef(pair)[0, 1])

    fast, slow = alike(drawn(0.06)[2], lag), alike(drawn(0.06, rate_hz=10.0)[2], lag // 3)
    assert 0.1 < slow < 0.95
    assert fast == pytest.approx(slow, abs=0.05)


def test_what_is_picked_is_held():
    _, apart, certain = drawn(0.06)
    there = certain > 0
    both = there[:, 1:] & there[:, :-1]
    moved = (apart[:, 1:] - apart[:, :-1]).norm(dim=-1)[both] > 0
    # Of those picked anew in a frame, some have no rival then.
    anew = 1 - math.exp(-1 / 30 / float(fitted_rivals().held_s))
    assert 0.2 * anew < float(moved.float().mean()) < anew


def test_rivals_near_the_truth_stay_there_while_the_landmark_trembles():
    rng = torch.Generator().manual_seed(1)
    off = torch.tensor([0.25, 0.0]) + 0.02 * torch.randn(PEOPLE, FRAMES, 33, 2, generator=rng)
    certainties = torch.full((PEOPLE, FRAMES, 33), 0.4)
    times = (torch.arange(FRAMES) / 30).expand(PEOPLE, -1)
    apart, certain = draw_rivals(off, certainties, times, rng)
    place = off[..., None, :] + apart
    near = (certain > 0) & (place.norm(dim=-1) < 0.05)
    both = near[:, 1:] & near[:, :-1]
    assert both.sum() > 1000
    assert float((place[:, 1:] - place[:, :-1]).norm(dim=-1)[both].median()) == 0


def test_reports_name_rivals_unless_they_are_exact():
    truth = standing(60, 30)
    covered = torch.zeros(truth.shape[:-1], dtype=torch.bool)
    reports = reported(truth, covered=covered)
    there = reports.rival_certainty > 0
    assert 0.1 < float(there.float().mean()) < 0.6
    # In rays: some lie near the truth of a landmark that is far off.
    height = 1.7 / truth[..., [23, 24], 2].mean(-1)[..., None]
    landmark = (reports.rays - project(truth)).norm(dim=-1) / height
    rival = (reports.rival_rays - project(truth)[..., None, :]).norm(dim=-1) / height[..., None]
    mended = (rival.where(there, torch.inf).amin(-1) < 0.04) & (landmark > 0.08)
    assert float(mended.float().sum() / (landmark > 0.08).float().sum()) > 0.05
    exact = reported(truth, covered=covered, realism=Realism(errors=0.0))
    assert (exact.rival_certainty == 0).all()
