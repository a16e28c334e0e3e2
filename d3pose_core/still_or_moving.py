"""Whether what is measured stands still or moves, and where it is: two hypotheses, followed side by side.

Errors of a tracked network resemble themselves from frame to frame. Taken for independent, a hundred frames
of the same error would look like certainty, so the error of the moment is a part of the state here. What
remains is new in each frame, and tells which hypothesis foresees it better. That evidence is summed up: one
frame says little, a few that agree say that somebody has set off, and since when.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Three = tuple[float, float, float]

STILL, MOVING = 0, 1
# Parts of the state [10]: place, its speed, `scale` (an error that stays, and that shows as the camera moves
# past what stands still), the error of the moment.
_PLACE, _SPEED, _SCALE, _ERROR = slice(0, 3), slice(3, 6), 6, slice(7, 10)
_SIZE = 10
_EYE = np.eye(3)


@dataclass(frozen=True)
class MotionModel:
    """In the units of the place: m for positions, rad for rotations."""

    error_std: Three  # of the measurement's three numbers: errors of the moment
    error_memory_s: Three
    shake_std: Three  # what is new in every frame, at least: how much it is shows
    drift: float  # sway of what stands, per sqrt(s)
    set_off_speed: float  # per s, on each axis
    acceleration: float  # of what moves, per s^2 and sqrt(Hz)
    scale_std: float = 0.0
    scale_memory_s: float = 30.0
    settle_s: float = 0.7  # whoever stands has stood for so long
    retry_s: float = 1.5  # a doubtful attempt to see it stand is given up after this time
    stands_nats: float = 4.0  # evidence that it stands
    moves_nats: float = 5.0  # evidence, since there was none, that it has set off
    frame_nats: float = 3.0  # no frame says more
    too_wrong_sigmas: float = 3.0  # an error of the moment so large,
    too_wrong_s: float = 0.3  # for so long, is none: it has moved, however slowly
    freedom: float = 6.0  # of Student's t: the fewer, the heavier the tails of the errors
    speed_memory_s: float = 0.25  # after a longer gap nothing is known of the speed
    glide_s: float = 0.3  # from where it was moving to where it stands
    shake_memory_s: float = 0.5
    aim_memory_s: float = 1.0  # of the place at which derivatives are taken
    wildest: float = 9.0  # no frame says that there is so many times as much


# Of a place [3], a scale, and a place nearby [3], at which derivatives are taken: the measurement less what
# is expected [3], and how the expected one changes with the place [3, 3] and with the scale [3].
Measurement = Callable[[np.ndarray, float, np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]]


class StillOrMoving:
    """Two Kalman filters on the same measurements; which is believed, evidence decides.

    While it moves, the filter of what stands is tried again and again from where it is. While it stands, the
    other one goes along, ready to take over.

    Attributes:
        still: which is believed.
        surprise: squared distance of the last measurement, in sigmas, from the nearer hypothesis.
    """

    def __init__(self, model: MotionModel, place: np.ndarray, measurement: Measurement) -> None:
        """At `place` [3], which is what `measurement` says if `scale` is 0."""
        self.model = model
        self.still, self.surprise = False, 0.0
        self._mean = np.zeros((2, _SIZE))
        self._mean[:, _PLACE] = place
        # The place is wrong by just what the measurement's errors make of it.
        _, jacobian, of_scale = measurement(place, 0.0, place)
        lever = np.zeros((_SIZE, 4))
        lever[_PLACE] = -np.linalg.solve(jacobian, np.column_stack([of_scale, _EYE]))
        lever[_SCALE:] = np.eye(4)
        covariance = lever @ np.diag(np.square([model.scale_std, *model.error_std])) @ lever.T
        covariance[_PLACE, _PLACE] += 1e-8 * _EYE
        covariance[_SPEED, _SPEED] = model.set_off_speed**2 * _EYE
        self._covariance = np.stack([covariance, covariance])
        self._aim = self._mean[:, _PLACE].copy()
        self._shake = np.square(model.shake_std)
        self._since_s = self._for_still = self._for_moving = self._glided = 0.0
        self._too_wrong_s = 0.0
        self._scale_before = 0.0, model.scale_std**2  # while nothing said that it had set off
        self._try_standing()

    @property
    def place(self) -> np.ndarray:
        """[3]"""
        moving, still = self._mean[MOVING, _PLACE], self._mean[STILL, _PLACE]
        return moving + self._glided * (still - moving)

    @property
    def scale(self) -> float:
        """The lasting error, of what stands."""
        return float(self._mean[STILL if self.still else MOVING, _SCALE])

    def moving_place(self, ahead_s: float) -> np.ndarray:
        """[3] where it will be if it moves."""
        ahead_s = min(ahead_s, self.model.speed_memory_s)
        return self._mean[MOVING, _PLACE] + ahead_s * self._mean[MOVING, _SPEED]

    def shift(self, by: np.ndarray) -> None:
        """The origin of places is moved by -`by` [3]."""
        self._mean[:, _PLACE] += by
        self._aim += by

    def step(self, step_s: float, measurement: Measurement, moving_nats_per_s: float = 0) -> None:
        """The next measurement, `step_s` > 0 later; `moving_nats_per_s`: evidence of another kind."""
        model = self.model
        if self.still:
            self._mean[MOVING, _SCALE] = self._mean[STILL, _SCALE]
        self._predict(step_s)
        favour, jacobian, of_scale = self._correct(measurement, step_s)
        favour = min(max(favour, -model.frame_nats), model.frame_nats)
        favour += moving_nats_per_s * step_s
        self._since_s += step_s
        self._for_still -= favour
        self._for_moving = max(self._for_moving + favour, 0.0)
        if self.still:
            self._glided = min(self._glided + step_s / model.glide_s, 1.0)
            if self._too_wrong(step_s) or self._for_moving > model.moves_nats:
                self._set_off(jacobian, of_scale)
            elif self._for_moving == 0:
                self._scale_before = self.scale, float(self._covariance[STILL, _SCALE, _SCALE])
        elif self._for_moving > model.moves_nats or (
            self._since_s > model.retry_s and self._for_still < model.stands_nats
        ):
            self._try_standing()
        elif (
            self._since_s >= model.settle_s
            and self._for_still >= model.stands_nats
            and self._for_moving <= model.moves_nats / 2
        ):
            self.still = True
            self._scale_before = self.scale, float(self._covariance[MOVING, _SCALE, _SCALE])

    def _too_wrong(self, step_s: float) -> bool:
        """From frame to frame a slow turn looks like an error that grows; but errors do not stay large."""
        sigmas = np.linalg.norm(self._mean[STILL, _ERROR] / self.model.error_std)
        too_wrong = sigmas > self.model.too_wrong_sigmas
        self._too_wrong_s = self._too_wrong_s + step_s if too_wrong else 0.0
        return self._too_wrong_s > self.model.too_wrong_s

    def _try_standing(self) -> None:
        """Somebody who moves may stop here."""
        self._mean[STILL], self._covariance[STILL] = self._mean[MOVING], self._covariance[MOVING]
        self._mean[STILL, _SPEED] = 0
        self._covariance[STILL, _SPEED] = 0
        self._covariance[STILL, :, _SPEED] = 0
        self._aim[STILL] = self._aim[MOVING]
        self._since_s = self._for_still = self._for_moving = 0.0

    def _set_off(self, jacobian: np.ndarray, of_scale: np.ndarray) -> None:
        """What seemed to be learnt of the scale since it set off was its motion."""
        self.still, self._glided, self._too_wrong_s = False, 0.0, 0.0
        scale, variance = self._scale_before
        mean, covariance = self._mean[MOVING], self._covariance[MOVING]
        moved = np.linalg.solve(jacobian, of_scale) * (mean[_SCALE] - scale)
        mean[_PLACE] += moved
        self._aim[MOVING] += moved
        mean[_SCALE] = scale
        covariance[_SCALE, _SCALE] = max(variance, covariance[_SCALE, _SCALE])
        self._try_standing()

    def _predict(self, step_s: float) -> None:
        model = self.model
        if step_s > model.speed_memory_s:
            self._mean[MOVING, _SPEED] = 0
            self._covariance[MOVING, _SPEED] = 0
            self._covariance[MOVING, :, _SPEED] = 0
            self._covariance[MOVING, _SPEED, _SPEED] = model.set_off_speed**2 * _EYE
        move = np.tile(np.eye(_SIZE), (2, 1, 1))
        noise = np.zeros((2, _SIZE, _SIZE))
        noise[STILL, _PLACE, _PLACE] = model.drift**2 * step_s * _EYE
        move[MOVING, _PLACE, _SPEED] = step_s * _EYE
        push = model.acceleration**2 * _EYE
        noise[MOVING, _PLACE, _PLACE] = push * step_s**3 / 3
        noise[MOVING, _PLACE, _SPEED] = noise[MOVING, _SPEED, _PLACE] = push * step_s**2 / 2
        noise[MOVING, _SPEED, _SPEED] = push * step_s
        memory_s = np.array([model.scale_memory_s, *model.error_memory_s])
        std = np.array([model.scale_std, *model.error_std])
        kept = np.exp(-step_s / memory_s)
        slow = range(_SCALE, _SIZE)
        move[:, slow, slow] = kept
        noise[:, slow, slow] = std**2 * (1 - kept**2)
        # Derivatives at a place that shakes would tell more than there is to know: a shaking line of sight
        # sees somebody from all sides.
        self._aim[MOVING] += step_s * self._mean[MOVING, _SPEED]
        self._mean = (move @ self._mean[..., None])[..., 0]
        rate = 1 - math.exp(-step_s / model.aim_memory_s)
        self._aim += rate * (self._mean[:, _PLACE] - self._aim)
        self._covariance = move @ self._covariance @ move.swapaxes(1, 2) + noise

    def _correct(
        self, measurement: Measurement, step_s: float
    ) -> tuple[float, np.ndarray, np.ndarray]:
        """Takes the measurement in.

        Returns by how many nats it speaks for motion, and its two derivatives of what moves.
        """
        model = self.model
        observe = np.zeros((2, 3, _SIZE))
        observe[..., _ERROR] = _EYE
        residual = np.empty((2, 3))
        for k in (STILL, MOVING):
            off, observe[k, :, _PLACE], observe[k, :, _SCALE] = measurement(
                self._mean[k, _PLACE], float(self._mean[k, _SCALE]), self._aim[k]
            )
            residual[k] = off - self._mean[k, _ERROR]
        shake = np.diag(self._shake)
        spread = observe @ self._covariance @ observe.swapaxes(1, 2) + shake
        squared = (residual * np.linalg.solve(spread, residual[..., None])[..., 0]).sum(-1)
        self.surprise = float(squared.min())
        self._learn_shake(residual[MOVING] ** 2 / np.diag(spread[MOVING]), step_s)
        # Student's t: a wild measurement moves nothing far, and speaks for neither side.
        freedom = model.freedom
        log = -(freedom + 3) / 2 * np.log1p(squared / freedom)
        log = log - 0.5 * np.log(np.linalg.det(spread))
        wider = np.maximum((freedom + squared) / (freedom + 3), 1.0)[:, None, None]
        noise = shake + spread * (wider - 1)
        gain = np.linalg.solve(spread * wider, observe @ self._covariance).swapaxes(1, 2)
        # Of what moves the scale cannot be learnt; that it is uncertain still counts.
        gain[MOVING, _SCALE] = 0
        self._mean = self._mean + (gain @ residual[..., None])[..., 0]
        kept = np.eye(_SIZE) - gain @ observe
        self._covariance = kept @ self._covariance @ kept.swapaxes(1, 2)
        self._covariance += gain @ noise @ gain.swapaxes(1, 2)
        favour = float(log[MOVING] - log[STILL])
        assert math.isfinite(favour), "measurements are finite"
        return favour, observe[MOVING, :, _PLACE], observe[MOVING, :, _SCALE]

    def _learn_shake(self, excess: np.ndarray, step_s: float) -> None:
        """Networks differ in how they shake. `excess` [3]: by how much squares were larger than expected."""
        model = self.model
        rate = min(step_s / model.shake_memory_s, 1.0)
        self._shake *= np.exp(rate * (np.minimum(excess, model.wildest) - 1))
        self._shake = np.clip(self._shake, np.square(model.shake_std), np.square(model.error_std))
