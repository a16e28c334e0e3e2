"""Two readings of one person, as seen and mirrored, become one."""

from dataclasses import fields, replace

import numpy as np
import pytest

from d3pose_core.landmark_models import BOTH_WAYS, FULL
from d3pose_core.observe.blazepose import BlazePoseLandmarker, Landmarks
from d3pose_core.observe.both_ways import joined, unmirrored
from d3pose_core.observe.observation import Roi
from d3pose_core.skeleton import LANDMARK_MIRROR, LANDMARK_NAMES, RIVALS

SIZE = 200.0
ROI = Roi(np.array([300.0, 200.0], np.float32), SIZE, 0.4)
NOSE, WRIST = LANDMARK_NAMES.index("nose"), LANDMARK_NAMES.index("left_wrist")


def reading(seed: int = 0, certainty: float = 0.6) -> Landmarks:
    """Somebody, anywhere in the ROI."""
    rng = np.random.default_rng(seed)

    def numbers(*shape: int) -> np.ndarray:
        return rng.uniform(0.2, 0.8, (33, *shape)).astype(np.float32)

    return Landmarks(
        keypoints=(ROI.center + SIZE * (numbers(2) - 0.5)).astype(np.float32),
        depth_hint=numbers(),
        landmarks=numbers(3) - 0.5,
        visibility=numbers(),
        presence=numbers(),
        certainty=np.full(33, certainty, np.float32),
        rivals=(ROI.center + SIZE * (numbers(RIVALS, 2) - 0.5)).astype(np.float32),
        rival_certainty=numbers(RIVALS),
        score=0.9,
        next_roi=Roi(ROI.center + np.float32(3.0), 1.1 * SIZE, 0.5),
    )


def assert_same(got: Landmarks, expected: Landmarks) -> None:
    for field in fields(Landmarks):
        a, b = getattr(got, field.name), getattr(expected, field.name)
        if field.name == "next_roi":
            np.testing.assert_allclose(a.center, b.center, atol=1e-3)
            assert (a.size, a.angle) == pytest.approx((b.size, b.angle))
        else:
            np.testing.assert_allclose(a, b, atol=1e-3, err_msg=field.name)
            assert np.asarray(a).dtype == np.asarray(b).dtype, field.name


def assert_nearly_all(got: np.ndarray, expected: np.ndarray, within: float) -> None:
    """But for two of the 33: what is rounded may bring a landmark over a threshold."""
    assert (np.abs(got - expected).reshape(33, -1).max(1) > within).sum() <= 2


@pytest.mark.parametrize("frame", [20, 60, 100])
@pytest.mark.parametrize("angle", [0.0, 0.3])
def test_a_mirrored_image_gives_mirrored_landmarks(clip, clip_people, frame, angle):
    """The network alone is off by 2 % in the median, by far more in the worst landmarks."""
    landmarker = BlazePoseLandmarker(FULL + BOTH_WAYS)
    right = clip[0].shape[1] - 1
    mirrored_image = np.ascontiguousarray(clip[frame][:, ::-1])
    swap = list(LANDMARK_MIRROR)

    def in_mirror(points: np.ndarray) -> np.ndarray:
        return points * [-1, 1] + [right, 0]

    for person in clip_people[frame]:
        roi = Roi(
            person.keypoints[23:25].mean(0), 1.3 * float(np.ptp(person.keypoints[:, 1])), angle
        )
        mirrored_roi = Roi(in_mirror(roi.center), roi.size, -angle)
        here, there = landmarker(clip[frame], roi), landmarker(mirrored_image, mirrored_roi)
        pixel = 0.005 * roi.size
        assert_nearly_all(in_mirror(there.keypoints)[swap], here.keypoints, pixel)
        assert_nearly_all((there.landmarks * [-1, 1, 1])[swap], here.landmarks, 0.02)
        assert_nearly_all(there.certainty[swap], here.certainty, 0.05)
        np.testing.assert_allclose(
            in_mirror(there.next_roi.center), here.next_roi.center, atol=pixel
        )
        assert there.next_roi.angle == pytest.approx(-here.next_roi.angle, abs=0.01)
        assert here.score > 0.5


def test_unmirroring_twice_changes_nothing():
    found = reading()
    assert_same(unmirrored(unmirrored(found, ROI), ROI), found)


def test_unmirrored_points_lie_across_the_rois_own_axis():
    """Of a ROI that is not turned, x changes and y does not; what was left is right."""
    upright = replace(ROI, angle=0.0)
    found = reading()
    got = unmirrored(found, upright)
    other = list(LANDMARK_MIRROR)
    np.testing.assert_allclose(got.keypoints[other, 0], 600 - found.keypoints[:, 0], atol=1e-3)
    np.testing.assert_allclose(got.keypoints[other, 1], found.keypoints[:, 1], atol=1e-3)
    np.testing.assert_allclose(got.landmarks[other], found.landmarks * [-1, 1, 1], atol=1e-6)
    np.testing.assert_array_equal(got.visibility[other], found.visibility)
    assert got.next_roi.angle == -found.next_roi.angle


