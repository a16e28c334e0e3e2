"""Where a person is in the world, and how they are turned, seen by a camera whose pose is known.

One camera sees direction well and distance badly: to a few millimetres per metre across the line of sight,
and only to several per cent along it, because a tall person far away looks like a short one nearby. That
error hardly changes while the same person is watched, so it is estimated along with the position: from a
camera that moves past somebody who stands still, only one scale keeps them in one place.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np

from d3pose_core.rigid import RigidTransform, rotation_matrix, rotation_vector
from d3pose_core.smoothing import low_pass_weight


@dataclass(frozen=True)
class RootMotionConfig:
    """Chosen on simulated drives past people who stand and who move: benchmarks/world_frame.py.

    The errors of a tracked network resemble themselves from frame to frame. `noise_memory_s` says for how
    long: that many frames count as one, at any frame rate.
    """

    across_rad: float = 0.005  # error of the direction
    log_range: float = 0.03  # error of the logarithm of the distance that comes and goes
    noise_memory_s: float = 0.15
    log_scale: float = 0.05  # the part of that error that stays
    log_scale_memory_s: float = 20.0  # for so long, while they stand
    log_scale_doubt_s: float = 2.0  # what was learnt of it is forgotten so fast when they move
    acceleration: float = 1.5  # of people who move, m/s^2 per sqrt(Hz)
    still_drift_m: float = 0.01  # sway of people who stand, per sqrt(s)
    still_speed: float = 0.2  # m/s across the line of sight that a wrong scale may feign
    still_shift_m: float = 0.15  # across it, from where they stood: who is further off has moved
    still_log_speed: float = 0.12  # 1/s along the line of sight, of the distance
    window_s: float = 0.5  # speed is that between two neighbouring windows of this length
    outlier_sigmas: float = 4.0  # measurements further off count less
    wild_s: float = 0.1  # after so much time of them whoever stood has moved
    lost_s: float = 0.7  # after so much time of outliers only, begin anew
    turn_cutoff_hz: float = 0.1  # low-pass of the orientation of a person who does not turn
    turn_gain: float = 1.5  # Hz of cutoff added for each rad/s
    turn_speed_cutoff_hz: float = 0.7  # low-pass of the angular velocity
    turn_outlier_rad: float = 0.8  # a body found so far from how it was turned was mistaken,
    turn_outlier_s: float = 0.5  # unless it stays so for so long


DEFAULT = RootMotionConfig()


class _Filter:
    """An extended Kalman filter of position, velocity and `log_scale`: the logarithm of how much too large
    the measured distances are.
    """

    def __init__(
        self, config: RootMotionConfig, pelvis: np.ndarray, camera: RigidTransform
    ) -> None:
        self.config = config
        self.mean = np.zeros(7)
        self.covariance = np.zeros((7, 7))
        self.move_to(pelvis, camera)

    def move_to(self, pelvis: np.ndarray, camera: RigidTransform) -> None:
        """They are where they are measured, with any velocity; the scale is as it is."""
        config = self.config
        place = camera.rotation @ (pelvis * math.exp(-self.mean[6]))
        distance = float(np.linalg.norm(place))
        self.mean[:3] = camera.translation + place
        self.mean[3:6] = 0.0
        covariance = np.zeros((7, 7))
        covariance[:3, :3] = (distance * config.across_rad) ** 2 * np.eye(3)
        covariance[:3, :3] += config.log_range**2 * np.outer(place, place)
        covariance[3:6, 3:6] = np.eye(3)  # 1 m/s
        self.covariance = covariance

    def settle(self, camera: RigidTransform) -> None:
        """Somebody who moved stands: from now on the scale can be learnt."""
        # Distances that are too large by some factor have put the person too far away by that factor.
        lever = np.concatenate([camera.translation - self.mean[:3], np.zeros(3), [1.0]])
        self.covariance += self.config.log_scale**2 * np.outer(lever, lever)

    def predict(self, step_s: float, still: bool) -> None:
        """Moves on by `step_s`; `still` people only sway."""
        config = self.config
        move, noise = np.eye(7), np.zeros((7, 7))
        eye = np.eye(3)
        if still:
            move[3:6, 3:6] = 0.0
            noise[:3, :3] = config.still_drift_m**2 * step_s * eye
            move[6, 6] = math.exp(-step_s / config.log_scale_memory_s)
            noise[6, 6] = config.log_scale**2 * (1 - move[6, 6] ** 2)
        else:
            q = config.acceleration**2
            move[:3, 3:6] = step_s * eye
            noise[:3, :3] = q * step_s**3 / 3 * eye
            noise[:3, 3:6] = noise[3:6, :3] = q * step_s**2 / 2 * eye
            noise[3:6, 3:6] = q * step_s * eye
            move[6, 6] = math.exp(-step_s / config.log_scale_doubt_s)
        self.mean = move @ self.mean
        self.covariance = move @ self.covariance @ move.T + noise

    def update(self, pelvis: np.ndarray, camera: RigidTransform, step_s: float) -> bool:
        """Corrects the state by a measured position; returns whether that was to be expected."""
        config = self.config
        distance = float(np.linalg.norm(pelvis))
        offset = self.mean[:3] - camera.translation
        expected = max(float(np.linalg.norm(offset)), 0.1)
        ray = offset / expected
        across = _perpendicular(ray)  # [2, 3]
        seen = camera.rotation @ (pelvis / distance)
        residual = np.append(across @ seen, math.log(distance / expected) - self.mean[6])
        jacobian = np.zeros((3, 7))
        jacobian[:2, :3] = across / expected
        jacobian[2, :3] = ray / expected
        jacobian[2, 6] = 1.0
        spread = jacobian @ self.covariance @ jacobian.T
        frames = max(2 * config.noise_memory_s / step_s, 1.0)
        noise = frames * np.diag([config.across_rad**2] * 2 + [config.log_range**2])
        surprise = float(residual @ np.linalg.solve(spread + noise, residual))
        excess = surprise / config.outlier_sigmas**2
        noise = noise * max(excess, 1.0)
        gain = np.linalg.solve(spread + noise, jacobian @ self.covariance).T
        self.mean = self.mean + gain @ residual
        kept = self.covariance - gain @ jacobian @ self.covariance
        self.covariance = (kept + kept.T) / 2
        return excess <= 1


class _Stillness:
    """Tells whether somebody stands, by where they were measured in the last two windows of time."""

    def __init__(self, config: RootMotionConfig) -> None:
        self.config = config
        self._recent: deque[tuple[float, np.ndarray, np.ndarray]] = deque()
        self._since_s = math.inf

    def __call__(
        self,
        pelvis: np.ndarray,
        camera: RigidTransform,
        time_s: float,
        stood: np.ndarray,
        log_scale: float,
    ) -> bool:
        """`pelvis`, `camera`: this frame's measurement; `stood`: [3] m, where they have been so far."""
        config = self.config
        self._since_s = min(self._since_s, time_s)
        self._recent.append((time_s, camera.rotation @ pelvis, camera.translation))
        while self._recent[0][0] < time_s - 2 * config.window_s:
            self._recent.popleft()
        if time_s - self._since_s < 2 * config.window_s:
            return False
        times, offsets, cameras = (np.array(column) for column in zip(*self._recent, strict=True))
        # All with the same scale: one that is being learnt must not hide that somebody walks away.
        places = cameras + math.exp(-log_scale) * offsets
        old = times < time_s - config.window_s
        if not old.any():
            return False
        newest = places[~old].mean(0)
        velocity = (newest - places[old].mean(0)) / config.window_s
        offset = newest - camera.translation
        distance = float(np.linalg.norm(offset))
        ray = offset / distance
        shift = newest - stood
        return (
            float(np.linalg.norm(velocity - ray * (velocity @ ray))) < config.still_speed
            and float(np.linalg.norm(shift - ray * (shift @ ray))) < config.still_shift_m
            and abs(float(velocity @ ray)) < config.still_log_speed * distance
        )


