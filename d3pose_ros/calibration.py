"""sensor_msgs/CameraInfo -> intrinsics of the image at hand."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from d3pose_core.camera import Intrinsics, check_lens
from d3pose_core.distortion import EQUIDISTANT, PLUMB_BOB, RATIONAL_POLYNOMIAL, Distortion
from d3pose_core.errors import InputError
from d3pose_ros.geometry import AUTO, RECTIFIED

if TYPE_CHECKING:
    from sensor_msgs.msg import CameraInfo

# Two sizes show the same field of view when their scales agree to this.
ASPECT_TOLERANCE = 0.02
# By how much the distortion may turn a ray at the image's sides from where a pinhole would see it. A fisheye
# that shows 85 degrees does so at a seventh of where a pinhole would.
_LEAST_STRETCH, _MOST_STRETCH = 1 / 3, 10.0

# Under which names drivers publish the models.
_MODEL_NAMES = {
    "plumb_bob": PLUMB_BOB,
    "rational_polynomial": RATIONAL_POLYNOMIAL,
    "equidistant": EQUIDISTANT,
    "fisheye": EQUIDISTANT,
    "kannala_brandt": EQUIDISTANT,
}


class CalibrationError(InputError):
    """A camera_info that cannot be used, or not all of it.

    Attributes:
        cause: the name under which its images are counted.
        usable: what can be used nonetheless, if anything.
    """

    def __init__(self, cause: str, message: str, usable: Intrinsics | None = None) -> None:
        super().__init__(message)
        self.cause = cause
        self.usable = usable


def is_rectified(geometry: str, image_topic: str) -> bool:
    """Whether images are rectified; AUTO goes by image_proc's topic names, `image_rect` and the like."""
    if geometry == AUTO:
        return any(part.startswith("image_rect") for part in image_topic.split("/"))
    return geometry == RECTIFIED


def intrinsics(info: CameraInfo, width: int, height: int, rectified: bool = False) -> Intrinsics:
    """The intrinsics that `info` gives to an image of `width` x `height` px.

    A rectified image has the camera matrix of P and no distortion, any other that of K and the distortion
    D. Both belong to the full sensor; binning and region of interest lead to the image as it is
    published. An image that was resized afterwards is recognised by its aspect ratio.

    Raises:
        CalibrationError: an uncalibrated camera (a matrix of zeros or nan), one whose size does not fit
            the image, or a distortion that is unknown or not finite.
    """
    fx, fy, cx, cy = _matrix(info, rectified)
    binning_x, binning_y = max(int(info.binning_x), 1), max(int(info.binning_y), 1)
    calibrated_width = (info.roi.width or info.width or width * binning_x) / binning_x
    calibrated_height = (info.roi.height or info.height or height * binning_y) / binning_y
    scale_x, scale_y = width / calibrated_width, height / calibrated_height
    if abs(scale_x / scale_y - 1) > ASPECT_TOLERANCE:
        raise CalibrationError(
            "wrong_size",
            f"camera_info is for {calibrated_width:.0f}x{calibrated_height:.0f} px, the image has "
            f"{width}x{height}: it belongs to another camera or mode",
        )
    scale_x, scale_y = scale_x / binning_x, scale_y / binning_y
    # Pixel centres are at whole numbers, so that the image begins at -0.5 and scales about that point.
    try:
        pinhole = Intrinsics(
            fx=fx * scale_x,
            fy=fy * scale_y,
            cx=(cx - info.roi.x_offset + 0.5) * scale_x - 0.5,
            cy=(cy - info.roi.y_offset + 0.5) * scale_y - 0.5,
            width=width,
            height=height,
        )
        check_lens(pinhole)
    except InputError as error:
        raise CalibrationError("not_calibrated", f"camera_info: {error}") from error
    if rectified:
        return pinhole
    try:
        # Distortion is in units of the focal length, so that it is the same at every size.
        camera = replace(pinhole, distortion=_distortion(info))
        _check_stretch(camera)
        return camera
    except InputError as error:
        raise CalibrationError(
            "unusable_distortion",
            f"camera_info: {error}; going on without distortion. Rectified images (image_proc) need none",
            usable=pinhole,
        ) from error


def _matrix(info: CameraInfo, rectified: bool) -> tuple[float, float, float, float]:
    """fx, fy, cx, cy of the full sensor, px."""
    k = tuple(float(info.k[i]) for i in (0, 4, 2, 5))
    p = tuple(float(info.p[i]) for i in (0, 5, 2, 6))
    # Simulators and simple drivers leave P empty, which is right for a lens without distortion only.
    name, matrix = ("p", p) if rectified and (any(p) or any(info.d)) else ("k", k)
    fx, fy, cx, cy = matrix
    if not (all(map(math.isfinite, matrix)) and fx > 0 and fy > 0):
        raise CalibrationError(
            "not_calibrated",
            f"camera_info.{name} has fx={fx}, fy={fy}, cx={cx}, cy={cy}: the camera is not calibrated. Run "
            "camera_calibration, or set the parameter hfov_deg",
        )
    if info.k[6] or info.k[7]:
        raise CalibrationError(
            "not_calibrated",
            f"camera_info.k ends in {info.k[6]}, {info.k[7]}, {info.k[8]} instead of 0, 0, 1: is it written "
            "column by column? Its order is fx 0 cx, 0 fy cy, 0 0 1",
        )
    return fx, fy, cx, cy


@lru_cache(maxsize=16)
def _check_stretch(camera: Intrinsics) -> None:
    """Raises InputError for a distortion that no lens has, though its coefficients are finite."""
    if camera.distortion is None:
        return
    shorter_side = min(camera.width / camera.fx, camera.height / camera.fy)
    if camera.distortion.reach < shorter_side / 4:
        raise InputError(
            f"distortion coefficients {camera.distortion.coefficients} fold the image over in its inner "
            "half: they are of another camera or model"
        )
    x, y = (camera.width - 1) / 2, (camera.height - 1) / 2
    sides = np.array([[0, y], [2 * x, y], [x, 0], [x, 2 * y]])
    straight = np.linalg.norm(replace(camera, distortion=None).rays(sides), axis=-1)
    bent = np.linalg.norm(camera.rays(sides), axis=-1)
    if not (
        np.all(bent >= _LEAST_STRETCH * straight) and np.all(bent <= _MOST_STRETCH * straight + 0.1)
    ):
        raise InputError(
            f"distortion coefficients {camera.distortion.coefficients} move the rays at the image's sides "
            f"from {straight.round(3).tolist()} to {bent.round(3).tolist()} (tangents of the angles off "
            "axis), as no lens does"
        )


def _distortion(info: CameraInfo) -> Distortion | None:
    """The distortion of unrectified images; None where there is none. Raises InputError."""
    model = _MODEL_NAMES.get(info.distortion_model, info.distortion_model)
    coefficients = [float(coefficient) for coefficient in info.d]
    meant = 4 if model == EQUIDISTANT else 0  # all zero, they still say that it bends lines
    while len(coefficients) > meant and coefficients[-1] == 0.0:  # drivers fill up with zeros
        coefficients.pop()
    if not coefficients:  # also where no model is named
        return None
    if model == PLUMB_BOB and len(coefficients) > 5:  # many call all that OpenCV calibrates so
        model = RATIONAL_POLYNOMIAL
    count = {PLUMB_BOB: 5, RATIONAL_POLYNOMIAL: 8, EQUIDISTANT: 4}.get(model, 0)
    coefficients += [0.0] * (count - len(coefficients))
    return Distortion(model, tuple(coefficients))
