"""Left and right are kept apart where the landmark network mistakes them, and believed where it does not."""

from dataclasses import fields, replace
from functools import partial

import numpy as np
import pytest
import torch

from d3pose_core.body import load_body
from d3pose_core.data.landmark_noise import Realism
from d3pose_core.data.simulator import TrainingBatch
from d3pose_core.evaluation.held_out import score, with_sides_kept
from d3pose_core.evaluation.robustness import sides_mistaken
from d3pose_core.model.checkpoint import load_model
from d3pose_core.model.view import look_at_rotation
from d3pose_core.sides import SideVotes, _facing, keep_sides, the_other_way_round
from test.helpers.motion_shard import simulated

FRAMES = 60
RIGHTLY = torch.zeros(FRAMES, dtype=torch.bool)


@pytest.fixture(scope="module")
def body():
    return load_body("free-low")


@pytest.fixture(scope="module")
def batch(tmp_path_factory):
    """Nearly exact landmarks of people who move, and the truth."""
    made = simulated(tmp_path_factory.mktemp("shard"), FRAMES, Realism(errors=0.0))
    always = made.observations.seen.all(1)
    truth = {name: value[always] for name, value in vars(made.truth).items()}
    return TrainingBatch(made.observations[always], type(made.truth)(**truth))


def run(batch, mistaken, votes=None, lost_before=None):
    """[B, T - 1] who was turned, the true joints being those of the frame before; `mistaken` [T] frames."""
    people = len(batch.truth.betas)
    votes = votes or SideVotes.none(people)
    seen = the_other_way_round(batch.observations, mistaken.expand(people, -1))
    joints = batch.truth.joints
    turned = []
    for t in range(1, FRAMES):
        known = np.full(people, t != lost_before)
        _, votes, now = keep_sides(seen[:, t : t + 1], joints[:, t - 1].numpy(), known, votes)
        turned.append(torch.from_numpy(now))
    return torch.stack(turned, 1)


def test_who_is_seen_rightly_is_left_alone(batch):
    assert not run(batch, RIGHTLY).any()


def test_mistakes_are_found_out(batch):
    mistaken = RIGHTLY.clone()
    mistaken[20], mistaken[30:40] = True, True
    turned = run(batch, mistaken)
    assert torch.equal(turned, mistaken[1:].expand_as(turned))


def test_what_was_mistaken_is_put_right_exactly(batch):
    people = len(batch.truth.betas)
    right = batch.observations[:, 1:2]
    joints = batch.truth.joints[:, 0].numpy()
    known = np.ones(people, bool)
    votes = SideVotes(np.full(people, 5.0), np.zeros(people))
    mistaken = the_other_way_round(right, torch.ones_like(right.seen))
    found, votes, turned = keep_sides(mistaken, joints, known, votes)
    assert turned.all()
    for field in fields(right):
        assert torch.equal(getattr(found, field.name), getattr(right, field.name)), field.name
    assert (votes.reversed == 1).all()


def test_the_majority_is_believed_in_the_end(batch):
    """The poses said the opposite of all observations; that can't be."""
    people = len(batch.truth.betas)
    votes = SideVotes(np.full(people, 15.0), np.zeros(people))
    turned = run(batch, ~RIGHTLY, votes)
    assert turned[:, :10].all()
    overruled_at = turned.int().argmin(1)
    assert ((overruled_at > 10) & (overruled_at < 20)).all()  # 15 fade, as those against them


def test_after_a_gap_the_observation_counts(batch):
    mistaken = RIGHTLY.clone()
    mistaken[20:40] = True
    assert not run(batch, mistaken, lost_before=20)[:, 19].any()


def test_somebody_else_under_the_same_id_is_taken_as_seen(batch):
    mistaken = RIGHTLY.clone()
    mistaken[20:] = True
    moved = replace(batch.observations, rays=batch.observations.rays.clone())
    moved.rays[:, 20, :, 0] += 1.0 / batch.truth.pelvis[:, 20, None, 2]  # a metre to the right
    turned = run(TrainingBatch(moved, batch.truth), mistaken)
    assert not turned[:, 19].any()


def test_metric_landmarks_are_compared_in_the_axes_of_a_camera_that_faces_the_person():
    points = torch.tensor([[0.0, 0.0, 3.0], [2.0, -1.0, 2.0], [-3.0, 0.5, 1.0]])
    expected = look_at_rotation(points[:, :2] / points[:, 2:])
    np.testing.assert_allclose(_facing(points.numpy()), expected.numpy(), atol=1e-6)


def test_it_helps_where_sides_are_mistaken_and_costs_nothing_where_not(batch, body):
    """With the shipped network in the loop, as on a robot."""
    model = load_model("d3pose-landmarks")
    kept = partial(with_sides_kept, body=body)
    when = torch.zeros_like(batch.observations.seen)
    when[:, 20:26], when[:, 35:50] = True, True
    flipped = sides_mistaken(batch, when)
    rightly = score(model, [batch], body)["mpjpe"]
    alone = score(model, [flipped], body)["mpjpe"]
    put_right = score(model, [flipped], body, kept)["mpjpe"]
    assert score(model, [batch], body, kept)["mpjpe"] == pytest.approx(rightly, abs=0.5)
    assert put_right - rightly < 0.4 * (alone - rightly)