class RootPosition:
    """The position of one person's pelvis in the world, from measurements in a moving camera.

    While they stand, what moves their measured position is the scale, and not they: then it is learnt.
    """

    def __init__(self, config: RootMotionConfig = DEFAULT) -> None:
        self.config = config
        self.still = False
        self._filter: _Filter | None = None
        self._stillness = _Stillness(config)
        self._scales: deque[tuple[float, float]] = deque()  # (time, log_scale) of late
        self._time_s = self._inlier_s = -math.inf

    @property
    def log_scale(self) -> float:
        """Logarithm of measured over true distance, as estimated so far."""
        return float(self._filter.mean[6]) if self._filter else 0.0

    def __call__(self, pelvis: np.ndarray, camera: RigidTransform, time_s: float) -> np.ndarray:
        """The next measurement; times must not run backwards.

        Args:
            pelvis: [3] m, in the camera's frame, as measured.
            camera: the camera in the world.
            time_s: of both.

        Returns:
            [3] m, the filtered position in the world.
        """
        step_s = time_s - self._time_s
        if self._filter is None or time_s - self._inlier_s > self.config.lost_s:
            self._filter = _Filter(self.config, pelvis, camera)
            self._stillness = _Stillness(self.config)
            self._scales.clear()
            self.still = False
            self._inlier_s = time_s
        elif step_s > 0:
            current = self._filter
            current.predict(step_s, self.still)
            if current.update(pelvis, camera, step_s):
                self._inlier_s = time_s
                stood = current.mean[:3]
                still = self._stillness(pelvis, camera, time_s, stood, self.log_scale)
            else:
                # One wild measurement says nothing; several in a row, that they have moved.
                still = self.still and time_s - self._inlier_s < self.config.wild_s
            if self.still and not still:
                # What seemed to be learnt of the scale since they set off was their walking.
                current.mean[6] = self._scales[0][1]
                current.move_to(pelvis, camera)
            elif still and not self.still:
                current.settle(camera)
            self.still = still
            self._scales.append((time_s, self.log_scale))
            while self._scales[0][0] < time_s - 2 * self.config.window_s:
                self._scales.popleft()
        self._time_s = time_s
        return self._filter.mean[:3].copy()


