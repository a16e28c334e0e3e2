"""The pinhole camera in the ROS optical frame (REP-103): x right, y down, z forward, metres."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from d3pose_core.distortion import Distortion
from d3pose_core.errors import InputError

# In units of the image's longer side: fields of view of 0.006 to 179.8 degrees, and windows cut far from the
# centre. Beyond, numbers are in another unit, or damaged, and would overflow later on.
_LEAST_FOCAL, _MOST_FOCAL = 1e-3, 1e4
_MOST_SHIFT = 1e3
# Further from square no sensor's pixels are, and no lens looks further past the middle of its image.
_MOST_PIXEL_ASPECT = 4.0
_MOST_OFF_AXIS_DEG = 75.0


@dataclass(frozen=True)
class Intrinsics:
    """Intrinsics of one image, in pixels: a pinhole, and the distortion of the lens if the image has it.

    The pixel convention is OpenCV's and `sensor_msgs/CameraInfo`'s: the centre of the top-left
    pixel is (0, 0).

    Raises:
        InputError: a focal length or size that is not positive and finite, e.g. the all-zero matrix
            of an uncalibrated camera, or one that no camera with images of this size has.
    """

    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int
    distortion: Distortion | None = None  # None: a rectified image, or a lens without distortion

    def __post_init__(self) -> None:
        if not (math.isfinite(self.fx) and math.isfinite(self.fy) and self.fx > 0 and self.fy > 0):
            raise InputError(
                f"focal lengths must be positive pixels, got fx={self.fx}, fy={self.fy}; "
                "calibrate the camera or give a horizontal field of view instead"
            )
        if self.width <= 0 or self.height <= 0:
            raise InputError(f"the image size must be positive, got {self.width} x {self.height}")
        size = max(self.width, self.height)
        if (
            not _LEAST_FOCAL * size
            <= min(self.fx, self.fy)
            <= max(self.fx, self.fy)
            <= _MOST_FOCAL * size
        ):
            raise InputError(
                f"fx={self.fx}, fy={self.fy} px is no camera with images of {self.width} x {self.height}: "
                "focal lengths are in pixels, of the image's order of size"
            )
        if not (abs(self.cx) <= _MOST_SHIFT * size and abs(self.cy) <= _MOST_SHIFT * size):
            raise InputError(
                f"the principal point must lie near the image of {self.width} x {self.height}, got "
                f"({self.cx}, {self.cy})"
            )

    @classmethod
    def from_hfov(cls, hfov_deg: float, width: int, height: int) -> Intrinsics:
        """A camera with square pixels and a centred principal point, from its horizontal field of view."""
        if not 1.0 <= hfov_deg <= 179.0:
            raise InputError(
                f"the horizontal field of view must lie in 1..179 degrees, got {hfov_deg}"
            )
        focal = 0.5 * width / math.tan(math.radians(hfov_deg) / 2)
        return cls(focal, focal, (width - 1) / 2, (height - 1) / 2, width, height)

    @property
    def hfov_deg(self) -> float:
        """Horizontal field of view, degrees."""
        return math.degrees(2 * math.atan(0.5 * self.width / self.fx))

    def project(self, points: np.ndarray) -> np.ndarray:
        """Camera-frame points [..., 3], m -> pixels [..., 2]. Points behind the camera give nan."""
        depth = np.where(points[..., 2:] > 1e-6, points[..., 2:], np.nan)
        rays = points[..., :2] / depth
        if self.distortion is not None:
            rays = self.distortion.distort(rays)
        return rays * (self.fx, self.fy) + (self.cx, self.cy)

    def rays(self, pixels: np.ndarray) -> np.ndarray:
        """Pixels [..., 2], also outside the image -> undistorted viewing rays (x/z, y/z) [..., 2]."""
        rays = (pixels - (self.cx, self.cy)) / (self.fx, self.fy)
        return rays if self.distortion is None else self.distortion.undistort(rays)


def check_lens(camera: Intrinsics) -> Intrinsics:
    """The same camera, whose image is a lens's whole picture and not a window cut anywhere.

    Raises:
        InputError: pixels far from square, or a principal point that is none of this image.
    """
    if not 1 / _MOST_PIXEL_ASPECT <= camera.fx / camera.fy <= _MOST_PIXEL_ASPECT:
        raise InputError(
            f"fx={camera.fx:g}, fy={camera.fy:g}: no camera's pixels are so far from square; calibrate it "
            "again, or give a horizontal field of view instead"
        )
    x = ((camera.width - 1) / 2 - camera.cx) / camera.fx
    y = ((camera.height - 1) / 2 - camera.cy) / camera.fy
    angle_deg = math.degrees(math.atan(math.hypot(x, y)))
    if angle_deg > _MOST_OFF_AXIS_DEG:
        raise InputError(
            f"the principal point ({camera.cx:g}, {camera.cy:g}) is so far from the image of "
            f"{camera.width} x {camera.height} that its middle would look {angle_deg:.0f} degrees past the "
            "lens' axis; check the camera matrix, and the region of interest if there is one"
        )
    return camera


def up_of_tilt(pitch_deg: float | None, roll_deg: float | None) -> np.ndarray | None:
    """[3] against gravity, length 1, in the optical frame of a camera that looks down by `pitch_deg` and is
    turned clockwise, as seen from behind it, by `roll_deg`. None for one of them: 0; for both: not known."""
    if pitch_deg is None and roll_deg is None:
        return None
    pitch, roll = math.radians(pitch_deg or 0.0), math.radians(roll_deg or 0.0)
    across = math.cos(pitch)
    return np.array([-across * math.sin(roll), -across * math.cos(roll), -math.sin(pitch)])
