"""The refinement carries what the fit asks for from frame to frame: at once at first, then steadily."""

import pytest
import torch

from d3pose_core.model.checkpoint import load_model
from d3pose_core.model.correction import misses, observed
from d3pose_core.model.fit import FIT_SIZE
from d3pose_core.model.refinement import Refinement
from d3pose_core.model.skeleton_points import SkeletonPoints
from d3pose_core.model.tokens import tokenize
from d3pose_core.runtime.frames import moving_people
from d3pose_core.training.losses import shift
from test.helpers.networks import stream

DIM, FRAMES = 16, 12


@pytest.fixture
def scene():
    """People and a pose that is wrong for them; the fit asks for the same in every frame."""
    batch = moving_people(people=3, frames=1)
    batch.seen[:], batch.presence[:] = True, 1.0
    batch = type(batch)(**{n: v.expand(-1, FRAMES, *v.shape[2:]) for n, v in vars(batch).items()})
    upright = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
    rotations = torch.eye(3).expand(3, FRAMES, 24, 3, 3).clone()
    rotations[:, :, 0] = upright
    place = torch.tensor([0.0, 0.0, -1.0]).expand(3, FRAMES, 3)
    guess = rotations, place, torch.zeros(3, FRAMES, 10)
    return observed(tokenize(batch, 0.3)), guess


def refine(refinement, scene, step_s=1 / 30, seen=None, started=True, frames=FRAMES):
    sight, guess = scene
    sight = type(sight)(**{name: value[:, :frames] for name, value in vars(sight).items()})
    guess = tuple(value[:, :frames] for value in guess)
    began = torch.full((3, frames), True)
    began[:, 0] = started
    return refinement(
        torch.zeros(3, frames, DIM),
        guess,
        torch.zeros(3, FIT_SIZE),
        began,
        torch.full((3, frames), step_s),
        torch.ones(3, frames, dtype=torch.bool) if seen is None else seen,
        sight,
        SkeletonPoints(),
    )


def test_the_first_frame_is_corrected_at_once(scene):
    refinement = Refinement(DIM)
    at_once = refine(refinement, scene, started=False, frames=1)[2]
    settled = refine(refinement, scene)[2]
    assert at_once.abs().max() > 0.01
    torch.testing.assert_close(at_once, settled, atol=0.02, rtol=0.02)


def test_later_ones_follow_by_the_time_not_by_the_frame(scene):
    refinement = Refinement(DIM)
    six_at_30_hz = refine(refinement, scene, 1 / 30, frames=6)[2]
    twelve_at_60_hz = refine(refinement, scene, 1 / 60, frames=12)[2]
    torch.testing.assert_close(six_at_30_hz, twelve_at_60_hz)
    assert refine(refinement, scene, frames=1)[2].norm() < 0.5 * six_at_30_hz.norm()


def test_out_of_sight_the_correction_holds(scene):
    refinement = Refinement(DIM)
    seen = torch.ones(3, FRAMES, dtype=torch.bool)
    seen[:, 6:] = False
    held = refine(refinement, scene, seen=seen)[2]
    torch.testing.assert_close(held, refine(refinement, scene, frames=6)[2])


def test_no_gradient_flows_through_the_fit_but_the_trust_in_it_learns(scene):
    refinement = Refinement(DIM)
    sight, guess = scene
    rotations = guess[0].clone().requires_grad_()
    _, _, carried = refine(refinement, (sight, (rotations, *guess[1:])))
    carried.square().sum().backward()
    assert refinement.trust_head.bias.grad.abs().max() > 0
    assert rotations.grad is None


def test_what_the_shipped_network_says_lies_nearer_to_the_landmarks_with_it():
    people = moving_people(people=4, frames=40)
    people.presence[:] = 1.0
    model = load_model("d3pose-landmarks")
    assert model.config.refinement
    with torch.inference_mode():
        output = model(people, shift(stream(model, people).feedback()))
    tokens = tokenize(people, 0.3)
    said = output.guesses[-1]
    refined = output.prediction.rotations, output.prediction.place, said[2]
    before, after = (
        misses(pose, observed(tokens), SkeletonPoints())[..., :2].norm(dim=-1)[people.seen].mean()
        for pose in (said, refined)
    )
    assert after < 0.9 * before