def test_one_reading_twice_is_that_reading():
    found = reading()
    assert_same(joined(found, found, ROI), found)


def test_near_places_are_averaged_by_certainty():
    one = reading()
    certainty = np.full(33, 0.2, np.float32)
    other = replace(
        one,
        keypoints=one.keypoints + np.float32(4.0),
        certainty=certainty,
        landmarks=one.landmarks + np.float32(0.1),
        next_roi=Roi(one.next_roi.center, one.next_roi.size, one.next_roi.angle + 2 * np.pi),
    )
    got = joined(one, other, ROI)
    np.testing.assert_allclose(got.keypoints - one.keypoints, 4 * 0.2 / 0.8, atol=0.01)
    np.testing.assert_allclose(got.certainty, 0.4, atol=1e-6)
    np.testing.assert_allclose(got.landmarks - one.landmarks, 0.05, atol=1e-6)
    np.testing.assert_array_equal(got.rivals, one.rivals)
    assert got.next_roi.angle == pytest.approx(one.next_roi.angle, abs=1e-6)


@pytest.mark.parametrize("surer", [0, 1])
def test_of_two_places_the_surer_holds(surer):
    """For that landmark and its counterpart, with their rivals; the others stay means."""
    one = reading()
    moved, certainty = one.keypoints + np.float32(4.0), one.certainty.copy()
    moved[WRIST] += [0.5 * SIZE, 0]
    certainty[WRIST] = 0.9 if surer else 0.1
    other = replace(one, keypoints=moved, certainty=certainty, rivals=one.rivals + 1)
    got = joined(one, other, ROI)
    expected = (one, other)[surer]
    np.testing.assert_allclose(got.keypoints[WRIST], expected.keypoints[WRIST], atol=1e-3)
    np.testing.assert_allclose(got.rivals[WRIST], expected.rivals[WRIST])
    assert got.certainty[WRIST] == pytest.approx(0.9 if surer else 0.6)
    counterpart = LANDMARK_MIRROR[WRIST]
    np.testing.assert_allclose(
        got.keypoints[counterpart], expected.keypoints[counterpart], atol=1e-3
    )
    np.testing.assert_allclose(got.keypoints[NOSE], one.keypoints[NOSE] + 2, atol=1e-3)


@pytest.mark.parametrize("left_is_surer_in", [0, 1])
def test_legs_that_one_reading_has_exchanged_stay_two(left_is_surer_in):
    """Each reading is surer of another ankle, which are the same leg: still both are one reading's."""
    one = reading()
    ankles = [LANDMARK_NAMES.index(f"{side}_ankle") for side in ("left", "right")]
    places, metric = one.keypoints.copy(), one.landmarks.copy()
    places[ankles] = ROI.center + np.float32([[-40, 60], [40, 60]])
    metric[ankles, 0] = [-0.2, 0.2]
    certainty = np.stack([one.certainty, one.certainty])
    certainty[left_is_surer_in, ankles[0]] = 0.95
    certainty[1 - left_is_surer_in, ankles[1]] = 0.9
    one = replace(one, keypoints=places, landmarks=metric, certainty=certainty[0])
    swapped, swapped_metric = places.copy(), metric.copy()
    swapped[ankles], swapped_metric[ankles] = places[ankles[::-1]], metric[ankles[::-1]]
    other = replace(
        one,
        keypoints=swapped,
        landmarks=swapped_metric,
        depth_hint=one.depth_hint + np.float32(0.5),
        certainty=certainty[1],
    )
    got = joined(one, other, ROI)
    expected = (one, other)[left_is_surer_in]
    np.testing.assert_allclose(got.keypoints[ankles], expected.keypoints[ankles], atol=1e-3)
    np.testing.assert_allclose(got.landmarks[ankles], expected.landmarks[ankles], atol=1e-6)
    np.testing.assert_allclose(got.depth_hint[ankles], expected.depth_hint[ankles], atol=1e-6)
    np.testing.assert_allclose(got.certainty[ankles], expected.certainty[ankles])


def test_angles_stay_within_a_turn():
    """Of people who hang upside down, looked at in the mirror again and again."""
    found, roi = reading(), replace(ROI, angle=3.0)
    for _ in range(20):
        found = replace(found, next_roi=replace(ROI, angle=-3.0))
        roi = unmirrored(found, roi).next_roi
        assert abs(roi.angle) <= np.pi


@pytest.mark.parametrize("surer", [0, 1])
def test_of_front_and_back_the_surer_holds(surer):
    """No mean of a person and the same person the other way round: all of one reading."""
    one = reading(certainty=0.6)
    swap = list(LANDMARK_MIRROR)
    other = replace(
        one,
        keypoints=one.keypoints[swap],
        landmarks=one.landmarks[swap] * np.float32([1, 1, -1]),
        certainty=np.full(33, 0.7 if surer else 0.5, np.float32),
    )
    assert_same(joined(one, other, ROI), (one, other)[surer])
