"""CameraInfo in all the ways that drivers fill it in."""

import numpy as np
import pytest

from d3pose_core.errors import InputError
from d3pose_ros.calibration import intrinsics, is_distorted


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
    with pytest.raises(InputError, match="not calibrated"):
        intrinsics(make_camera_info(focal=focal), 64, 48)


def test_another_cameras_info(make_camera_info):
    with pytest.raises(InputError, match="640x480 px, the image has 640x640"):
        intrinsics(make_camera_info(640, 480), 640, 640)


def test_distortion_is_noticed(make_camera_info):
    info = make_camera_info()
    assert not is_distorted(info)
    info.d = [0.0, -0.1, 0.0, 0.0, 0.0]
    assert is_distorted(info)
