"""A robot drives past people: what its camera's landmarks report, where the camera was, where they were."""

from __future__ import annotations

import math
from dataclasses import dataclass

import roma
import torch
from torch import Tensor

from d3pose_core.body.model import BodyModel
from d3pose_core.data.cameras import CameraPath, look_at
from d3pose_core.data.landmark_noise import report_landmarks
from d3pose_core.model.tokens import ObservationBatch
from d3pose_core.rigid import RigidTransform
from d3pose_core.skeleton import JOINT_NAMES

HFOV_DEG = 70.0


@dataclass
class Performance:
    """What B people do in the world (y up) over T frames."""

    times: Tensor  # [B, T] s
    rotations: Tensor  # [B, T, 24, 3, 3] SMPL local rotations, the root's into the world
    pelvis: Tensor  # [B, T, 3] m
    betas: Tensor  # [B, 10]


@dataclass
class Drive:
    """One camera per person."""

    observations: ObservationBatch
    landmarks: Tensor  # [B, T, 33, 3] m, where they truly are in the camera
    cameras: CameraPath

    def camera(self, person: int, frame: int) -> RigidTransform:
        """The camera's optical frame in the world."""
        rotation = self.cameras.rotation[person, frame].double().numpy()
        position = self.cameras.position[person, frame].double().numpy()
        return RigidTransform(rotation.T, position)


def standing(body: BodyModel, people: int, seconds: float, rng: torch.Generator) -> Performance:
    """People of random size who stand at the origin, turned anywhere, their arms hanging, at 30 Hz."""
    frames = round(30 * seconds)
    times = (torch.arange(frames) / 30).expand(people, frames)
    pose = torch.zeros(people, 24, 3)
    pose[:, 0, 1] = 2 * math.pi * torch.rand(people, generator=rng)
    pose[:, JOINT_NAMES.index("left_shoulder"), 2] = -1.25
    pose[:, JOINT_NAMES.index("right_shoulder"), 2] = 1.25
    betas = torch.randn(people, 10, generator=rng).clamp(-2, 2)
    rest = body.joints_rest(betas)
    pelvis = torch.zeros(people, frames, 3)
    pelvis[..., 1] = (rest[:, 0, 1] - rest[:, :, 1].amin(1))[:, None]
    rotations = roma.rotvec_to_rotmat(pose)[:, None].expand(-1, frames, -1, -1, -1)
    return Performance(times, rotations, pelvis, betas)


@torch.no_grad()
def drive_past(body: BodyModel, performance: Performance, rng: torch.Generator) -> Drive:
    """Along a line 2.5 to 3.5 m aside at 0.4 to 0.8 m/s; the camera turns after the person, badly."""
    times, pelvis = performance.times, performance.pelvis
    batch, frames = times.shape

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(batch, 1, generator=rng)

    middle = pelvis.mean(1, keepdim=True)
    along = uniform(0.4, 0.8) * (times - times[:, -1:] / 2)
    lane = torch.stack(
        [along, uniform(0.8, 1.5).expand_as(along), uniform(2.5, 3.5) + 0 * along], -1
    )
    position = middle * torch.tensor([1.0, 0.0, 1.0]) + lane
    swing = torch.stack(
        [
            0.03 * torch.sin(2 * times),
            0.12 * torch.sin(0.9 * times + uniform(0, 2 * math.pi)),
            torch.zeros_like(times),
        ],
        -1,
    )
    rotation = roma.rotvec_to_rotmat(swing) @ look_at(position, middle.expand_as(position))
    half = torch.full((batch,), math.tan(math.radians(HFOV_DEG) / 2))
    cameras = CameraPath(rotation, position, half, half)

    rotations = performance.rotations.clone()
    rotations[:, :, 0] = rotation @ rotations[:, :, 0]
    seen_at = (rotation @ (pelvis - position)[..., None])[..., 0]
    transl = seen_at - body.joints_rest(performance.betas)[:, None, 0]
    landmarks = body.landmarks_matrices(
        rotations.flatten(0, 1),
        performance.betas.repeat_interleave(frames, 0),
        transl.flatten(0, 1),
    )
    landmarks = landmarks.unflatten(0, (batch, frames))
    return Drive(report_landmarks(landmarks, cameras, times, rng), landmarks, cameras)
