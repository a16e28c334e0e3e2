"""What happens in a clip: who moves how, before which camera. The truth, before anything is drawn."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from d3pose_core.body.model import BodyModel
from d3pose_core.camera import Intrinsics
from d3pose_core.data.cameras import sample_cameras
from d3pose_core.data.motions import MotionLibrary, MotionWindows, widen

_IMAGE_HEIGHTS = (360, 480, 480, 720)  # px
_LEAST_IN_VIEW = 0.45  # share of the landmarks, over the clip
_NEAREST_M = 0.3


@dataclass
class Scene:
    """One person over T frames. Positions in the camera's optical frame, m, unless said otherwise."""

    times_s: np.ndarray  # [T]
    rotations: np.ndarray  # [T, 24, 3, 3] SMPL; the first turns the body into the optical frame
    betas: np.ndarray  # [10]
    pelvis: np.ndarray  # [T, 3]
    vertices: np.ndarray  # [T, V, 3]
    joints: np.ndarray  # [T, 24, 3]
    landmarks: np.ndarray  # [T, 33, 3]
    camera_rotation: np.ndarray  # [T, 3, 3] world (y up) -> optical frame
    camera_position: np.ndarray  # [T, 3] world
    world_pelvis: np.ndarray  # [T, 3] world
    intrinsics: Intrinsics


def sample_scene(
    motions: MotionLibrary,
    body: BodyModel,
    frames: int,
    rate_hz: float,
    seed: int,
    varied: bool = False,
) -> Scene:
    """A random scene in which at least part of the person is in view most of the time.

    `varied`: motions are changed as those of the training are (`data.motions.widen`).
    """
    rng = torch.Generator().manual_seed(seed)
    times = torch.arange(frames)[None] / rate_hz
    while True:
        scene = _sample(_motion(motions, times, rng, varied), motions.rest_leg_m, body, times, rng)
        size = np.array([scene.intrinsics.width, scene.intrinsics.height])
        pixels = scene.intrinsics.project(scene.landmarks)
        in_view = ((pixels > 0) & (pixels < size)).all(-1).mean()
        if in_view > _LEAST_IN_VIEW and scene.landmarks[..., 2].min() > _NEAREST_M:
            return scene


def _motion(
    motions: MotionLibrary, times: torch.Tensor, rng: torch.Generator, varied: bool
) -> MotionWindows:
    """One window; if it is varied, at times with the upper body of another."""
    window = motions.sample(times, rng)
    return widen(window, motions.sample(times, rng), rng) if varied else window


@torch.inference_mode()
def _sample(
    windows: MotionWindows,
    rest_leg_m: float,
    body: BodyModel,
    times: torch.Tensor,
    rng: torch.Generator,
) -> Scene:
    betas = torch.randn(1, 10, generator=rng).clamp(-2.5, 2.5)
    rest = body.joints_rest(betas)  # [1, 24, 3]
    # Long legs take longer steps, and the feet stay near the floor.
    leg = (rest[:, 0, 1] - rest[:, :, 1].amin(1)) / rest_leg_m
    world_pelvis = windows.pelvis * leg[:, None, None]
    cameras = sample_cameras(world_pelvis, times, rng)
    camera_rotation, camera_position = cameras.rotation[0], cameras.position[0]

    pelvis = (camera_rotation @ (world_pelvis[0] - camera_position)[..., None])[..., 0]
    rotations = windows.rotations[0].clone()
    rotations[:, 0] = camera_rotation @ rotations[:, 0]
    pose = rotations, betas, pelvis - rest[:, 0]
    posed = body.forward_matrices(*pose)

    height = _IMAGE_HEIGHTS[int(torch.randint(len(_IMAGE_HEIGHTS), (1,), generator=rng))]
    half_width, half_height = float(cameras.half_width[0]), float(cameras.half_height[0])
    width = round(height * half_width / half_height)
    intrinsics = Intrinsics.from_hfov(math.degrees(2 * math.atan(half_width)), width, height)
    return Scene(
        times_s=times[0].numpy(),
        rotations=rotations.numpy(),
        betas=betas[0].numpy(),
        pelvis=pelvis.numpy(),
        vertices=posed.vertices.numpy(),
        joints=posed.joints.numpy(),
        landmarks=body.landmarks_matrices(*pose).numpy(),
        camera_rotation=camera_rotation.numpy(),
        camera_position=camera_position.numpy(),
        world_pelvis=world_pelvis[0].numpy(),
        intrinsics=intrinsics,
    )
