"""Rigid transforms: where one frame is in another."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from d3pose_core.errors import InputError

# Earth-centred frames reach 6.4e6 m. Far beyond, float64 has no millimetres left, and products overflow.
_FURTHEST_M = 1e9


@dataclass(frozen=True, eq=False)
class RigidTransform:
    """The pose of frame B in frame A: a point p of B is `rotation @ p + translation` in A; float64."""

    rotation: np.ndarray  # [3, 3]; columns are B's axes in A
    translation: np.ndarray  # [3] m; B's origin in A

    @classmethod
    def identity(cls) -> RigidTransform:
        return cls(np.eye(3), np.zeros(3))

    @classmethod
    def from_quaternion(cls, xyzw: ArrayLike, translation: ArrayLike) -> RigidTransform:
        """From a quaternion [4] (x, y, z, w), normalised here, and a translation [3], m.

        Raises:
            InputError: a quaternion of length zero, or a number that is not finite or too large.
        """
        quaternion = np.asarray(xyzw, np.float64)
        translation = np.array(translation, np.float64)
        length = math.hypot(*quaternion)
        # A message that nobody filled in has the quaternion (0, 0, 0, 0).
        if not (1e-3 < length < math.inf and np.abs(translation).max() <= _FURTHEST_M):  # nor nan
            raise InputError(
                f"not a rigid transform: quaternion {quaternion.tolist()}, translation "
                f"{translation.tolist()}"
            )
        x, y, z, w = quaternion / length
        rotation = np.array(
            [
                [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
                [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
                [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
            ]
        )
        return cls(rotation, translation)

    def __matmul__(self, other: RigidTransform) -> RigidTransform:
        """A<-B @ B<-C gives A<-C."""
        return RigidTransform(self.rotation @ other.rotation, self.apply(other.translation))

    def inverse(self) -> RigidTransform:
        """B<-A."""
        return RigidTransform(self.rotation.T, -self.rotation.T @ self.translation)

    def apply(self, points: np.ndarray) -> np.ndarray:
        """Points [..., 3] of B, in A."""
        return points @ self.rotation.T + self.translation


def quaternion_of(rotation: np.ndarray) -> np.ndarray:
    """Rotation matrix [3, 3] -> unit quaternion [4] (x, y, z, w), w >= 0.

    The largest of the four components is found first: dividing by a small one loses precision.
    """
    r = rotation
    squares = np.array(
        [
            1 + r[0, 0] - r[1, 1] - r[2, 2],
            1 - r[0, 0] + r[1, 1] - r[2, 2],
            1 - r[0, 0] - r[1, 1] + r[2, 2],
            1 + r[0, 0] + r[1, 1] + r[2, 2],
        ]
    )
    largest = int(squares.argmax())
    # Row k of this matrix is 4 * q[k] * q.
    products = np.array(
        [
            [squares[0], r[0, 1] + r[1, 0], r[0, 2] + r[2, 0], r[2, 1] - r[1, 2]],
            [r[0, 1] + r[1, 0], squares[1], r[1, 2] + r[2, 1], r[0, 2] - r[2, 0]],
            [r[0, 2] + r[2, 0], r[1, 2] + r[2, 1], squares[2], r[1, 0] - r[0, 1]],
            [r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1], squares[3]],
        ]
    )
    quaternion = products[largest] / np.linalg.norm(products[largest])
    return quaternion if quaternion[3] >= 0 else -quaternion


def rotation_vector(rotation: np.ndarray) -> np.ndarray:
    """Rotation matrix [3, 3] -> axis times angle [3], rad, the angle within 0..pi."""
    x, y, z, w = quaternion_of(rotation)
    axis = np.array([x, y, z])
    sine = float(np.linalg.norm(axis))
    # atan2 keeps its precision where acos loses it, at 0 and at pi.
    return axis * (2.0 if sine < 1e-12 else 2 * math.atan2(sine, w) / sine)


def rotation_matrix(vector: np.ndarray) -> np.ndarray:
    """Axis times angle [3], rad -> rotation matrix [3, 3]."""
    angle = float(np.linalg.norm(vector))
    if angle < 1e-12:
        return np.eye(3)
    x, y, z = vector / angle
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross
