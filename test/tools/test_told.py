"""The fit finds again of whose depths a part was told, and how metric landmarks follow the image's errors."""

import torch

from d3pose_core.data.error_statistics import fitted_statistics
from d3pose_core.data.landmark_noise import FURTHEST_M, image_error_factor, with_image_error
from d3pose_core.data.stance import PERSON_M, Stance
from d3pose_core.data.told_depth import with_told_depth
from d3pose_core.skeleton import LANDMARK_MIRROR
from test.helpers.recordings import exact_recording
from tools.measure_landmarks.errors import LIMBS, Errors
from tools.measure_landmarks.fit import _by_image_error, _follows_image, _told_depth
from tools.measure_landmarks.told import depth_left

CLIPS, FRAMES = 60, 20


def posed(seed=0):
    """An exact recording whose landmarks lie anywhere about the person's middle."""
    made = exact_recording(CLIPS, FRAMES)
    rng = torch.Generator().manual_seed(seed)
    made.true_landmarks = made.true_landmarks + 0.2 * torch.randn(
        made.true_landmarks.shape, generator=rng
    )
    made.rays = made.true_landmarks[..., :2] / made.true_landmarks[..., 2:]
    stance = Stance.of(made.true_landmarks)
    made.landmarks = stance.relative - stance.relative[..., 23:25, :].mean(-2, keepdim=True)
    made.depth_hint = made.landmarks[..., 2] / stance.distance[..., None]
    return made, stance


def test_the_part_of_the_depth_that_is_told_is_found():
    made, stance = posed()
    known = fitted_statistics().told_depth
    defined = made.landmarks
    reported = with_told_depth(defined, stance.facing, known)
    found = _told_depth(defined, reported, stance, Errors.of(made))
    told = with_told_depth(defined, stance.facing, found)
    rest = (told - reported)[..., 2].square().mean().sqrt()
    assert rest < 0.1 * reported[..., 2].square().mean().sqrt()
    assert (defined - reported)[..., 2].square().mean().sqrt() > 5 * rest


def test_reports_that_tell_all_leave_no_depth_to_guess():
    made, _ = posed()
    assert depth_left(made, Errors.of(made)).abs().mean() < 0.02
    rng = torch.Generator().manual_seed(1)
    nothing = torch.randn(made.depth_hint.shape, generator=rng)
    made.landmarks[..., 2] = made.depth_hint = 0.1 * nothing
    left = depth_left(made, Errors.of(made)).abs().mean()
    truly = Stance.of(made.true_landmarks).relative[..., LIMBS, 2]
    assert left > 0.7 * truly.abs().mean()


def test_metric_landmarks_follow_the_image_as_far_as_they_did():
    rng = torch.Generator().manual_seed(2)
    image = 0.05 * torch.randn(CLIPS, FRAMES, 33, 2, generator=rng)
    wild = torch.rand(CLIPS, FRAMES, 33, 1, generator=rng) < 0.05
    image = torch.where(wild, 6 * image, image)
    share = torch.linspace(0.2, 0.9, 33)
    noise = 0.02 * torch.randn(CLIPS, FRAMES, 33, 3, generator=rng)
    metric = with_image_error(noise, image, share)
    off = PERSON_M * (image - image[..., 23:25, :].mean(-2, keepdim=True))
    off = off.clamp(-FURTHEST_M, FURTHEST_M)
    torch.testing.assert_close(metric[..., :2] - noise[..., :2], share[:, None] * off)
    good = torch.ones(CLIPS, FRAMES, 33, dtype=torch.bool)
    found = _follows_image(metric, image, good)
    both = (share + share[list(LANDMARK_MIRROR)]) / 2  # left and right are one
    torch.testing.assert_close(found, both, atol=0.03, rtol=0)


def test_errors_grow_with_the_image_error_as_they_did():
    rng = torch.Generator().manual_seed(3)
    image = torch.exp(torch.randn(CLIPS, FRAMES, 33, 1, generator=rng) - 3)
    image = image * torch.nn.functional.normalize(
        torch.randn(CLIPS, FRAMES, 33, 2, generator=rng), dim=-1
    )
    known = fitted_statistics().by_image_error
    others = 0.03 * torch.randn(CLIPS, FRAMES, 33, 4, generator=rng)
    kinds = torch.tensor([1, 1, 2, 3])
    left = torch.cat([image, others * image_error_factor(image, known)[..., kinds]], -1)
    good = torch.ones(CLIPS, FRAMES, 33, dtype=torch.bool)
    found = _by_image_error(left, good)
    ratio = found[1:] / known[1:]
    assert ratio.max() / ratio.min() < 1.3
    assert torch.equal(found[0], torch.ones(5))


def test_sizes_of_image_errors_that_never_occurred_take_the_next_factor():
    rng = torch.Generator().manual_seed(4)
    left = 0.02 * torch.randn(CLIPS, FRAMES, 33, 6, generator=rng).clamp(-1, 1)
    found = _by_image_error(left, torch.ones(CLIPS, FRAMES, 33, dtype=torch.bool))
    assert torch.equal(found[:, 2], found[:, 4])
    assert found.min() > 0.5
    assert found.max() < 2


def test_a_single_clip_has_nothing_to_learn_depth_from():
    made, _ = posed()
    assert not len(depth_left(made[:1], Errors.of(made[:1])))
