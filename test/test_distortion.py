"""Lenses against OpenCV, and where OpenCV has no answer: a finite, ordered one."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from d3pose_core.camera import Intrinsics
from d3pose_core.distortion import Distortion
from d3pose_core.errors import InputError

# Calibrations in the style of common cameras.
WEBCAM = Intrinsics(
    *(530.0, 532.0, 318.0, 242.0, 640, 480),
    Distortion("plumb_bob", (-0.38, 0.16, 0.0008, -0.0005, -0.03)),
)
DEPTH_CAMERA = Intrinsics(
    *(605.0, 605.0, 638.0, 366.0, 1280, 720),
    Distortion("rational_polynomial", (0.45, -2.5, 0.0005, -0.0003, 1.45, 0.33, -2.33, 1.38)),
)
FISHEYE = Intrinsics(
    *(286.0, 286.5, 423.0, 399.0, 848, 800),
    Distortion("equidistant", (-0.0075, 0.0421, -0.0392, 0.0071)),
)
# A calibration from too few pictures: its polynomial turns round inside the image.
UNSOUND = Intrinsics(
    500.0, 500.0, 320.0, 240.0, 640, 480, Distortion("plumb_bob", (-0.9, 0.0, 0.01, 0.01))
)
REALISTIC = [WEBCAM, DEPTH_CAMERA, FISHEYE]
ALL = [*REALISTIC, UNSOUND]
IDS = ["webcam", "depth_camera", "fisheye", "unsound"]


def grid(camera: Intrinsics, steps: int = 25) -> np.ndarray:
    """Pixels all over the image, edges included, [steps * steps, 2]."""
    x, y = np.linspace(0, camera.width - 1, steps), np.linspace(0, camera.height - 1, steps)
    return np.stack(np.meshgrid(x, y), -1).reshape(-1, 2)


def matrix(camera: Intrinsics) -> np.ndarray:
    return np.array([[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1]])


def points_of(rays: np.ndarray, depth: float = 3.0) -> np.ndarray:
    return depth * np.concatenate([rays, np.ones_like(rays[..., :1])], -1)


@pytest.mark.parametrize("camera", REALISTIC, ids=IDS[:3])
def test_projection_is_opencvs(camera):
    # Within 80 degrees: a fisheye's corners may look behind the plane where rays end.
    pixels = grid(camera)
    rays = camera.rays(pixels)
    rays = rays[np.linalg.norm(rays, axis=-1) < np.tan(np.radians(80))]
    points, zero = points_of(rays), np.zeros(3)
    d = np.array(camera.distortion.coefficients)
    if camera is FISHEYE:
        expected, _ = cv2.fisheye.projectPoints(points[:, None], zero, zero, matrix(camera), d)
    else:
        expected, _ = cv2.projectPoints(points, zero, zero, matrix(camera), d)
    np.testing.assert_allclose(camera.project(points), expected[:, 0], atol=1e-6)


@pytest.mark.parametrize("camera", REALISTIC, ids=IDS[:3])
def test_rays_are_opencvs(camera):
    pixels = grid(camera)
    if camera is FISHEYE:
        pixels = pixels[np.linalg.norm(pixels - (camera.cx, camera.cy), axis=-1) < 380]
        expected = cv2.fisheye.undistortPoints(
            pixels[:, None], matrix(camera), np.array(camera.distortion.coefficients)
        )
    else:
        criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 200, 1e-12)
        expected = cv2.undistortPointsIter(
            pixels[:, None],
            matrix(camera),
            np.array(camera.distortion.coefficients),
            None,
            None,
            criteria,
        )
    np.testing.assert_allclose(camera.rays(pixels), expected[:, 0], atol=1e-5)


@pytest.mark.parametrize("camera", REALISTIC, ids=IDS[:3])
@settings(max_examples=200, deadline=None)
@given(x=st.floats(0, 1), y=st.floats(0, 1))
def test_every_pixel_of_the_image_comes_back(camera, x, y):
    pixel = np.array([x * (camera.width - 1), y * (camera.height - 1)])
    back = camera.project(points_of(camera.rays(pixel)))
    if camera is FISHEYE and np.linalg.norm(camera.rays(pixel)) > np.tan(np.radians(84.9)):
        return  # beyond what a ray (x/z, y/z) can say; tested for being finite below
    np.testing.assert_allclose(back, pixel, atol=1e-4)


@settings(max_examples=200, deadline=None)
@given(
    k1=st.floats(-0.3, 0.3),
    k2=st.floats(-0.1, 0.1),
    p1=st.floats(-0.002, 0.002),
    p2=st.floats(-0.002, 0.002),
    x=st.floats(-0.5, 0.5),
    y=st.floats(-0.4, 0.4),
)
def test_ordinary_lenses_are_inverted(k1, k2, p1, p2, x, y):
    lens, ray = Distortion("plumb_bob", (k1, k2, p1, p2)), np.array([x, y])
    np.testing.assert_allclose(lens.undistort(lens.distort(ray)), ray, atol=1e-6)


@pytest.mark.parametrize("camera", ALL, ids=IDS)
@settings(max_examples=200, deadline=None)
@given(x=st.floats(-1e4, 1e4), y=st.floats(-1e4, 1e4))
def test_no_pixel_is_without_a_ray(camera, x, y):
    """Also far outside the image, where polynomials have turned round."""
    ray = camera.rays(np.array([x, y]))
    assert np.all(np.isfinite(ray))
    assert np.all(np.isfinite(camera.project(points_of(ray))))
    outwards = np.array([x - camera.cx, y - camera.cy])
    if np.linalg.norm(outwards) > 50:
        assert ray @ outwards > 0, "a ray points to the side where its pixel lies"


@pytest.mark.parametrize("camera", ALL, ids=IDS)
def test_what_is_far_outside_never_comes_back_into_the_image(camera):
    """A polynomial folds: OpenCV shows some points beside the camera in its picture."""
    for degrees in range(0, 360, 30):
        radii = np.geomspace(0.01, 11, 400)
        direction = np.array([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))])
        pixels = camera.project(points_of(radii[:, None] * direction))
        distance = np.linalg.norm(pixels - (camera.cx, camera.cy), axis=-1)
        assert np.all(np.diff(distance) > 0)


def test_points_behind_the_camera_have_no_pixel():
    points = np.array([[0.1, 0.2, -1.0], [0.1, 0.2, 2.0]])
    pixels = WEBCAM.project(points)
    assert np.isnan(pixels[0]).all()
    assert np.isfinite(pixels[1]).all()


def test_no_distortion_is_the_pinhole():
    plain = Intrinsics(500.0, 510.0, 320.0, 240.0, 640, 480)
    zero = Intrinsics(
        500.0, 510.0, 320.0, 240.0, 640, 480, Distortion("rational_polynomial", (0.0,) * 8)
    )
    pixels = grid(plain)
    np.testing.assert_allclose(zero.rays(pixels), plain.rays(pixels), atol=1e-12)
    points = points_of(plain.rays(pixels))
    np.testing.assert_allclose(zero.project(points), pixels, atol=1e-9)


@pytest.mark.parametrize(
    ("model", "coefficients", "said"),
    [
        ("thin_prism", (0.0,) * 12, "'thin_prism' is not supported"),
        ("plumb_bob", (0.0,) * 8, "4 or 5 coefficients, got 8"),
        ("equidistant", (0.0,) * 5, "4 coefficients, got 5"),
        ("plumb_bob", (0.0, np.nan, 0.0, 0.0), "must be finite"),
    ],
)
def test_what_is_no_lens_is_refused(model, coefficients, said):
    with pytest.raises(InputError, match=said):
        Distortion(model, coefficients)
