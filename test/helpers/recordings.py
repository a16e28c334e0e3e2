"""Recordings of rendered people without an error."""

import roma
import torch

from d3pose_core.body.load import load_body
from d3pose_core.data.rendered import RenderedSet
from d3pose_core.model.view import look_at_rotation, project
from d3pose_core.skeleton import LANDMARK_TO_JOINT, RIVALS


def exact_recording(clips: int, frames: int) -> RenderedSet:
    """People in random poses, new in every frame, whose landmarks are reported without error."""
    rng = torch.Generator().manual_seed(0)
    body = load_body("free-mid")
    rotations = roma.rotvec_to_rotmat(0.4 * torch.randn(clips * frames, 24, 3, generator=rng))
    rotations[:, 0] = torch.diag(torch.tensor([1.0, -1.0, -1.0])) @ rotations[:, 0]
    betas = torch.randn(clips, 10, generator=rng)
    pelvis = torch.tensor([0.8, -0.3, 4.0]) + 0.1 * torch.randn(clips, frames, 3, generator=rng)
    each = betas.repeat_interleave(frames, 0)
    pose = rotations, each, pelvis.flatten(0, 1) - body.joints_rest(each)[:, 0]
    joints = body.joints_matrices(*pose).unflatten(0, (clips, frames))
    landmarks = body.landmarks_matrices(*pose).unflatten(0, (clips, frames))
    for landmark, joint in LANDMARK_TO_JOINT:  # so that there is no error at all
        landmarks[:, :, landmark] = joints[:, :, joint]
    middle = landmarks[:, :, [23, 24]].mean(-2)
    facing = (landmarks - middle[:, :, None]) @ look_at_rotation(project(middle))
    ones = torch.ones(clips, frames, 33)
    return RenderedSet(
        rays=project(landmarks),
        depth_hint=0 * ones,
        landmarks=facing,
        visibility=ones,
        presence=ones,
        certainty=ones,
        rival_rays=torch.zeros(clips, frames, 33, RIVALS, 2),
        rival_certainty=torch.zeros(clips, frames, 33, RIVALS),
        score=ones[..., 0],
        seen=ones[..., 0] > 0,
        stray=ones[..., 0] < 0,
        start=torch.zeros(clips, frames, dtype=torch.int8),
        sight=torch.zeros(clips, frames, 33, dtype=torch.int8),
        times_s=torch.arange(frames).expand(clips, frames) / 30,
        true_landmarks=landmarks,
        rotations=rotations.unflatten(0, (clips, frames)),
        betas=betas,
        pelvis=pelvis,
        joints=joints,
        camera_rotation=torch.eye(3).expand(clips, frames, 3, 3),
        camera_position=torch.zeros(clips, frames, 3),
        camera=torch.tensor([[500.0, 500, 320, 240, 640, 480]]).expand(clips, -1),
        clip=torch.arange(clips),
    )
