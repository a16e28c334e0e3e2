"""ROI geometry: crops and points carried there and back."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from d3pose_core.observe import roi as geometry
from d3pose_core.observe.observation import Roi

rois = st.builds(
    lambda x, y, size, angle: Roi(np.array([x, y], np.float32), size, angle),
    st.floats(-200, 900),
    st.floats(-200, 900),
    st.floats(20, 1500),
    st.floats(-3.1, 3.1),
)


@given(rois, st.floats(-0.5, 1.5), st.floats(-0.5, 1.5))
def test_points_go_to_the_image_and_back(roi, x, y):
    point = np.array([[x, y]])
    back = geometry.image_to_crop(geometry.crop_to_image(point, roi), roi)
    np.testing.assert_allclose(back, point, atol=1e-5)


@given(rois)
def test_alignment_points_give_the_roi_back(roi):
    up = np.array([np.sin(roi.angle), -np.cos(roi.angle)])
    top = roi.center + up * roi.size / (2 * geometry.ROI_SCALE)
    made = geometry.roi_from_alignment(roi.center, top)
    np.testing.assert_allclose(made.center, roi.center)
    assert made.size == pytest.approx(roi.size, rel=1e-4)
    turn = (made.angle - roi.angle + np.pi) % (2 * np.pi) - np.pi
    assert turn == pytest.approx(0, abs=1e-3)


def test_angle_is_clockwise():
    lying = geometry.roi_from_alignment(np.array([50.0, 50.0]), np.array([90.0, 50.0]))
    assert lying.angle == pytest.approx(np.pi / 2)  # head to the right of the hips


@pytest.mark.parametrize("angle", [0.0, 0.7, -2.0])
def test_crop_shows_what_the_geometry_says(angle):
    """A smooth spot at a known place of the image is found at the place computed for the crop."""
    y, x = np.mgrid[:300, :400]
    spot = np.array([233.0, 121.0])
    grey = 255 * np.exp(-((x - spot[0]) ** 2 + (y - spot[1]) ** 2) / (2 * 6.0**2))
    image = np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)
    roi = Roi(np.array([210.0, 140.0], np.float32), 160.0, angle)
    crop = geometry.cut(image, roi, 256)[..., 0].astype(float)
    rows, columns = np.mgrid[:256, :256]
    centre = np.array([(crop * columns).sum(), (crop * rows).sum()]) / crop.sum()
    # Pixel i of the crop covers (i .. i + 1) / 256 of its side.
    np.testing.assert_allclose(
        (centre + 0.5) / 256, geometry.image_to_crop(spot, roi), atol=0.3 / 256
    )


@pytest.mark.parametrize("angle", [0.0, 0.4])
def test_crop_of_the_mirrored_image_is_the_mirrored_crop(angle):
    noise = np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)
    image = cv2.GaussianBlur(noise, (0, 0), 3)
    roi = Roi(np.array([150.0, 110.0], np.float32), 130.0, angle)
    mirrored = Roi(np.array([319 - 150.0, 110.0], np.float32), 130.0, -angle)
    one = geometry.cut(image, roi, 256)[:, ::-1].astype(int)
    other = geometry.cut(np.ascontiguousarray(image[:, ::-1]), mirrored, 256).astype(int)
    assert np.abs(one - other).max() <= 2


def test_overlaps_of_boxes():
    box = np.array([0.0, 0.0, 10.0, 10.0])
    others = np.array(
        [[0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 30, 30], [0, 0, 5, 10], [5, 5, 5, 5]]
    )
    np.testing.assert_allclose(geometry.box_iou(box, others), [1, 1 / 3, 0, 0.5, 0], atol=1e-6)
