"""Distances from depth images that are rendered of a body whose place is known."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from d3pose_core import InputError, Intrinsics
from d3pose_core.body import load_body
from d3pose_core.depth import DepthCorrection, DepthImage, DepthOutcome
from d3pose_core.distortion import Distortion
from d3pose_core.recovery import RecoveredPerson

CAMERA = Intrinsics.from_hfov(60, 160, 120)
BODY = load_body("free-low")
PLACE = np.array([0.4, 0.1, 3.0])


def standing(
    place=PLACE, yaw_deg=0.0, betas=None, track_id=1, intrinsics=CAMERA
) -> RecoveredPerson:
    """Arms down, pelvis at `place`, m; at a yaw of 0 facing the camera."""
    upright = Rotation.from_euler("x", 180, degrees=True)
    turn = Rotation.from_euler("y", yaw_deg, degrees=True) * upright
    pose = np.zeros((23, 3), np.float32)
    pose[15], pose[16] = (0, 0, -1.2), (0, 0, 1.2)  # shoulders
    person = RecoveredPerson(
        track_id=track_id,
        confidence=1.0,
        global_orient=turn.as_rotvec().astype(np.float32),
        body_pose=pose,
        betas=np.zeros(10, np.float32) if betas is None else np.float32(betas),
        transl=np.zeros(3, np.float32),
        joints=np.zeros((24, 3), np.float32),
        joints_2d=np.zeros((24, 2), np.float32),
        joint_confidence=np.ones(24, np.float32),
        observation_age_s=0.0,
    )
    rows = [person.global_orient, person.body_pose, person.betas, person.transl]
    joints = BODY.joints(*(torch.tensor(row)[None] for row in rows))[0].numpy()
    transl = (place - joints[0]).astype(np.float32)
    joints = joints + transl
    return replace(
        person,
        transl=transl,
        joints=joints,
        joints_2d=intrinsics.project(joints).astype(np.float32),
    )


def at(person: RecoveredPerson, ratio: float) -> RecoveredPerson:
    """The same body elsewhere on the ray of its pelvis: what one camera gets wrong."""
    shift = ((ratio - 1) * person.joints[0]).astype(np.float32)
    joints = person.joints + shift
    return replace(
        person,
        transl=person.transl + shift,
        joints=joints,
        joints_2d=CAMERA.project(joints).astype(np.float32),
    )


def render(*people: RecoveredPerson, background_m: float = np.inf, intrinsics=CAMERA) -> np.ndarray:
    """Depth [H, W] m: every face of the meshes is filled with points, and the nearest is kept."""
    depth = np.full((intrinsics.height, intrinsics.width), background_m, np.float32)
    steps = np.linspace(0, 1, 6)
    a, b = (grid.ravel() for grid in np.meshgrid(steps, steps))
    a, b = a[a + b <= 1], b[a + b <= 1]
    weights = np.stack([1 - a - b, a, b], -1)  # [P, 3] barycentric
    for person in people:
        points = (weights @ BODY.vertices(person)[BODY.faces]).reshape(-1, 3)
        x, y = intrinsics.project(points).round().astype(int).T
        inside = (x >= 0) & (x < intrinsics.width) & (y >= 0) & (y < intrinsics.height)
        x, y, z = x[inside], y[inside], points[inside, 2].astype(np.float32)
        nearest_last = np.argsort(-z)
        x, y, z = x[nearest_last], y[nearest_last], z[nearest_last]
        shown = np.full_like(depth, np.inf)
        shown[y, x] = z
        depth = np.minimum(depth, shown)
    return depth


def correct(person, depth, intrinsics=CAMERA, unit_m=1.0, **options):
    image = None if depth is None else DepthImage(depth, unit_m)
    (moved,), (outcome,) = DepthCorrection(BODY)([person], image, 0.0, intrinsics, **options)
    return moved, outcome


@pytest.mark.parametrize("yaw_deg", [0, 45, 90, 180, 300])
@pytest.mark.parametrize("ratio", [0.75, 1.0, 1.3])
def test_a_person_is_put_where_they_stand(yaw_deg, ratio):
    """Within 4 cm from every side, though the skin seen is up to 16 cm nearer than the pelvis."""
    truth = standing(yaw_deg=yaw_deg)
    moved, outcome = correct(at(truth, ratio), render(truth))
    assert outcome is DepthOutcome.USED
    np.testing.assert_allclose(moved.joints[0], truth.joints[0], atol=0.04)


def test_no_constant_lies_between_skin_and_pelvis():
    """The reason for comparing skin with skin: 6 cm from behind, 16 cm from the front."""
    gaps = []
    for yaw_deg in (0, 30, 150, 180, 210, 330):
        person = standing(np.array([0.0, 0.0, 3.0]), yaw_deg)
        x, y = person.joints_2d[[1, 2, 16, 17]].mean(0).round().astype(int)
        gaps.append(person.joints[0, 2] - render(person)[y, x])
    assert min(gaps) == pytest.approx(0.06, abs=0.02)
    assert max(gaps) == pytest.approx(0.16, abs=0.02)


def test_pose_and_size_stay_and_all_that_depends_on_the_place_follows():
    truth = standing()
    wrong = at(truth, 1.3)
    moved, _ = correct(wrong, render(truth))
    for name in ("global_orient", "body_pose", "betas", "joint_confidence"):
        np.testing.assert_array_equal(getattr(moved, name), getattr(wrong, name))
    shift = moved.transl - wrong.transl
    np.testing.assert_allclose(moved.joints - wrong.joints, np.tile(shift, (24, 1)), atol=1e-5)
    np.testing.assert_allclose(CAMERA.project(moved.joints), moved.joints_2d, atol=1e-3)
    np.testing.assert_allclose(moved.joints_2d[0], wrong.joints_2d[0], atol=1e-3)  # its ray
    np.testing.assert_allclose(BODY.vertices(moved) - BODY.vertices(wrong) - shift, 0, atol=1e-5)
    assert all(getattr(moved, n).dtype == np.float32 for n in ("transl", "joints", "joints_2d"))


def test_a_child_taken_for_an_adult_further_away():
    """Size and distance are both wrong: the distance is mended nonetheless."""
    child = standing(PLACE / 1.25, betas=[-2.5] + [0] * 9)
    adult = at(standing(), 1.0)
    moved, outcome = correct(adult, render(child))
    assert outcome is DepthOutcome.USED
    assert moved.joints[0, 2] == pytest.approx(child.joints[0, 2], abs=0.07)
    np.testing.assert_array_equal(moved.betas, adult.betas)


def test_millimetres_and_another_resolution():
    truth = standing()
    depth = render(truth, background_m=5.0)
    millimetres = np.round(depth * 1000).astype(np.uint16)
    moved, _ = correct(at(truth, 1.2), millimetres, unit_m=1e-3)
    np.testing.assert_allclose(moved.joints[0], truth.joints[0], atol=0.04)
    double = Intrinsics.from_hfov(60, 320, 240)
    (moved,), _ = DepthCorrection(BODY)([at(truth, 1.2)], DepthImage(depth), 0.0, double)
    np.testing.assert_allclose(moved.joints[0], truth.joints[0], atol=0.04)


def test_a_distorted_view():
    lens = replace(CAMERA, distortion=Distortion("plumb_bob", (-0.35, 0.12, 0.0, 0.0)))
    truth = standing(np.array([1.2, 0.1, 3.0]), intrinsics=lens)
    moved, outcome = correct(at(truth, 1.2), render(truth, intrinsics=lens), lens)
    assert outcome is DepthOutcome.USED
    np.testing.assert_allclose(moved.joints[0], truth.joints[0], atol=0.04)
    np.testing.assert_allclose(lens.project(moved.joints), moved.joints_2d, atol=1e-3)


@pytest.mark.parametrize("unknown", [0.0, np.nan, np.inf, -np.inf])
def test_holes_and_noise_are_put_up_with(unknown):
    random = np.random.default_rng(0)
    truth = standing()
    depth = render(truth, background_m=4.5)
    depth += random.normal(0, 0.02, depth.shape).astype(np.float32)
    depth[random.uniform(size=depth.shape) < 0.4] = unknown
    moved, outcome = correct(at(truth, 1.2), depth)
    assert outcome is DepthOutcome.USED
    np.testing.assert_allclose(moved.joints[0], truth.joints[0], atol=0.04)


def test_what_is_not_believed():
    person = standing()
    nothing = np.zeros((120, 160), np.float32)
    far_wall = np.full((120, 160), 7.0, np.float32)
    half_hidden = render(person)
    half_hidden[:, : int(person.joints_2d[0, 0])] = 2.0  # a cupboard before one half
    cases = [
        (None, DepthOutcome.NO_IMAGE),
        (nothing, DepthOutcome.TOO_FEW_PIXELS),
        (far_wall, DepthOutcome.DISAGREES),
        (half_hidden, DepthOutcome.SCATTERED),
    ]
    for depth, expected in cases:
        moved, outcome = correct(person, depth)
        assert outcome is expected
        np.testing.assert_array_equal(moved.transl, person.transl)


def test_the_bound_is_the_callers():
    truth = standing()
    wrong = at(truth, 1.3)
    assert correct(wrong, render(truth), max_correction=0.2)[1] is DepthOutcome.DISAGREES
    assert correct(wrong, render(truth), max_correction=0.4)[1] is DepthOutcome.USED


def test_outside_the_image_there_is_no_depth():
    person = standing(np.array([3.0, 0.0, 3.0]))
    assert correct(person, np.full((120, 160), 3.0))[1] is DepthOutcome.TOO_FEW_PIXELS


def test_what_depth_has_said_goes_on_without_it_and_belongs_to_one_person():
    truth, other = standing(), standing(np.array([-0.8, 0.1, 3.5]), track_id=2)
    correction = DepthCorrection(BODY)
    depth = DepthImage(render(truth))
    for frame in range(5):
        (moved, _), outcomes = correction([at(truth, 1.2), other], depth, frame / 30, CAMERA)
    assert outcomes == [DepthOutcome.USED, DepthOutcome.TOO_FEW_PIXELS]
    (held, same), outcomes = correction([at(truth, 1.2), other], None, 6 / 30, CAMERA)
    assert outcomes == [DepthOutcome.NO_IMAGE] * 2
    np.testing.assert_allclose(held.joints, moved.joints, atol=1e-4)
    np.testing.assert_array_equal(same.joints, other.joints)
    correction.reset()
    (forgotten, _), _ = correction([at(truth, 1.2), other], None, 7 / 30, CAMERA)
    np.testing.assert_allclose(forgotten.joints, at(truth, 1.2).joints, atol=1e-5)


def test_noise_of_the_pose_is_smoothed():
    random = np.random.default_rng(0)
    truth = standing()
    depth, correction = DepthImage(render(truth)), DepthCorrection(BODY)
    raw, smooth = [], []
    for frame in range(60):
        wrong = at(truth, 1.2 * np.exp(random.normal(0, 0.01)))
        raw.append(correct(wrong, depth.values)[0].joints[0, 2] / wrong.joints[0, 2])
        (moved,), _ = correction([wrong], depth, frame / 30, CAMERA)
        smooth.append(moved.joints[0, 2] / wrong.joints[0, 2])
    assert np.std(np.diff(smooth[10:])) < 0.7 * np.std(np.diff(raw[10:]))


def test_another_cameras_depth_does_not_fit():
    assert DepthImage(np.zeros((60, 80))).fits(CAMERA)
    assert not DepthImage(np.zeros((80, 80))).fits(CAMERA)
    with pytest.raises(InputError, match=r"\[H, W\], got \[4, 5, 3\]"):
        DepthImage(np.zeros((4, 5, 3)))
