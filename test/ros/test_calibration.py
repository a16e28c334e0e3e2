"""CameraInfo in all the ways that drivers fill it in."""

import cv2
import numpy as np
import pytest

from d3pose_ros.calibration import CalibrationError, intrinsics, is_rectified


def test_plain(make_camera_info):
    result = intrinsics(make_camera_info(640, 480, 500.0), 640, 480)
    assert (result.fx, result.fy, result.cx, result.cy) == (500, 500, 320, 240)
    assert (result.width, result.height) == (640, 480)


def sees_the_same(full, part, offset, scale) -> bool:
    """Whether `part` is the window at `offset` px of `full`, shrunk by `scale`: by projecting points."""
    points = np.random.default_rng(0).uniform((-1, -1, 3), (1, 1, 5), (20, 3))
    expected = (full.project(points) - offset + 0.5) * scale - 0.5
    return np.allclose(part.project(points), expected)


def test_resized_image(make_camera_info):
    info = make_camera_info(640, 480, 500.0)
    assert sees_the_same(intrinsics(info, 640, 480), intrinsics(info, 320, 240), 0, 0.5)


def test_binning_and_region_of_interest(make_camera_info):
    info = make_camera_info(640, 480, 500.0)
    full = intrinsics(info, 640, 480)
    info.roi.x_offset, info.roi.y_offset, info.roi.width, info.roi.height = 100, 40, 400, 300
    assert sees_the_same(full, intrinsics(info, 400, 300), (100, 40), 1.0)
    info.binning_x = info.binning_y = 2
    assert sees_the_same(full, intrinsics(info, 200, 150), (100, 40), 0.5)


def test_size_not_filled_in(make_camera_info):
    info = make_camera_info(640, 480, 500.0)
    info.width = info.height = 0
    assert intrinsics(info, 640, 480).fx == 500


@pytest.mark.parametrize("focal", [0.0, float("nan"), -1.0, float("inf")])
def test_uncalibrated(make_camera_info, focal):
    with pytest.raises(CalibrationError, match="not calibrated") as refused:
        intrinsics(make_camera_info(focal=focal), 64, 48)
    assert refused.value.cause == "not_calibrated"
    assert refused.value.usable is None


def test_no_principal_point(make_camera_info):
    info = make_camera_info()
    info.k[2] = float("nan")
    with pytest.raises(CalibrationError, match="not calibrated"):
        intrinsics(info, 64, 48)


def test_another_cameras_info(make_camera_info):
    with pytest.raises(CalibrationError, match="640x480 px, the image has 640x640") as refused:
        intrinsics(make_camera_info(640, 480), 640, 640)
    assert refused.value.cause == "wrong_size"


PLUMB_BOB = (-0.3, 0.12, 0.001, -0.0005, -0.02)
RATIONAL = (0.4, -2.4, 0.0005, -0.0003, 1.4, 0.3, -2.3, 1.3)


@pytest.mark.parametrize(
    ("model", "coefficients"),
    [
        ("plumb_bob", PLUMB_BOB),
        ("plumb_bob", PLUMB_BOB[:4]),
        ("plumb_bob", (*PLUMB_BOB, 0.0, 0.0, 0.0)),  # filled up
        ("rational_polynomial", RATIONAL),
        ("rational_polynomial", PLUMB_BOB),
        ("plumb_bob", RATIONAL),  # misnamed
    ],
)
@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_distortion_of_raw_images(make_camera_info, model, coefficients, scale):
    """Rays agree with OpenCV's rectification of pixels, at the calibrated size and at another."""
    info = make_camera_info(640, 480, 500.0)
    info.distortion_model, info.d = model, list(coefficients)
    camera = intrinsics(info, int(640 * scale), int(480 * scale))
    points = np.random.default_rng(0).uniform((-1.5, -1, 3), (1.5, 1, 5), (20, 3))
    d = np.array(coefficients)
    pixels, _ = cv2.projectPoints(points, np.zeros(3), np.zeros(3), info.k.reshape(3, 3), d)
    pixels = (pixels[:, 0] + 0.5) * scale - 0.5
    np.testing.assert_allclose(camera.project(points), pixels, atol=1e-6)
    np.testing.assert_allclose(camera.rays(pixels), points[:, :2] / points[:, 2:], atol=1e-6)


@pytest.mark.parametrize("model", ["equidistant", "fisheye"])
def test_fisheye(make_camera_info, model):
    info = make_camera_info(640, 480, 300.0)
    info.distortion_model, info.d = model, [-0.01, 0.04, -0.04, 0.01]
    points = np.random.default_rng(0).uniform((-5, -3, 2), (5, 3, 4), (20, 3))
    d, zero = np.array(info.d), np.zeros(3)
    pixels, _ = cv2.fisheye.projectPoints(points[:, None], zero, zero, info.k.reshape(3, 3), d)
    np.testing.assert_allclose(intrinsics(info, 640, 480).project(points), pixels[:, 0], atol=1e-6)


