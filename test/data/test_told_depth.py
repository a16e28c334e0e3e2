"""A part of people's depths is told, the same to the left as to the right."""

from dataclasses import replace

import pytest
import roma
import torch

from d3pose_core.body import load_body
from d3pose_core.data import landmark_noise
from d3pose_core.data.error_statistics import fitted_statistics
from d3pose_core.data.landmark_noise import Realism
from d3pose_core.data.stance import Stance
from d3pose_core.data.told_depth import as_told
from d3pose_core.model.view import project
from d3pose_core.skeleton import JOINT_NAMES, LANDMARK_MIRROR, LANDMARK_NAMES
from test.helpers.standing_people import DEPTH_M, image_errors, reported, standing

ARMS_DOWN_RAD = 1.2


def person(turned: bool, **turns: float) -> torch.Tensor:
    """Landmarks [1, 1, 33, 3] of a person with hanging arms, some joints turned about the body's x axis."""
    local = torch.zeros(24, 3)
    for side, sign in (("left", -1), ("right", 1)):
        local[JOINT_NAMES.index(f"{side}_shoulder"), 2] = sign * ARMS_DOWN_RAD
    rotations = roma.rotvec_to_rotmat(local)
    for joint, radians in turns.items():
        turn = roma.rotvec_to_rotmat(torch.tensor([radians, 0.0, 0.0]))
        rotations[JOINT_NAMES.index(joint)] = turn @ rotations[JOINT_NAMES.index(joint)]
    upright = torch.diag(torch.tensor([-1.0, -1.0, 1.0] if turned else [1.0, -1.0, -1.0]))
    rotations[0] = upright @ rotations[0]
    transl = torch.tensor([[0.0, 0.0, DEPTH_M]])
    return load_body("free-low").landmarks_matrices(rotations[None], torch.zeros(1, 10), transl)[
        None
    ]


