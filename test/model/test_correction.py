"""The network's own skeleton is the body's, and a correction reads what a guess misses by."""

import dataclasses

import pytest
import roma
import torch

from d3pose_core.body import load_body
from d3pose_core.model.config import D3PoseConfig
from d3pose_core.model.correction import Correction, misses, observed
from d3pose_core.model.d3pose import D3Pose
from d3pose_core.model.skeleton_points import SkeletonPoints
from d3pose_core.model.tokens import tokenize
from d3pose_core.model.view import into_view, place_of
from d3pose_core.skeleton import JOINT_NAMES, LANDMARK_NAMES
from test.helpers.observations import random_observations

# Fingers are carried by the wrist; the hand's own joint, which no motion data turns, is left out.
HANDS = [JOINT_NAMES.index(name) for name in ("left_hand", "right_hand")]


@pytest.fixture(scope="module")
def body():
    return load_body("free-low")


def random_pose(people: int = 20):
    rng = torch.Generator().manual_seed(0)
    rotvec = 0.5 * torch.randn(people, 24, 3, generator=rng)
    rotvec[:, HANDS] = 0.0
    return roma.rotvec_to_rotmat(rotvec), torch.randn(people, 10, generator=rng)


def test_landmarks_lie_where_the_body_has_them(body):
    rotations, betas = random_pose()
    expected = body.landmarks_matrices(rotations, betas, -body.joints_rest(betas)[:, 0])
    apart = (SkeletonPoints()(rotations, betas) - expected).norm(dim=-1).mean(0)
    # The skin of a hand, a heel or a toe gives a little with the joints next to it.
    skin = ["pinky", "index", "thumb", "heel", "foot_index"]
    for name, mean_m in zip(LANDMARK_NAMES, apart.tolist(), strict=True):
        assert mean_m < (0.012 if name.split("_", 1)[-1] in skin else 1e-5), (name, mean_m)


def test_another_body_brings_its_own_bones(body):
    points = SkeletonPoints()
    longer = load_body("free-low")
    longer.joint_template.mul_(1.1)
    before = points.joint_template.clone()
    points.use_body(longer)
    torch.testing.assert_close(points.joint_template, 1.1 * before)


@pytest.fixture
def seen_exactly(body):
    """A person reported without error: the observation, and the pose in the view camera."""
    rotations, betas = random_pose(1)
    rotations[:, 0] = roma.rotvec_to_rotmat(torch.tensor([[3.0, 0.3, 0.2]]))  # upright, y down
    pelvis = torch.tensor([[0.4, -0.2, 3.0]])
    landmarks = body.landmarks_matrices(rotations, betas, pelvis - body.joints_rest(betas)[:, 0])
    batch = random_observations(people=1, frames=1)
    batch.presence[:] = 1.0
    batch.seen[:] = True
    batch = dataclasses.replace(batch, rays=(landmarks[..., :2] / landmarks[..., 2:])[:, None])
    tokens = tokenize(batch, 0.3)
    hips = [LANDMARK_NAMES.index(name) for name in ("left_hip", "right_hip")]
    facing = (landmarks - landmarks[:, hips].mean(1, keepdim=True))[:, None] @ tokens.view.rotation
    tokens = tokenize(dataclasses.replace(batch, landmarks=facing), 0.3)
    guess = (
        into_view(rotations[:, None], tokens.view),
        place_of(pelvis[:, None], tokens.view),
        betas[:, None],
    )
    return tokens, guess


def test_the_true_pose_misses_nothing(seen_exactly):
    tokens, guess = seen_exactly
    assert misses(guess, observed(tokens), SkeletonPoints()).abs().max() < 0.03  # the hands' skin


def test_a_wrong_place_is_missed_in_the_image_and_a_wrong_elbow_in_both(seen_exactly):
    tokens, (rotations, place, betas) = seen_exactly
    skeleton, seen = SkeletonPoints(), observed(tokens)
    moved = place + torch.tensor([0.5, 0.0, 0.0])
    miss = misses((rotations, moved, betas), seen, skeleton)
    torch.testing.assert_close(miss[..., 0].mean(), torch.tensor(-0.5), atol=0.05, rtol=0.0)
    assert miss[..., 2:5].abs().max() < 0.03

    bent = rotations.clone()
    elbow = JOINT_NAMES.index("left_elbow")
    bent[:, :, elbow] = bent[:, :, elbow] @ roma.rotvec_to_rotmat(torch.tensor([0.0, 1.5, 0.0]))
    miss = misses((bent, place, betas), seen, skeleton).abs().amax(-1)[0, 0]
    assert miss[LANDMARK_NAMES.index("left_wrist")] > 0.1
    assert miss[LANDMARK_NAMES.index("right_wrist")] < 0.03


def test_the_likeliest_place_is_compared_beside_the_landmark(seen_exactly):
    tokens, guess = seen_exactly
    seen, skeleton = observed(tokens), SkeletonPoints()
    wrist = LANDMARK_NAMES.index("left_wrist")
    seen.rays[..., wrist, 0] += 1.0
    seen.rivals[..., wrist, 0, :] = torch.tensor([-1.0, 0.0])
    seen.rival_certainty[:] = 0.0
    miss = misses(guess, seen, skeleton)
    torch.testing.assert_close(miss[..., 5:], miss[..., :2])
    seen.rival_certainty[..., wrist, 0] = 0.5
    miss = misses(guess, seen, skeleton)[0, 0]
    assert miss[wrist, 0] > 0.9
    assert miss[wrist, 5:].abs().max() < 0.03
    others = torch.arange(33) != wrist
    torch.testing.assert_close(miss[others, 5:], miss[others, :2])


def test_hidden_landmarks_are_not_compared(seen_exactly):
    tokens, (rotations, place, betas) = seen_exactly
    hidden = LANDMARK_NAMES.index("left_wrist")
    tokens.visible[..., hidden] = False
    miss = misses((rotations, place + 1, betas), observed(tokens), SkeletonPoints())
    assert (miss[..., hidden, :] == 0).all()
    assert (miss[..., hidden + 1, :2].abs() > 0.1).any()


def test_a_new_correction_changes_nothing_and_a_trained_one_does(seen_exactly):
    tokens, guess = seen_exactly
    correction = Correction(64)
    seen, skeleton = observed(tokens), SkeletonPoints()
    assert (correction(guess, seen, skeleton) == 0).all()
    torch.nn.init.normal_(correction.write.weight)
    assert correction(guess, seen, skeleton).abs().max() > 0.1


def test_what_is_observed_reaches_the_answer_by_the_corrections_alone():
    """With the encoder's tokens held, the observation still moves the pose, before any refinement."""
    torch.manual_seed(0)
    model = D3Pose(D3PoseConfig()).eval()
    for correction in model.decoder.corrections:
        torch.nn.init.normal_(correction.write.weight, std=0.1)
    batch = random_observations(people=1, frames=5)
    batch.presence[:] = 1.0
    with torch.inference_mode():
        state = model.initial_state(1)
        encoded = model.encode(batch, state)
        past = torch.zeros(1, 5, model.initial_state(1).past.shape[-1])
        before = model.decode(past, encoded, state)
        other = observed(tokenize(dataclasses.replace(batch, rays=batch.rays * 1.3), 0.3))
        after = model.decode(past, dataclasses.replace(encoded, observed=other), state)
    assert len(before.guesses) == 4  # between the blocks, and before the refinement
    assert (before.guesses[-1][0] - after.guesses[-1][0]).abs().max() > 1e-4
