"""The fit finds what a pose is off from what the landmarks show, and believes no single one of them."""

import dataclasses

import pytest
import roma
import torch

from d3pose_core.body.model import forward_kinematics
from d3pose_core.model import fit as fit_module
from d3pose_core.model.correction import Observed
from d3pose_core.model.decoder import sixd_to_rotations
from d3pose_core.model.fit import FIT_SIZE, FITTED_JOINTS, Fit
from d3pose_core.model.skeleton_points import SkeletonPoints
from d3pose_core.skeleton import JOINT_NAMES, LANDMARK_NAMES, NUM_LANDMARKS, RIVALS

SIZE = 0.12  # angular, of somebody 3 m away
PEOPLE = 6


@pytest.fixture(autouse=True)
def double_precision():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def some_people(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Upright people in a view camera: rotations [B, 1, 24, 3, 3], place [B, 1, 3], betas [B, 1, 10]."""
    rng = torch.Generator().manual_seed(seed)
    turn = 0.3 * torch.randn(PEOPLE, 1, 24, 3, generator=rng)
    turn[:, :, 0] = torch.tensor([3.0, 0.2, 0.1])  # y down
    turn[:, :, FITTED_JOINTS:] = 0.0
    place = torch.tensor([0.1, -0.1, -1.0]).expand(PEOPLE, 1, 3)
    betas = torch.randn(PEOPLE, 1, 10, generator=rng)
    return roma.rotvec_to_rotmat(turn), place, betas


def image_of(fit: Fit, rotations, place, betas) -> torch.Tensor:
    """Where BlazePose's landmarks of these people lie, [B, 1, 33, 2], rays over the size."""
    points = fit.definition @ SkeletonPoints()(rotations[:, 0], betas[:, 0])
    depth = place[:, 0, 2:].exp()
    pelvis = torch.cat([place[:, 0, :2] * depth, depth / SIZE], -1)
    there = points + pelvis[:, None]
    return (there[..., :2] / there[..., 2:] / SIZE)[:, None]


def seen_at(rays: torch.Tensor) -> Observed:
    shape = rays.shape[:3]
    return Observed(
        features=torch.zeros(*shape[:2], 0),
        visible=torch.ones(shape, dtype=torch.bool),
        certainty=torch.full(shape, 0.9),
        rays=rays,
        rivals=torch.zeros(*shape, RIVALS, 2),
        rival_certainty=torch.zeros(*shape, RIVALS),
        metric=torch.zeros(*shape, 3),
        size=torch.full(shape[:2], SIZE),
    )


def changed(rotations, place, step):
    """The pose after a fit's step, as the refinement takes it."""
    turn = step[..., :-3].unflatten(-1, (FITTED_JOINTS, 3))
    columns = rotations[..., :2].clone()
    moved = torch.linalg.cross(turn[..., None], columns[:, :, :FITTED_JOINTS], dim=-2)
    columns[:, :, :FITTED_JOINTS] += moved
    return sixd_to_rotations(columns.flatten(-2)), place + step[..., -3:]


def test_a_pose_that_meets_the_landmarks_stays():
    fit, guess = Fit(), some_people()
    assert fit(guess, seen_at(image_of(fit, *guess)), SkeletonPoints()).abs().max() < 1e-9


def test_what_is_off_in_the_image_is_found():
    """Most of what a bent knee, a raised arm and a shifted body miss by is gone after one step."""
    fit, skeleton, (rotations, place, betas) = Fit(), SkeletonPoints(), some_people()
    truth = rotations.clone()
    for name, turn in (("left_hip", [0.0, 0.0, 0.25]), ("right_shoulder", [0.0, 0.1, -0.3])):
        joint = JOINT_NAMES.index(name)
        truth[:, :, joint] = roma.rotvec_to_rotmat(torch.tensor(turn)) @ truth[:, :, joint]
    seen = image_of(fit, truth, place + torch.tensor([0.05, 0.0, 0.05]), betas)
    step = fit((rotations, place, betas), seen_at(seen), skeleton)
    before = (image_of(fit, rotations, place, betas) - seen).norm(dim=-1)
    after = (image_of(fit, *changed(rotations, place, step), betas) - seen).norm(dim=-1)
    assert before.mean() > 0.1
    assert after.mean() < 0.35 * before.mean()


def test_the_landmarks_move_as_the_jacobian_says():
    fit, skeleton, (rotations, place, betas) = Fit(), SkeletonPoints(), some_people()
    # What the definition mixes in from other landmarks is left out of the jacobian.
    fit.definition.copy_(torch.eye(NUM_LANDMARKS))
    image = image_of(fit, rotations, place, betas)
    world = forward_kinematics(rotations[:, 0], _rest(skeleton, betas[:, 0]))
    jacobian, _ = fit._linearised(
        skeleton(rotations[:, 0], betas[:, 0]),
        world[:, :FITTED_JOINTS, :3, 3],
        place[:, 0],
        image[:, 0],
        torch.full((PEOPLE, 1), SIZE),
    )
    for index in (*range(0, FIT_SIZE - 3, 7), *range(FIT_SIZE - 3, FIT_SIZE)):
        step = torch.zeros(PEOPLE, 1, FIT_SIZE)
        step[..., index] = 1e-6
        # Turns are about the view camera's axes there, about the parent's here.
        joint = index // 3
        if joint < FITTED_JOINTS:
            parent = (-1, *fit_module._PARENTS)[joint]
            about = torch.eye(3)[index % 3].expand(PEOPLE, 3)
            if parent >= 0:
                about = (world[:, parent, :3, :3].transpose(-1, -2) @ about[..., None])[..., 0]
            step[:, 0, 3 * joint : 3 * joint + 3] = 1e-6 * about
        moved = image_of(fit, *changed(rotations, place, step), betas) - image
        expected = jacobian[..., index].transpose(1, 2)
        torch.testing.assert_close(moved[:, 0] / 1e-6, expected, atol=1e-4, rtol=1e-4)


def _rest(skeleton: SkeletonPoints, betas: torch.Tensor) -> torch.Tensor:
    rest = skeleton.joint_template + (betas @ skeleton.joint_shapedirs).unflatten(-1, (24, 3))
    return rest - rest[:, :1]


def test_it_is_the_most_likely_step():
    """The gradient of what it minimises vanishes there."""
    fit = Fit()
    rng = torch.Generator().manual_seed(0)
    jacobian = torch.randn(4, 2, NUM_LANDMARKS, FIT_SIZE, generator=rng)
    miss = 0.1 * torch.randn(4, 2, NUM_LANDMARKS, generator=rng)
    weight = 100 * torch.rand(4, NUM_LANDMARKS, generator=rng)
    step = fit._most_likely(jacobian, miss, weight)
    precision = torch.cholesky_inverse(fit.prior)
    left = miss - (jacobian @ step[:, None, :, None])[..., 0]
    pull = torch.einsum("nclk,nl,ncl->nk", jacobian, weight, left)
    torch.testing.assert_close(step @ precision, pull, atol=1e-6, rtol=1e-6)


def test_nothing_seen_nothing_asked():
    fit, guess = Fit(), some_people()
    seen = seen_at(image_of(fit, *guess) + 0.3)
    hidden = dataclasses.replace(seen, visible=torch.zeros_like(seen.visible))
    assert (fit(guess, hidden, SkeletonPoints()) == 0).all()


def test_a_wild_landmark_moves_less_than_a_plausible_one():
    fit, guess, skeleton = Fit(), some_people(), SkeletonPoints()
    wrist = LANDMARK_NAMES.index("left_wrist")

    def asked(by: float) -> float:
        rays = image_of(fit, *guess)
        rays[..., wrist, 0] += by
        return float(fit(guess, seen_at(rays), skeleton).norm(dim=-1).mean())

    assert asked(1.5) < asked(0.15)


def test_a_rival_where_the_pose_has_the_landmark_leaves_the_pose_alone():
    fit, guess, skeleton = Fit(), some_people(), SkeletonPoints()
    wrist = LANDMARK_NAMES.index("left_wrist")
    rays = image_of(fit, *guess)
    rays[..., wrist, 0] += 0.5
    alone = seen_at(rays)
    rivals, certainty = alone.rivals.clone(), alone.rival_certainty.clone()
    rivals[..., wrist, 1, 0], certainty[..., wrist, 1] = -0.5, 0.4
    rivalled = dataclasses.replace(alone, rivals=rivals, rival_certainty=certainty)
    moved, stays = (float(fit(guess, seen, skeleton).norm()) for seen in (alone, rivalled))
    assert stays < 0.02 * moved


def test_the_less_certain_a_landmark_the_less_it_counts():
    fit, guess, skeleton = Fit(), some_people(), SkeletonPoints()
    seen = seen_at(image_of(fit, *guess) + torch.tensor([0.1, 0.0]))

    def asked(certainty: float) -> float:
        said = torch.full_like(seen.certainty, certainty)
        answer = fit(guess, dataclasses.replace(seen, certainty=said), skeleton)
        return float(answer.norm(dim=-1).mean())

    assert 0 < asked(0.0) < 0.5 * asked(0.3) < 0.4 * asked(0.7) < 0.39 * asked(1.0)


def test_a_certain_wrist_is_met_more_closely_than_an_uncertain_one():
    fit, guess, skeleton = Fit(), some_people(), SkeletonPoints()
    wrist = LANDMARK_NAMES.index("left_wrist")
    shoulder = JOINT_NAMES.index("left_shoulder")
    seen = seen_at(image_of(fit, *guess))
    seen.rays[..., wrist, 1] += 0.2

    def arm_turned(certainty: float) -> float:
        said = seen.certainty.clone()
        said[..., wrist] = certainty
        answer = fit(guess, dataclasses.replace(seen, certainty=said), skeleton)
        return float(answer[..., 3 * shoulder : 3 * shoulder + 3].norm(dim=-1).mean())

    assert arm_turned(0.1) < 0.5 * arm_turned(0.9)