def true_and_told(landmarks: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Depths [33] about the mid-hip."""
    stance, statistics = Stance.of(landmarks), fitted_statistics()
    told = as_told(stance.relative, stance.facing, statistics)
    defined = statistics.definition @ stance.relative
    assert torch.allclose(told[..., :2], (defined - defined[..., 23:25, :].mean(-2, True))[..., :2])
    return stance.relative[0, 0, :, 2], told[0, 0, :, 2]


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(
    ("turns", "moved"),
    [
        ({"pelvis": 0.3}, "left_shoulder"),
        ({"pelvis": -0.3}, "left_shoulder"),
        ({"spine1": 0.35}, "left_shoulder"),
        ({"left_shoulder": -1.2}, "left_wrist"),
        ({"left_hip": -0.6}, "left_ankle"),
    ],
)
def test_a_part_of_each_movement_in_depth_is_told(turned, turns, moved):
    landmark = LANDMARK_NAMES.index(moved)
    before, after = (true_and_told(person(turned, **each)) for each in ({}, turns))
    truly, told = (float(b[landmark] - a[landmark]) for a, b in zip(before, after, strict=True))
    assert abs(truly) > 0.1
    assert 0.2 < told / truly < 0.9


def test_more_is_told_of_a_lean_than_of_an_arm_held_out():
    shares = []
    for turns, moved in (
        ({"pelvis": 0.3}, "left_shoulder"),
        ({"left_shoulder": -1.2}, "left_wrist"),
    ):
        landmark = LANDMARK_NAMES.index(moved)
        before, after = (true_and_told(person(False, **each)) for each in ({}, turns))
        truly, told = (float(b[landmark] - a[landmark]) for a, b in zip(before, after, strict=True))
        shares.append(told / truly)
    assert shares[0] > 1.5 * shares[1]


def test_left_and_right_are_told_alike():
    landmarks = person(False, left_shoulder=-1.2, right_hip=-0.4)
    mirrored = landmarks[..., list(LANDMARK_MIRROR), :] * torch.tensor([-1.0, 1.0, 1.0])
    _, told = true_and_told(landmarks)
    _, other = true_and_told(mirrored)
    torch.testing.assert_close(other, told[list(LANDMARK_MIRROR)], atol=1e-4, rtol=0)


def test_reports_are_about_what_is_told():
    truth = standing(80, 30)
    _, told = true_and_told(truth[:1, :1])
    reports = reported(truth)
    seen = reports.landmarks[..., 2] - reports.landmarks[..., 23:25, 2].mean(-1, keepdim=True)
    wanted = told - told[23:25].mean()
    middle = seen[reports.seen].median(0).values
    assert float(torch.corrcoef(torch.stack([middle, wanted]))[0, 1]) > 0.8


def test_reported_metres_follow_the_image():
    truth = standing(200, 30)
    reports = reported(truth)
    apart = reports.rays - project(truth)
    apart = DEPTH_M * (apart - apart[..., 23:25, :].mean(-2, keepdim=True))
    across = (reports.landmarks - Stance.of(truth).relative)[..., :2]
    for name, share in (("left_wrist", 0.74), ("right_ankle", 0.72)):
        landmark = LANDMARK_NAMES.index(name)
        x, y = apart[..., landmark, :].flatten(), across[..., landmark, :].flatten()
        far = (x.abs() > 0.1) & (x.abs() < 0.4)
        slope = float((x * y)[far].sum() / x[far].square().sum())
        assert share - 0.15 < slope < share + 0.3, name


def test_metric_landmarks_are_drawn_in_from_outside_as_those_in_the_image():
    truth = standing(40, 10).clone()
    truth[..., 0] += 0.62 * DEPTH_M  # the image's border goes through the body
    known = fitted_statistics()
    drawn, free = (
        reported(truth, realism=Realism(statistics=replace(known, outside_pull=pull)))
        for pull in (known.outside_pull, torch.zeros(2))
    )
    moved = DEPTH_M * (drawn.rays - free.rays)[..., 0]
    moved = moved - moved[..., 23:25].mean(-1, keepdim=True)
    metric = (drawn.landmarks - free.landmarks)[..., 0]
    little = (moved.abs() > 0.02) & (moved.abs() < 0.3)
    assert little.any()
    slope = float((moved * metric)[little].sum() / moved[little].square().sum())
    assert 0.3 < slope < 0.9


def test_what_is_astray_in_the_image_errs_more_in_metres():
    truth, known = standing(100, 30), fitted_statistics()
    alike = torch.ones_like(known.by_image_error)
    reports = [
        reported(truth, realism=Realism(statistics=replace(known, by_image_error=factors)))
        for factors in (known.by_image_error, alike)
    ]
    astray = image_errors(truth, reports[0]) > 0.12
    depths = [each.landmarks[..., 2] for each in reports]
    usual = depths[1].flatten(0, 1).median(0).values
    more, as_usual = ((depth - usual)[astray].abs().mean() for depth in depths)
    assert more > 1.1 * as_usual


@pytest.mark.parametrize("share", [1.0, 0.5, 0.0, -0.7])
def test_people_taken_the_wrong_way_round_have_the_depth_that_was_drawn(share, monkeypatch):
    """What is told of them is told of the true ones, and then of the other side's."""
    truth = person(False, left_shoulder=-1.2).expand(60, 10, -1, -1)
    mirror = torch.tensor(LANDMARK_MIRROR)

    def all_mistaken(facing, *_):
        return mirror.expand(*facing.shape, -1), torch.full_like(facing, share)

    plain = true_and_told(truth[:1, :1])[1]
    monkeypatch.setattr(landmark_noise, "mistaken_sides", all_mistaken)
    reports = reported(truth, realism=Realism(errors=0.01))
    seen = reports.landmarks[..., 2][reports.seen].median(0).values
    fit = float((seen * plain[mirror]).sum() / plain.square().sum())
    assert abs(fit - share) < 0.25
