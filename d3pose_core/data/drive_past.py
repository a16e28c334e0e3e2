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
from d3pose_core.data.simulator import every_frame
from d3pose_core.model.tokens import ObservationBatch
from d3pose_core.rigid import RigidTransform
from d3pose_core.skeleton import JOINT_NAMES

HFOV_DEG = 70.0
# A simple gait: legs that swing as pendulums, so far that the foot on the ground stays there.
WALKING_SPEED, SPEED_UP_S = 1.2, 0.5
STRIDE_M, SWING, KNEE_BEND = 1.36, 0.4, 0.9  # two steps, m; rad


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


def setting_off(
    body: BodyModel, people: int, stand_s: float, walk_s: float, rng: torch.Generator
) -> Performance:
    """As `standing`; then each walks off the way they face, at 1.2 m/s within half a second, at 30 Hz."""
    still = standing(body, people, stand_s + walk_s, rng)
    walking_s = (still.times - stand_s).clamp_min(0)
    gone = WALKING_SPEED * torch.where(
        walking_s < SPEED_UP_S, walking_s**2 / (2 * SPEED_UP_S), walking_s - SPEED_UP_S / 2
    )
    stride = 2 * math.pi * gone / STRIDE_M
    swing = SWING * torch.sin(stride)
    bend = KNEE_BEND * torch.cos(stride) * (gone > 0)
    pose = torch.zeros(*still.times.shape, 24, 3)
    # A leg that hangs swings forward, towards +z, about -x; a knee bends about +x.
    pose[..., JOINT_NAMES.index("left_hip"), 0] = -swing - bend.clamp_min(0) / 2
    pose[..., JOINT_NAMES.index("right_hip"), 0] = swing - (-bend).clamp_min(0) / 2
    pose[..., JOINT_NAMES.index("left_knee"), 0] = bend.clamp_min(0)
    pose[..., JOINT_NAMES.index("right_knee"), 0] = (-bend).clamp_min(0)
    rotations = still.rotations @ roma.rotvec_to_rotmat(pose)
    leg = still.pelvis[..., 1] - 0.1
    pelvis = still.pelvis + gone[..., None] * rotations[:, :, 0, :, 2]
    pelvis[..., 1] -= leg * (1 - torch.cos(swing))
    return Performance(still.times, rotations, pelvis, still.betas)


@torch.no_grad()
def drive_past(
    body: BodyModel, performance: Performance, rng: torch.Generator, way: str = "past"
) -> Drive:
    """Along one of the `WAYS`; the camera turns after the person, badly."""
    times, pelvis = performance.times, performance.pelvis
    batch = len(times)
    middle = pelvis.mean(1, keepdim=True)
    position = middle * torch.tensor([1.0, 0.0, 1.0]) + WAYS[way](times, rng)
    phase = 2 * math.pi * torch.rand(batch, 1, generator=rng)
    yaw = (TURNING_YAW if way == "turning" else 0.12) * torch.sin(0.9 * times + phase)
    swing = torch.stack([0.03 * torch.sin(2 * times), yaw, torch.zeros_like(times)], -1)
    rotation = roma.rotvec_to_rotmat(swing) @ look_at(position, middle.expand_as(position))
    half = torch.full((batch,), math.tan(math.radians(HFOV_DEG) / 2))
    cameras = CameraPath(rotation, position, half, half)

    rotations = performance.rotations.clone()
    rotations[:, :, 0] = rotation @ rotations[:, :, 0]
    seen_at = (rotation @ (pelvis - position)[..., None])[..., 0]
    flat = every_frame(rotations, performance.betas, seen_at, body)
    landmarks = body.landmarks_matrices(*flat).unflatten(0, times.shape)
    return Drive(report_landmarks(landmarks, cameras, times, rng), landmarks, cameras)


def _uniform(low: float, high: float, times: Tensor, rng: torch.Generator) -> Tensor:
    """[B, T], the same through each row."""
    drawn = torch.rand(len(times), 1, generator=rng)
    return (low + (high - low) * drawn).expand_as(times)


# Where the camera is, [B, T, 3] m from below the middle of the person's way, at times [B, T].


def _past(times: Tensor, rng: torch.Generator) -> Tensor:
    """Along a line 2.5 to 3.5 m aside, at 0.4 to 0.8 m/s."""
    along = _uniform(0.4, 0.8, times, rng) * (times - times[:, -1:] / 2)
    height = _uniform(0.8, 1.5, times, rng)
    return torch.stack([along, height, _uniform(2.5, 3.5, times, rng)], -1)


def _around(times: Tensor, rng: torch.Generator) -> Tensor:
    """On a circle of 2.5 to 3.5 m about them, at 0.4 to 0.8 m/s."""
    height = _uniform(0.8, 1.5, times, rng)
    radius = _uniform(2.5, 3.5, times, rng)
    angle = _uniform(0, 2 * math.pi, times, rng) + _uniform(0.4, 0.8, times, rng) / radius * times
    return torch.stack([radius * angle.sin(), height, radius * angle.cos()], -1)


def _toward(times: Tensor, rng: torch.Generator) -> Tensor:
    """From 4.5 to 5.5 m away, at 0.3 to 0.5 m/s, to pass 0.5 to 1 m beside them."""
    height = _uniform(0.8, 1.5, times, rng)
    away = _uniform(4.5, 5.5, times, rng) - _uniform(0.3, 0.5, times, rng) * times
    return torch.stack([_uniform(0.5, 1.0, times, rng), height, away.clamp_min(1.5)], -1)


def _turning(times: Tensor, rng: torch.Generator) -> Tensor:
    """On the spot, 2.5 to 3.5 m away."""
    height = _uniform(0.8, 1.5, times, rng)
    return torch.stack([0 * times, height, _uniform(2.5, 3.5, times, rng)], -1)


TURNING_YAW = 0.35  # rad to either side
WAYS = {"past": _past, "around": _around, "toward": _toward, "turning": _turning}
