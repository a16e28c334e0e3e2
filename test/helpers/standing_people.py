"""People who stand before a camera, and what the simulator reports of them."""

import torch

from d3pose_core.body import load_body
from d3pose_core.data.cameras import CameraPath
from d3pose_core.data.landmark_noise import report_landmarks
from d3pose_core.data.stance import PERSON_M
from d3pose_core.model.view import project

RATE_HZ = 30
DEPTH_M = 4.0


def standing(people: int, frames: int, turned: bool = False) -> torch.Tensor:
    """Landmarks [B, T, 33, 3] of people with arms half raised 4 m before the camera."""
    body = load_body("free-low")
    rotations = torch.eye(3).expand(1, 24, 3, 3).clone()
    # Upright in the optical frame (y down), chest or back to the camera.
    rotations[:, 0] = torch.diag(torch.tensor([-1.0, -1.0, 1.0] if turned else [1.0, -1.0, -1.0]))
    pelvis = torch.tensor([[0.0, 0.0, DEPTH_M]])
    betas = torch.zeros(1, 10)
    transl = pelvis - body.joints_rest(betas)[:, 0]
    return body.landmarks_matrices(rotations, betas, transl).expand(people, frames, -1, -1)


def cameras(people: int, frames: int) -> CameraPath:
    half = torch.full((people,), 0.6)
    return CameraPath(
        torch.eye(3).expand(people, frames, 3, 3), torch.zeros(people, frames, 3), half, half
    )


def times(people: int, frames: int, rate_hz: float) -> torch.Tensor:
    return (torch.arange(frames) / rate_hz).expand(people, -1)


def reported(truth, rate_hz=RATE_HZ, seed=0, **kwargs):
    people, frames = truth.shape[:2]
    rng = torch.Generator().manual_seed(seed)
    at = times(people, frames, rate_hz)
    return report_landmarks(truth, cameras(people, frames), at, rng, **kwargs)


def image_errors(truth, reports) -> torch.Tensor:
    """[B, T, 33] in person heights."""
    return (reports.rays - project(truth)).norm(dim=-1) * DEPTH_M / PERSON_M
