"""Recordings as training windows: mirrored, every number goes to the other side's landmark."""

from dataclasses import fields

import torch

from d3pose_core.body import load_body
from d3pose_core.data.error_statistics import fitted_statistics
from d3pose_core.data.measured import MeasuredClips, mirrored, paced, reposed
from d3pose_core.data.stance import Stance
from d3pose_core.data.told_depth import as_told
from d3pose_core.model.view import project
from d3pose_core.skeleton import LANDMARK_MIRROR
from test.helpers.motion_shard import simulated
from test.helpers.recordings import exact_recording

PER_LANDMARK = ("depth_hint", "visibility", "presence", "certainty", "rival_certainty")


def test_mirrored_people_are_seen_on_the_other_side(tmp_path):
    batch = simulated(tmp_path, frames=4)
    seen = batch.observations
    which = torch.zeros(len(seen.seen), dtype=torch.bool)
    which[::2] = True
    found = mirrored(batch, which).observations
    for name in PER_LANDMARK:
        values = getattr(seen, name)
        expected = values[:, :, list(LANDMARK_MIRROR)]
        assert not torch.equal(expected, values), name
        assert torch.equal(getattr(found, name)[which], expected[which]), name
    for name in ("rays", "rival_rays"):
        expected = getattr(seen, name)[:, :, list(LANDMARK_MIRROR)] * torch.tensor([-1.0, 1.0])
        assert torch.equal(getattr(found, name)[which], expected[which]), name
    back = mirrored(mirrored(batch, which), which).observations
    for field in fields(seen):
        there = getattr(seen, field.name)
        assert torch.equal(getattr(found, field.name)[~which], there[~which]), field.name
        assert torch.equal(getattr(back, field.name), there), field.name


def test_paced_people_take_their_time(tmp_path):
    batch = simulated(tmp_path, frames=4)
    factor = torch.linspace(0.5, 2, len(batch.observations.seen))
    found = paced(batch, factor)
    for window, times in enumerate(factor):
        expected = batch.observations.step_s[window] * times
        assert torch.equal(found.observations.step_s[window], expected)
    assert torch.equal(found.observations.rays, batch.observations.rays)
    assert found.truth is batch.truth


def test_reposed_people_are_reported_with_the_errors_of_the_recorded(tmp_path):
    body, rng = load_body("free-low"), torch.Generator().manual_seed(0)
    batch = simulated(tmp_path, frames=6)
    which = torch.arange(len(batch.truth.betas)) % 2 == 0
    found = reposed(batch, which, body, rng)
    for name in ("rays", "rival_rays", "landmarks", "depth_hint"):
        before, after = getattr(batch.observations, name), getattr(found.observations, name)
        assert torch.equal(before[~which], after[~which]), name
        assert not torch.equal(before[which], after[which]), name
    for name in ("visibility", "presence", "certainty", "rival_certainty", "seen", "step_s"):
        assert torch.equal(getattr(batch.observations, name), getattr(found.observations, name))

    def landmarks(truth):
        betas = truth.betas.repeat_interleave(6, 0)
        transl = truth.pelvis.flatten(0, 1) - body.joints_rest(betas)[:, 0]
        pose = truth.rotations.flatten(0, 1), betas, transl
        torch.testing.assert_close(body.joints_matrices(*pose), truth.joints.flatten(0, 1))
        return body.landmarks_matrices(*pose).unflatten(0, (-1, 6))

    seen = batch.observations.seen & (batch.truth.pelvis[..., 2] > 2)
    before, after = landmarks(batch.truth), landmarks(found.truth)
    assert (after - before)[which].norm(dim=-1).median() > 0.03
    errors = [
        (each.observations.rays - project(where))[seen]
        for each, where in ((batch, before), (found, after))
    ]
    torch.testing.assert_close(*errors, atol=1e-5, rtol=0)
    # Metric landmarks move with the body, as BlazePose tells of it.
    those = which[:, None] & seen
    moved = (found.observations.landmarks - batch.observations.landmarks)[those]
    told = (as_reported(after) - as_reported(before))[those]
    torch.testing.assert_close(moved, told, atol=1e-5, rtol=0)
    hint = (found.observations.depth_hint - batch.observations.depth_hint)[those]
    away = batch.truth.pelvis[those][:, 2:]
    slope = fitted_statistics().hint_slope
    torch.testing.assert_close(hint, slope * told[..., 2] / away, atol=1e-5, rtol=0)


def as_reported(landmarks):
    stance = Stance.of(landmarks)
    return as_told(stance.relative, stance.facing, fitted_statistics())


def test_every_window_has_its_pace(tmp_path):
    exact_recording(6, 8).save(tmp_path / "people.npz")
    clips = MeasuredClips([tmp_path / "people.npz"], load_body("free-low"))
    window = clips.sample(32, 5, torch.Generator().manual_seed(0))
    pace = window.observations.step_s[:, 1:] * 30
    torch.testing.assert_close(pace, pace[:, :1].expand_as(pace))
    assert 0.7 <= pace.min() < 0.85
    assert 1.2 < pace.max() <= 1.5
