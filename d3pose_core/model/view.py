"""The view camera: the real camera turned so that it looks straight at a person, and zoomed to unit
size.

The network sees and answers in this camera, so that off-centre perspective looks the same as
centred; what it answers turns back into the real camera's optical frame exactly.
"""

from __future__ import annotations

from dataclasses import dataclass

import roma
import torch
from torch import Tensor


@dataclass
class ViewCamera:
    """The camera turned and zoomed at the person.

    A point p of the view camera is `rotation @ p` in the real camera's optical frame.
    """

    rotation: Tensor  # [B, T, 3, 3]
    size: Tensor  # [B, T] angular size (tangent units) of the person's landmarks


def look_at_rotation(direction: Tensor) -> Tensor:
    """The smallest rotation that turns the z axis onto `direction`.

    Args:
        direction: rays (x/z, y/z), [..., 2].

    Returns:
        rotation matrices [..., 3, 3]; columns are the turned camera's axes in the old one.
    """
    x, y = direction.unbind(-1)
    angle = torch.atan(torch.sqrt(x * x + y * y))
    # Axis z × (x, y, 1) = (-y, x, 0); its length is tan(angle), which the scale divides out.
    scale = angle / torch.sqrt(x * x + y * y).clamp_min(1e-9)
    return roma.rotvec_to_rotmat(torch.stack([-y * scale, x * scale, torch.zeros_like(x)], -1))


def view_rays(rays: Tensor, rotation: Tensor) -> Tensor:
    """Viewing rays [..., N, 2] of the real camera -> of the view camera with `rotation` [..., 3, 3]."""
    points = torch.cat([rays, torch.ones_like(rays[..., :1])], -1) @ rotation
    # A ray at more than ~85 degrees from the person is noise; keep it finite.
    return points[..., :2] / points[..., 2:].clamp_min(0.1)


def project(points: Tensor) -> Tensor:
    """Points [..., 3] -> viewing rays (x/z, y/z) [..., 2]; those nearer than 0.2 m count as 0.2 m away."""
    return points[..., :2] / points[..., 2:].clamp_min(0.2)


def place_of(pelvis: Tensor, view: ViewCamera) -> Tensor:
    """Pelvis [B, T, 3] in the optical frame -> the network's `place` [B, T, 3] (see `PosePrediction`)."""
    x, y, z = (view.rotation.transpose(-1, -2) @ pelvis[..., None])[..., 0].unbind(-1)
    z = z.clamp_min(0.1)
    return torch.stack([x / z / view.size, y / z / view.size, (z * view.size).log()], -1)


def pelvis_of(place: Tensor, view: ViewCamera) -> Tensor:
    """The inverse of `place_of`."""
    z = place[..., 2].exp() / view.size
    xy = place[..., :2] * (view.size * z)[..., None]
    return (view.rotation @ torch.cat([xy, z[..., None]], -1)[..., None])[..., 0]


def into_view(rotations: Tensor, view: ViewCamera) -> Tensor:
    """SMPL rotations [B, T, 24, 3, 3] whose root is in the optical frame -> root in the view camera."""
    root = view.rotation.transpose(-1, -2) @ rotations[:, :, 0]
    return torch.cat([root[:, :, None], rotations[:, :, 1:]], 2)


def out_of_view(rotations: Tensor, view: ViewCamera) -> Tensor:
    """The inverse of `into_view`."""
    root = view.rotation @ rotations[:, :, 0]
    return torch.cat([root[:, :, None], rotations[:, :, 1:]], 2)
