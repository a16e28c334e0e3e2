"""sensor_msgs/CameraInfo -> intrinsics of the image at hand."""

from __future__ import annotations

import math

from sensor_msgs.msg import CameraInfo

from d3pose_core.camera import Intrinsics
from d3pose_core.errors import InputError

# Two sizes show the same field of view when their scales agree to this.
ASPECT_TOLERANCE = 0.02


def intrinsics(info: CameraInfo, width: int, height: int) -> Intrinsics:
    """The pinhole intrinsics `info` gives to an image of `width` x `height` px.

    K belongs to the full sensor; binning and region of interest lead to the image as it is published. An
    image that was resized afterwards is recognised by its aspect ratio. Distortion is not modelled here
    (see `is_distorted`).

    Raises:
        InputError: an uncalibrated camera (K of zeros or nan), or one whose size does not fit the image.
    """
    fx, fy, cx, cy = (float(info.k[i]) for i in (0, 4, 2, 5))
    if not (math.isfinite(fx) and math.isfinite(fy) and fx > 0 and fy > 0):
        raise InputError(
            f"camera_info has fx={fx}, fy={fy}: the camera is not calibrated. Run camera_calibration, or "
            "set the parameter hfov_deg"
        )
    binning_x, binning_y = max(int(info.binning_x), 1), max(int(info.binning_y), 1)
    calibrated_width = (info.roi.width or info.width or width * binning_x) / binning_x
    calibrated_height = (info.roi.height or info.height or height * binning_y) / binning_y
    scale_x, scale_y = width / calibrated_width, height / calibrated_height
    if abs(scale_x / scale_y - 1) > ASPECT_TOLERANCE:
        raise InputError(
            f"camera_info is for {calibrated_width:.0f}x{calibrated_height:.0f} px, the image has "
            f"{width}x{height}: it belongs to another camera or mode"
        )
    scale_x, scale_y = scale_x / binning_x, scale_y / binning_y
    # Pixel centres are at whole numbers, so that the image begins at -0.5 and scales about that point.
    return Intrinsics(
        fx=fx * scale_x,
        fy=fy * scale_y,
        cx=(cx - info.roi.x_offset + 0.5) * scale_x - 0.5,
        cy=(cy - info.roi.y_offset + 0.5) * scale_y - 0.5,
        width=width,
        height=height,
    )


def is_distorted(info: CameraInfo) -> bool:
    """Whether the image, if not rectified, has lens distortion that the pinhole model leaves out."""
    return any(abs(coefficient) > 1e-6 for coefficient in info.d)
