"""Lens distortion as ROS and OpenCV describe it, and its inverse for every pixel.

A distortion maps the viewing ray (x/z, y/z) of a point to where a real lens shows it, in the same units.
`plumb_bob` and `rational_polynomial` are OpenCV's polynomial models, `equidistant` is its fisheye model
(Kannala & Brandt 2006); coefficients are in the order of `sensor_msgs/CameraInfo.d`.

A polynomial is only true where it was fitted: further out it turns round, so that points far outside the
image would come back into it and pixels would have no ray. Each model is therefore used up to a limit and
continued beyond it in a straight line. That changes nothing inside the image of a sound calibration, and
gives every pixel one finite ray.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from d3pose_core.errors import InputError

PLUMB_BOB, RATIONAL_POLYNOMIAL, EQUIDISTANT = "plumb_bob", "rational_polynomial", "equidistant"
# Numbers of coefficients: k1 k2 p1 p2 [k3 [k4 k5 k6]], and k1 k2 k3 k4.
_COUNTS = {PLUMB_BOB: (4, 5), RATIONAL_POLYNOMIAL: (8,), EQUIDISTANT: (4,)}

# A model is used up to here, and no further than where the picture is squeezed to a tenth of its scale.
_WIDEST_RAY = math.tan(math.radians(85.0))
_LEAST_SLOPE = 0.1
# The radial part is inverted by a table, which is exact to 1e-5 px of a camera with f = 1000 px.
_TABLE_SIZE = 8192
# Fitted rational polynomials reach some hundreds; beyond this the numbers are damaged, and would overflow.
_LARGEST = 1e6
# Each step shrinks the error by about the size of the tangential coefficients.
_TANGENTIAL_STEPS, _CLOSE_ENOUGH = 12, 1e-9


@dataclass(frozen=True)
class Distortion:
    """One lens: `model` is one of the names above.

    Raises:
        InputError: an unknown model, or coefficients that are too few, too many, too large or not finite.
    """

    model: str
    coefficients: tuple[float, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "coefficients", tuple(float(c) for c in self.coefficients))
        if self.model not in _COUNTS:
            raise InputError(
                f"distortion model {self.model!r} is not supported; supported are {', '.join(_COUNTS)}"
            )
        if len(self.coefficients) not in _COUNTS[self.model]:
            expected = " or ".join(map(str, _COUNTS[self.model]))
            raise InputError(
                f"{self.model} has {expected} coefficients, got {len(self.coefficients)}"
            )
        if not all(abs(c) <= _LARGEST for c in self.coefficients):  # nor nan
            raise InputError(
                f"distortion coefficients must be finite, and at most {_LARGEST:g}, got {self.coefficients}"
            )

    @property
    def reach(self) -> float:
        """How far from the centre the model is used as it is, in units of the focal length on the image."""
        return _lens(self).reach

    def distort(self, rays: np.ndarray) -> np.ndarray:
        """Rays (x/z, y/z) [..., 2] -> where the lens shows them [..., 2], in the same units."""
        return _radially(rays, _lens(self).shown) + self._tangential(rays)

    def undistort(self, shown: np.ndarray) -> np.ndarray:
        """The inverse of `distort`; finite for every finite input. At most 85 degrees wide."""
        rays = _radially(shown, _lens(self).seen)
        if self._is_tangential:
            for _ in range(_TANGENTIAL_STEPS):
                before = rays
                rays = _radially(shown - self._tangential(before), _lens(self).seen)
                if np.abs(rays - before).max(initial=0.0) < _CLOSE_ENOUGH:
                    break
        return rays

    @property
    def _is_tangential(self) -> bool:
        return self.model != EQUIDISTANT and self.coefficients[2:4] != (0.0, 0.0)

    def _tangential(self, rays: np.ndarray) -> np.ndarray:
        """The part of OpenCV's models that a tilted lens has; beyond the limit, that at the limit."""
        if not self._is_tangential:
            return np.zeros_like(rays)
        p1, p2 = self.coefficients[2:4]
        limit = _lens(self).limit
        x, y = np.moveaxis(_radially(rays, lambda radius: np.minimum(radius, limit)), -1, 0)
        squared = x * x + y * y
        return np.stack(
            [
                2 * p1 * x * y + p2 * (squared + 2 * x * x),
                p1 * (squared + 2 * y * y) + 2 * p2 * x * y,
            ],
            -1,
        )


def _radially(points: np.ndarray, change: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Points [..., 2] with their distance from the centre changed by a function."""
    points = np.asarray(points, np.float64)
    radius = np.linalg.norm(points, axis=-1, keepdims=True)
    scale = np.divide(change(radius), radius, out=np.ones_like(radius), where=radius > 1e-12)
    return points * scale


class _Lens:
    """The radial part of a distortion: a growing function of the radius, and its inverse.

    It is a function of `angle`, which is the radius itself for the polynomial models and the angle from
    the optical axis for the fisheye.
    """

    def __init__(self, distortion: Distortion) -> None:
        self._is_fisheye = distortion.model == EQUIDISTANT
        self._numerator: tuple[float, ...]
        self._denominator: tuple[float, ...]
        k = distortion.coefficients
        # The radial factor is a quotient of polynomials in the squared angle; constant term first.
        if self._is_fisheye:
            self._numerator, self._denominator = (1.0, *k), (1.0,)
        else:
            k1, k2, _, _, k3, *rest = *k, *(0.0,) * (8 - len(k))
            self._numerator, self._denominator = (1.0, k1, k2, k3), (1.0, *rest)

        widest = np.linspace(0.0, math.atan(_WIDEST_RAY), _TABLE_SIZE)
        angles = widest if self._is_fisheye else np.tan(widest)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            shown = self._inside(angles)
            slope = np.diff(shown) / np.diff(angles)
        sound = (slope >= _LEAST_SLOPE) & (_polynomial(self._denominator, angles[1:] ** 2) > 0)
        # The first angle at which the model has failed ends it.
        count = len(angles) if sound.all() else max(int(np.argmin(sound)) + 1, 2)
        self._angles, self._shown = angles[:count], shown[:count]
        self._end_slope = max(float(slope[count - 2]), _LEAST_SLOPE)
        self._limit = float(angles[count - 1])
        self.limit = math.tan(self._limit) if self._is_fisheye else self._limit
        self.reach = float(self._shown[-1])

    def shown(self, radius: np.ndarray) -> np.ndarray:
        """Radius of the ray -> radius at which it is shown."""
        angle = np.arctan(radius) if self._is_fisheye else radius
        beyond = np.maximum(angle - self._limit, 0.0)
        return self._inside(np.minimum(angle, self._limit)) + self._end_slope * beyond

    def seen(self, radius: np.ndarray) -> np.ndarray:
        """The inverse of `shown`."""
        angle = np.interp(radius, self._shown, self._angles)
        angle = angle + np.maximum(radius - self._shown[-1], 0.0) / self._end_slope
        return np.tan(np.minimum(angle, math.atan(_WIDEST_RAY))) if self._is_fisheye else angle

    def _inside(self, angle: np.ndarray) -> np.ndarray:
        squared = angle * angle
        numerator = _polynomial(self._numerator, squared)
        return angle * numerator / _polynomial(self._denominator, squared)


def _polynomial(coefficients: tuple[float, ...], x: np.ndarray) -> np.ndarray:
    """Horner's scheme; the constant term comes first."""
    value = np.full_like(x, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        value = value * x + coefficient
    return value


@lru_cache(maxsize=16)
def _lens(distortion: Distortion) -> _Lens:
    """Every camera_info makes a new, equal Distortion; its table is made once."""
    return _Lens(distortion)
