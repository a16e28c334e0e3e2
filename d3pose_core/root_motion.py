"""Where a person is in the world, and how they are turned, seen by a camera whose pose is known.

One camera sees direction well and distance badly: to a few millimetres per metre across the line of sight,
and only to several per cent along it, because a tall person far away looks like a short one nearby. A part of
that error hardly changes while the same person is watched, so it is estimated along with the position: from a
camera that moves past somebody who stands still, only one scale keeps them in one place.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from d3pose_core.planted_feet import PlantedFeet
from d3pose_core.rigid import RigidTransform, rotation_matrix, rotation_vector
from d3pose_core.still_or_moving import Measurement, MotionModel, StillOrMoving

DEGREE = math.radians(1)
GAP_S = 0.2  # no measurement stands for more time than this


# Chosen on simulated drives past people who stand and who move: benchmarks/world_frame.py.
# Errors of two directions, rad, and of the logarithm of the distance, which is also the scale.
POSITION = MotionModel(
    error_std=(0.005, 0.005, 0.035),
    error_memory_s=(0.4, 0.4, 1.2),
    shake_std=(0.0007, 0.0007, 0.003),
    drift=0.007,
    set_off_speed=0.5,
    acceleration=2.0,
    scale_std=0.04,
)
# Errors about the axes of the body, most of them about the long one.
ORIENTATION = MotionModel(
    error_std=(3 * DEGREE, 7 * DEGREE, 3 * DEGREE),
    error_memory_s=(0.6, 0.6, 0.6),
    shake_std=(0.3 * DEGREE,) * 3,
    drift=0.2 * DEGREE,
    set_off_speed=1.0,
    acceleration=4.0,
    settle_s=1.0,
    retry_s=2.0,
    too_wrong_sigmas=2.5,
    too_wrong_s=1.0,
)


@dataclass(frozen=True)
class RootMotionConfig:
    """How much is believed of what is measured."""

    position: MotionModel = POSITION
    orientation: MotionModel = ORIENTATION
    outlier_sigmas: float = 5.5  # measurements further off
    lost_s: float = 0.7  # for so much time begin a new life
    mistaken_rad: float = 1.2  # a body found so far from how it was turned was mistaken,
    mistaken_s: float = 0.5  # unless it stays so for so long


DEFAULT = RootMotionConfig()


class RootMotion:
    """Position and orientation of one person, and what their feet say of both."""

    def __init__(self, config: RootMotionConfig = DEFAULT) -> None:
        self.position, self.orientation = RootPosition(config), RootOrientation(config)
        self._feet = PlantedFeet()

    def __call__(
        self,
        pelvis: np.ndarray,
        rotation: np.ndarray,
        ankles: np.ndarray,
        camera: RigidTransform,
        time_s: float,
    ) -> tuple[np.ndarray, np.ndarray]:
        """The next measurement; times must not run backwards.

        Args:
            pelvis: [3] m, in the camera's frame, as measured.
            rotation: [3, 3] of the body, into the camera's frame.
            ankles: [2, 3] m, in the camera's frame.
            camera: the camera in the world.
            time_s: of all these.

        Returns:
            The filtered position [3] m and rotation [3, 3], body to world.
        """
        walking_nats_per_s = self._feet((ankles - pelvis) @ camera.rotation.T, time_s)
        return (
            self.position(pelvis, camera, time_s, walking_nats_per_s),
            self.orientation(camera.rotation @ rotation, time_s, walking_nats_per_s),
        )


class RootPosition:
    """The position of one person's pelvis in the world, from measurements in a moving camera.

    While they stand, what moves their measured position is the scale, and not they: then it is learnt.
    """

    def __init__(self, config: RootMotionConfig = DEFAULT) -> None:
        self.config = config
        self._filter: StillOrMoving | None = None
        self._time_s, self._wild_s = -math.inf, 0.0

    @property
    def still(self) -> bool:
        """Whether they stand."""
        return self._filter is not None and self._filter.still

    @property
    def log_scale(self) -> float:
        """Logarithm of measured over true distance, as estimated so far."""
        return self._filter.scale if self._filter else 0.0

    def __call__(
        self,
        pelvis: np.ndarray,
        camera: RigidTransform,
        time_s: float,
        walking_nats_per_s: float = 0.0,
    ) -> np.ndarray:
        """The next measurement; times must not run backwards.

        Args:
            pelvis: [3] m, in the camera's frame, as measured.
            camera: the camera in the world.
            time_s: of both.
            walking_nats_per_s: what else says that they walk, see `PlantedFeet`.

        Returns:
            [3] m, the filtered position in the world.
        """
        step_s = time_s - self._time_s
        if self._filter is None or self._wild_s > self.config.lost_s:
            self._filter = StillOrMoving(
                self.config.position,
                camera.apply(pelvis),
                lambda *state: _as_seen(pelvis, camera, *state),
            )
            self._wild_s = 0.0
        elif step_s > 0:
            self._filter.step(
                step_s,
                lambda *state: _as_seen(pelvis, camera, *state),
                walking_nats_per_s,
            )
            wild = self._filter.surprise > self.config.outlier_sigmas**2
            self._wild_s = self._wild_s + min(step_s, GAP_S) if wild else 0.0
        self._time_s = time_s
        return self._filter.place.copy()


def _as_seen(
    pelvis: np.ndarray, camera: RigidTransform, place: np.ndarray, log_scale: float, aim: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A `still_or_moving.Measurement`: two directions, rad, and the logarithm of the distance."""
    seen, distance = _direction(camera.rotation @ pelvis)
    expected, expected_distance = _direction(place - camera.translation)
    ray, _ = _direction(aim - camera.translation)
    # Axes that turn with the camera and no faster, so that errors of the last frame are those of this one.
    right, _ = _direction(camera.rotation[:, 0] - ray * (camera.rotation[:, 0] @ ray))
    axes = np.stack([right, np.cross(ray, right), ray])
    off = axes @ (seen - expected)
    off[2] = math.log(distance / expected_distance) - log_scale
    return off, axes / expected_distance, np.array([0.0, 0.0, 1.0])


