"""A simulated robot drives past somebody who stands: one recovery fed with what its landmarks report."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from d3pose_core.body import load_body
from d3pose_core.camera import Intrinsics
from d3pose_core.data.drive_past import HFOV_DEG, drive_past, standing
from d3pose_core.model.checkpoint import load_model
from d3pose_core.observe import PersonObservation
from d3pose_core.recovery import MeshRecovery, RecoveredPerson
from d3pose_core.rigid import RigidTransform
from d3pose_core.skeleton import LANDMARK_NAMES

WIDTH, HEIGHT = 64, 64
CAMERA = Intrinsics.from_hfov(HFOV_DEG, WIDTH, HEIGHT)
# The simulation's world has y up; a robot's has z up and x forward.
ROBOT_WORLD = RigidTransform(np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]]), np.zeros(3))
# Errors of BlazePose on real footage: of image positions, as a share of the person's height, along each axis;
# and of metric landmarks, along x, y and z.
IMAGE_ERROR = 0.008
METRIC_ERROR_M = np.array([0.024, 0.024, 0.070])
HEIGHT_M = 1.7
TILT_ERROR = 0.02  # of a robot's transforms, rad
HIPS = [LANDMARK_NAMES.index(f"{side}_hip") for side in ("left", "right")]


def landmark_errors(frames: int, random: np.random.Generator) -> np.ndarray:
    """[T, 33, 5] of unit size: a habit per landmark, a drift that forgets itself in 0.25 s, shaking."""
    shape = (len(LANDMARK_NAMES), 5)
    keep = np.exp(-1 / 30 / 0.25)
    habit, drift, errors = random.normal(size=shape), random.normal(size=shape), []
    for _ in range(frames):
        drift = keep * drift + np.sqrt(1 - keep**2) * random.normal(size=shape)
        errors.append(0.6 * habit + 0.7 * drift + 0.35 * random.normal(size=shape))
    return np.array(errors)


class DrivePast:
    """Frames at 30 Hz. `camera`, `pelvis` and `root` are in a world with z up."""

    def __init__(self, seconds: float, seed: int = 0, way: str = "past") -> None:
        rng = torch.Generator().manual_seed(seed)
        body = load_body("free-low")
        performance = standing(body, 1, seconds, rng)
        self._drive = drive_past(body, performance, rng, way)
        self._landmarks = self._drive.landmarks[0].double().numpy()
        self._errors = landmark_errors(len(self._landmarks), np.random.default_rng(seed))
        self.frames = performance.times.shape[1]
        self.pelvis = ROBOT_WORLD.apply(performance.pelvis[0, 0].double().numpy())
        self.root = ROBOT_WORLD.rotation @ performance.rotations[0, 0, 0].double().numpy()

    def camera(self, frame: int) -> RigidTransform:
        """The optical frame in the world."""
        return ROBOT_WORLD @ self._drive.camera(0, frame)

    def observations(self, frame: int) -> list[PersonObservation]:
        """What the landmark network says of this frame."""
        points, errors = self._landmarks[frame], self._errors[frame]
        middle = points[HIPS].mean(0)
        rays = points[:, :2] / points[:, 2:] + errors[:, :2] * IMAGE_ERROR * HEIGHT_M / middle[2]
        keypoints = rays * (CAMERA.fx, CAMERA.fy) + (CAMERA.cx, CAMERA.cy)
        # In the axes of a camera that faces the person.
        toward = middle / np.linalg.norm(middle)
        across = np.cross((0.0, 1.0, 0.0), toward)
        across /= np.linalg.norm(across)
        facing = np.stack([across, np.cross(toward, across), toward])
        landmarks = (points - middle) @ facing.T + errors[:, 2:] * METRIC_ERROR_M
        return [
            PersonObservation(
                track_id=1,
                keypoints=keypoints,
                depth_hint=landmarks[:, 2] * CAMERA.fx / middle[2],
                landmarks=landmarks,
                visibility=np.full(len(points), 0.98),
                presence=np.full(len(points), 0.99),
                certainty=np.full(len(points), 0.9),
                score=0.9,
                box=np.concatenate([keypoints.min(0), keypoints.max(0)]),
            )
        ]


def recovered(drives: Sequence[DrivePast], weights: str) -> list[list[list[RecoveredPerson]]]:
    """Of each drive, frame by frame: who was recovered, in the camera; its tilt is known roughly."""
    first = MeshRecovery(lambda image, stamp: [], load_model(weights), load_body("free-low"))
    result = []
    for number, drive in enumerate(drives):
        recovery = first.another(first.observer)
        recovery.smooth_distance = False
        off = np.random.default_rng(number).normal(size=3) * TILT_ERROR
        result.append(
            [
                recovery.recover(
                    drive.observations(frame),
                    frame / 30,
                    CAMERA,
                    drive.camera(frame).rotation[2] + off,
                )
                for frame in range(drive.frames)
            ]
        )
    return result