def _perpendicular(ray: np.ndarray) -> np.ndarray:
    """Two unit vectors [2, 3] that are perpendicular to the unit vector `ray` and to each other."""
    first = np.cross(ray, np.eye(3)[np.abs(ray).argmin()])
    first /= np.linalg.norm(first)
    return np.stack([first, np.cross(ray, first)])


class RootOrientation:
    """How one person's body is turned in the world: a low-pass filter that opens when the body turns.

    The One-Euro filter (`d3pose_core.smoothing`) on rotations.
    """

    def __init__(self, config: RootMotionConfig = DEFAULT) -> None:
        self.config = config
        self._smooth = np.eye(3)
        self._raw = np.eye(3)
        self._velocity = np.zeros(3)  # rad/s, world axes
        self._time_s = self._believed_s = -math.inf

    def __call__(self, rotation: np.ndarray, time_s: float) -> np.ndarray:
        """The next measured rotation [3, 3], body to world; returns the filtered one.

        The first passes as it is. Times must not run backwards.
        """
        step_s = time_s - self._time_s
        config = self.config
        off_rad = float(np.linalg.norm(rotation_vector(rotation @ self._smooth.T)))
        if math.isinf(step_s):
            self._smooth = rotation
            self._believed_s = time_s
        elif off_rad > config.turn_outlier_rad:
            # Fronts are taken for backs in bursts.
            if time_s - self._believed_s > config.turn_outlier_s:
                self._smooth, self._velocity = rotation, np.zeros(3)
                self._believed_s = time_s
        elif step_s > 0:
            self._believed_s = time_s
            velocity = rotation_vector(rotation @ self._raw.T) / step_s
            self._velocity += low_pass_weight(config.turn_speed_cutoff_hz, step_s) * (
                velocity - self._velocity
            )
            cutoff_hz = config.turn_cutoff_hz + config.turn_gain * float(
                np.linalg.norm(self._velocity)
            )
            step = low_pass_weight(cutoff_hz, step_s) * rotation_vector(rotation @ self._smooth.T)
            self._smooth = rotation_matrix(step) @ self._smooth
        self._raw, self._time_s = rotation, time_s
        return self._smooth