def _direction(offset: np.ndarray) -> tuple[np.ndarray, float]:
    """Unit vector [3] and length; a camera is no nearer than 1 cm."""
    length = max(float(np.linalg.norm(offset)), 0.01)
    return offset / length, length


class RootOrientation:
    """How one person's body is turned in the world."""

    def __init__(self, config: RootMotionConfig = DEFAULT) -> None:
        self.config = config
        self._smooth = np.eye(3)
        self._filter: StillOrMoving | None = None  # of rotation vectors from `_smooth`, its axes
        self._time_s, self._mistaken_s = -math.inf, 0.0

    @property
    def still(self) -> bool:
        """Whether they do not turn."""
        return self._filter is not None and self._filter.still

    def __call__(
        self, rotation: np.ndarray, time_s: float, walking_nats_per_s: float = 0.0
    ) -> np.ndarray:
        """The next measured rotation [3, 3], body to world; returns the filtered one.

        The first passes as it is. Times must not run backwards. `walking_nats_per_s`: see `PlantedFeet`.
        """
        step_s = time_s - self._time_s
        self._time_s = time_s
        config = self.config
        if self._filter is None:
            return self._begin(rotation)
        if step_s <= 0:
            return self._smooth
        turn = rotation_vector(self._smooth.T @ rotation)
        ahead = self._smooth @ rotation_matrix(self._filter.moving_place(step_s))
        off_rad = min(_angle(turn), _angle(rotation_vector(ahead.T @ rotation)))
        if off_rad > config.mistaken_rad:
            # Fronts are taken for backs in bursts.
            self._mistaken_s += min(step_s, GAP_S)
            if self._mistaken_s > config.mistaken_s:
                return self._begin(rotation)
            return self._smooth
        self._mistaken_s = 0.0
        self._filter.step(step_s, _as_turned(turn), walking_nats_per_s)
        moved = self._filter.place
        self._smooth = self._smooth @ rotation_matrix(moved)
        self._filter.shift(-moved)
        return self._smooth

    def _begin(self, rotation: np.ndarray) -> np.ndarray:
        self._filter = StillOrMoving(self.config.orientation, np.zeros(3), _as_turned(np.zeros(3)))
        self._smooth, self._mistaken_s = rotation, 0.0
        return rotation


def _as_turned(turn: np.ndarray) -> Measurement:
    return lambda place, *_: (turn - place, np.eye(3), np.zeros(3))


def _angle(vector: np.ndarray) -> float:
    return float(np.linalg.norm(vector))
