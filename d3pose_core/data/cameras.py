"""Random cameras around a moving person: where a robot's camera may hang, and how it moves."""

from __future__ import annotations

import math
from dataclasses import dataclass

import roma
import torch
from torch import Tensor


@dataclass
class CameraPath:
    """B cameras over T frames. A world point x is `rotation @ (x - position)` in the optical frame."""

    rotation: Tensor  # [B, T, 3, 3]
    position: Tensor  # [B, T, 3] m, world (y up)
    half_width: Tensor  # [B] tangent of half the horizontal field of view
    half_height: Tensor  # [B] tangent of half the vertical field of view

    @property
    def up(self) -> Tensor:
        """[B, T, 3] the world's y axis in the optical frame."""
        return self.rotation[..., 1]

    @property
    def half_size(self) -> Tensor:
        """[B, 2] tangents of half the fields of view, horizontal and vertical."""
        return torch.stack([self.half_width, self.half_height], -1)


def look_at(position: Tensor, target: Tensor) -> Tensor:
    """Level optical frames (x right, y down, z forward) at `position` facing `target`: [..., 3, 3]."""
    forward = torch.nn.functional.normalize(target - position, dim=-1)
    up = torch.tensor([0.0, 1.0, 0.0]).expand_as(forward)
    right = torch.nn.functional.normalize(torch.linalg.cross(forward, up), dim=-1)
    down = torch.linalg.cross(forward, right)
    return torch.stack([right, down, forward], -2)


def sample_cameras(pelvis: Tensor, times_s: Tensor, rng: torch.Generator) -> CameraPath:
    """Cameras 1 to 10 m away, rolled up to 20 degrees, 40 % of them moving; heights as `_heights` says.

    Args:
        pelvis: [B, T, 3] world position of the person's pelvis, m.
        times_s: [B, T].
    """
    batch = len(pelvis)

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(batch, *shape, generator=rng)

    def normal(scale: float, *shape: int) -> Tensor:
        return scale * torch.randn(batch, *shape, generator=rng)

    target = pelvis.mean(1) + normal(0.15, 3)
    distance = torch.exp(uniform(math.log(1.0), math.log(10.0)))
    height = _heights(batch, rng)
    # At most 45 degrees down and 30 up: a close camera is moved to the height that this leaves.
    elevation = ((height - target[:, 1]) / distance).clamp(
        -math.sin(math.pi / 6), math.sin(math.pi / 4)
    )
    azimuth = uniform(0, 2 * math.pi)
    level = (1 - elevation**2).sqrt()
    direction = torch.stack([level * azimuth.sin(), elevation, level * azimuth.cos()], -1)
    position = target + distance[:, None] * direction

    half_width = torch.tan(torch.deg2rad(uniform(30, 100)) / 2)
    aspect = torch.where(torch.rand(batch, generator=rng) < 0.5, 3 / 4, 9 / 16)
    # At worst the image holds half a body: closer, no landmark network has anything to say.
    half_height = torch.maximum(half_width * aspect, uniform(0.45, 1.2) / distance)
    half_width = half_height / aspect

    off_center = torch.stack(
        [
            torch.atan(half_height) * uniform(-0.5, 0.5),
            torch.atan(half_width) * uniform(-0.7, 0.7),
            torch.deg2rad(
                torch.where(torch.rand(batch, generator=rng) < 0.5, uniform(-20, 20), normal(3))
            ),
        ],
        -1,
    )
    aim = roma.rotvec_to_rotmat(off_center) @ look_at(position, target)

    moving = (torch.rand(batch, generator=rng) < 0.4).float()[:, None]
    elapsed = (times_s - times_s.mean(1, keepdim=True))[..., None]
    travel = (moving * normal(0.3, 3))[:, None] * elapsed
    turn = (moving * normal(math.radians(8), 3))[:, None] * elapsed
    return CameraPath(
        roma.rotvec_to_rotmat(turn) @ aim[:, None],
        position[:, None] + travel,
        half_width,
        half_height,
    )


def _heights(batch: int, rng: torch.Generator) -> Tensor:
    """[B] m above the floor that the person stands on, -1.5 to 3.

    How far somebody leans towards the camera is hardly seen from the front, so a network answers with what
    is usual in its training. Most cameras are as high as people's waists and heads (robots, tripods, hands);
    were all heights from 0.3 to 3 m equally likely, the cameras would look down at people by 14 degrees on
    average, and people in a level view would come out leaning as much (`benchmarks/lean.py`). Some people
    stand higher than the camera: on steps, stages, walls.
    """
    kind = torch.rand(batch, generator=rng)
    at_hand = (1.2 + 0.35 * torch.randn(batch, generator=rng)).clamp(0.3, 3.0)
    anywhere = 0.3 + 2.7 * torch.rand(batch, generator=rng)
    below = -1.5 + 1.8 * torch.rand(batch, generator=rng)
    return torch.where(kind < 0.5, at_hand, torch.where(kind < 0.85, anywhere, below))