@pytest.mark.parametrize("model", ["equidistant", "fisheye", "kannala_brandt"])
@pytest.mark.parametrize("zeros", [4, 5])
def test_a_fisheye_without_coefficients_is_no_pinhole(make_camera_info, model, zeros):
    """Simulators publish the ideal one: as far off the middle as the angle says, not its tangent."""
    info = make_camera_info(640, 480, 300.0)
    info.distortion_model, info.d = model, [0.0] * zeros
    ray = intrinsics(info, 640, 480).rays(np.array([[640.0, 240.0]]))[0]
    assert np.hypot(*ray[:2]) == pytest.approx(np.tan(320 / 300), rel=0.01)


def test_rectified_images_have_the_matrix_of_p(make_camera_info):
    info = make_camera_info(640, 480, 500.0)
    info.d = list(PLUMB_BOB)
    info.p = [450.0, 0.0, 310.0, -50.0, 0.0, 455.0, 236.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    camera = intrinsics(info, 640, 480, rectified=True)
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (450, 455, 310, 236)
    assert camera.distortion is None
    info.roi.x_offset, info.roi.y_offset, info.roi.width, info.roi.height = 100, 40, 400, 300
    assert sees_the_same(camera, intrinsics(info, 400, 300, rectified=True), (100, 40), 1.0)


def test_rectified_images_without_p(make_camera_info):
    info = make_camera_info(640, 480, 500.0)
    assert intrinsics(info, 640, 480, rectified=True).fx == 500, "nothing to rectify: P is K"
    info.d = list(PLUMB_BOB)
    with pytest.raises(CalibrationError, match=r"camera_info\.p has fx=0\.0"):
        intrinsics(info, 640, 480, rectified=True)


@pytest.mark.parametrize(
    ("model", "coefficients"),
    [("omnidirectional", (0.1, 0.2)), ("plumb_bob", (float("nan"),) * 5), ("", PLUMB_BOB)],
)
def test_without_a_usable_distortion_the_matrix_remains(make_camera_info, model, coefficients):
    info = make_camera_info(640, 480, 500.0)
    info.distortion_model, info.d = model, list(coefficients)
    with pytest.raises(CalibrationError) as refused:
        intrinsics(info, 640, 480)
    assert refused.value.cause == "unusable_distortion"
    assert refused.value.usable.fx == 500
    assert refused.value.usable.distortion is None


def test_no_distortion_needs_no_model(make_camera_info):
    info = make_camera_info()
    info.distortion_model = ""
    assert intrinsics(info, 64, 48).distortion is None


def test_image_procs_topic_names():
    for topic in ("/camera/image_rect", "/image_rect_color", "/a/image_rect/compressed"):
        assert is_rectified("auto", topic)
        assert not is_rectified("distorted", topic)
    for topic in ("/camera/image_raw", "/image", "/rectangle/image"):
        assert not is_rectified("auto", topic)
        assert is_rectified("rectified", topic)


@pytest.mark.parametrize(
    ("k", "words"),
    [
        ([500.0, 0, 0, 0, 500, 0, 320, 240, 1], "column by column"),
        ([500.0, 0, 320, 0, 5, 240, 0, 0, 1], "far from square"),
        ([500.0, 0, -3000, 0, 500, 240, 0, 0, 1], "81 degrees past the lens' axis"),
    ],
)
def test_a_matrix_that_is_of_no_camera(make_camera_info, k, words):
    info = make_camera_info(640, 480)
    info.k = [float(value) for value in k]
    with pytest.raises(CalibrationError, match=words) as refused:
        intrinsics(info, 640, 480)
    assert refused.value.cause == "not_calibrated"


@pytest.mark.parametrize(
    ("model", "coefficients", "words"),
    [
        ("plumb_bob", (1000.0, 0, 0, 0, 0), "as no lens does"),
        ("plumb_bob", (-50.0, 0, 0, 0, 0), "fold the image over"),
        ("plumb_bob", (-1e6, 0, 0, 0, 0), "fold the image over"),
        ("plumb_bob", (0, 0, 1.0, 0, 0), "as no lens does"),
        ("rational_polynomial", (1e6,) * 8, "as no lens does"),
        ("equidistant", (-10.0, 0, 0, 0), "fold the image over"),
        ("equidistant", (1000.0, 0, 0, 0), "as no lens does"),
    ],
)
def test_a_finite_distortion_that_no_lens_has(make_camera_info, model, coefficients, words):
    info = make_camera_info(640, 480, 500.0)
    info.distortion_model, info.d = model, [float(c) for c in coefficients]
    with pytest.raises(CalibrationError, match=words) as refused:
        intrinsics(info, 640, 480)
    assert refused.value.cause == "unusable_distortion"
    assert refused.value.usable.distortion is None


@pytest.mark.parametrize(
    ("model", "coefficients", "focal"),
    [
        ("plumb_bob", (-0.3,), 500.0),
        ("plumb_bob", (-0.4, 0.15, 0, 0, -0.02), 300.0),
        ("rational_polynomial", (200.0, -800, 0, 0, 600, 200, -780, 560), 500.0),
        ("equidistant", (0.02, -0.01, 0.003, -0.001), 200.0),  # 180 degrees across
    ],
)
def test_wide_lenses_are_lenses(make_camera_info, model, coefficients, focal):
    info = make_camera_info(640, 480, focal)
    info.distortion_model, info.d = model, [float(c) for c in coefficients]
    assert intrinsics(info, 640, 480).distortion is not None
