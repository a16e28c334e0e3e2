"""Synthetic training data: motion clips x body shapes x cameras -> what BlazePose would report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from d3pose_core.body.model import BodyModel
from d3pose_core.data.cameras import sample_cameras
from d3pose_core.data.landmark_noise import Realism, report_landmarks
from d3pose_core.data.motions import MotionLibrary, MotionWindows, widen
from d3pose_core.model.tokens import ObservationBatch
from d3pose_core.skeleton import JOINT_NAMES

FEET = tuple(JOINT_NAMES.index(n) for n in ("left_ankle", "right_ankle", "left_foot", "right_foot"))
# The motion data's own feet skate at 3 to 11 cm/s while they carry weight.
PLANTED_M_S = 0.15


@dataclass
class Truth:
    """What the network should have said, in the camera's optical frame."""

    rotations: Tensor  # [B, T, 24, 3, 3]
    betas: Tensor  # [B, 10]
    pelvis: Tensor  # [B, T, 3] m
    joints: Tensor  # [B, T, 24, 3] m
    contact: Tensor  # [B, T, 4] bool: `FEET` stand still in the world, as planted feet do
    up: Tensor  # [B, T, 3] against gravity, length 1; zeros: not known

    def frames(self, which: Tensor, when: Tensor) -> Truth:
        """The frames `when` [N, T] of the windows `which` [N]."""
        of_frames = {
            f.name: getattr(self, f.name)[which[:, None], when]
            for f in fields(self)
            if f.name != "betas"
        }
        return Truth(betas=self.betas[which], **of_frames)

    def __getitem__(self, index) -> Truth:
        """Some of the windows."""
        return Truth(**{f.name: getattr(self, f.name)[index] for f in fields(self)})

    def landmarks(self, body: BodyModel) -> Tensor:
        """[B, T, 33, 3] m, in the camera's optical frame."""
        flat = every_frame(self.rotations, self.betas, self.pelvis, body)
        return body.landmarks_matrices(*flat).unflatten(0, self.pelvis.shape[:2])


def every_frame(
    rotations: Tensor, betas: Tensor, pelvis: Tensor, body: BodyModel
) -> tuple[Tensor, Tensor, Tensor]:
    """All frames of B people in a row, [B * T, ...], as `body` takes them: rotations, betas, translations.

    Args:
        rotations: [B, T, 24, 3, 3]; betas: [B, 10]; pelvis: [B, T, 3] m.
    """
    transl = pelvis - body.joints_rest(betas)[:, None, 0]
    each = betas.repeat_interleave(pelvis.shape[1], 0)
    return rotations.flatten(0, 1), each, transl.flatten(0, 1)


@dataclass
class TrainingBatch:
    observations: ObservationBatch
    truth: Truth

    def to(self, device: torch.device) -> TrainingBatch:
        truth = {f.name: getattr(self.truth, f.name).to(device) for f in fields(Truth)}
        return TrainingBatch(self.observations.to(device), Truth(**truth))

    def frames(self, which: Tensor, when: Tensor) -> TrainingBatch:
        """The frames `when` [N, T] of the windows `which` [N]."""
        return TrainingBatch(
            self.observations[which[:, None], when], self.truth.frames(which, when)
        )

    @staticmethod
    def cat(parts: Sequence[TrainingBatch]) -> TrainingBatch:
        """One batch of several, all of the same number of frames."""

        def joined(kind: type, values: list) -> dict[str, Tensor]:
            return {f.name: torch.cat([getattr(v, f.name) for v in values]) for f in fields(kind)}

        return TrainingBatch(
            ObservationBatch(**joined(ObservationBatch, [p.observations for p in parts])),
            Truth(**joined(Truth, [p.truth for p in parts])),
        )


def planted_feet(world_joints: Tensor, times_s: Tensor) -> Tensor:
    """[B, T, 4] bool: which of `FEET` move slower than `PLANTED_M_S`, from [B, T, 24, 3] in the world."""
    feet = world_joints[:, :, list(FEET)]
    step = torch.diff(times_s, dim=1).clamp_min(1e-3)[..., None]
    speed = torch.diff(feet, dim=1).norm(dim=-1) / step
    planted = speed < PLANTED_M_S
    return torch.cat([planted[:, :1], planted], 1)


def sample_times(batch: int, frames: int, rng: torch.Generator) -> Tensor:
    """Frame times [B, T], s: cameras of 10 to 60 Hz, many of them 30, whose frames jitter and drop."""
    rates = torch.tensor([30.0, 30.0, 30.0, 25.0, 20.0, 15.0, 10.0, 60.0, 60.0])
    rate = rates[torch.randint(len(rates), (batch, 1), generator=rng)]
    jitter = 1 + 0.05 * torch.randn(batch, frames, generator=rng).clamp(-2, 2)
    dropping = (torch.rand(batch, 1, generator=rng) < 0.3).float()
    dropped = dropping * torch.bernoulli(torch.full((batch, frames), 0.15), generator=rng)
    step = jitter * (1 + dropped) / rate
    return step.cumsum(1) - step[:, :1]


class Simulator:
    """Draws batches for ever; the same seed gives the same batches."""

    def __init__(
        self, motions: MotionLibrary, body: BodyModel, seed: int, realism: Realism | None = None
    ):
        self.motions, self.body, self.realism = motions, body, realism or Realism()
        self.rng = torch.Generator().manual_seed(seed)

    @torch.no_grad()
    def sample(self, batch: int, frames: int, augment: bool = True) -> TrainingBatch:
        """`batch` windows of `frames` frames; `augment` False keeps the recorded motions as they are."""
        times = sample_times(batch, frames, self.rng)
        windows = self.motions.sample(times, self.rng)
        if augment:
            windows = widen(windows, self.motions.sample(times, self.rng), self.rng)
        return self.observe(windows, times)

    @torch.no_grad()
    def observe(self, windows: MotionWindows, times: Tensor) -> TrainingBatch:
        """Random bodies perform `windows` in front of random cameras; `times` [B, T], s."""
        batch = len(times)
        betas = torch.randn(batch, 10, generator=self.rng).clamp(-2.5, 2.5)
        rest = self.body.joints_rest(betas)  # [B, 24, 3]
        # Long legs take longer steps, and the feet stay near the floor.
        leg = (rest[:, 0, 1] - rest[:, :, 1].amin(1)) / self.motions.rest_leg_m
        world_pelvis = windows.pelvis * leg[:, None, None]
        cameras = sample_cameras(world_pelvis, times, self.rng)

        def into_camera(x: Tensor) -> Tensor:  # [B, T, 3] world -> camera
            return (cameras.rotation @ (x - cameras.position)[..., None])[..., 0]

        pelvis = into_camera(world_pelvis)
        rotations = windows.rotations.clone()
        rotations[:, :, 0] = cameras.rotation @ rotations[:, :, 0]
        flat = every_frame(rotations, betas, pelvis, self.body)
        landmarks = self.body.landmarks_matrices(*flat).unflatten(0, times.shape)
        joints = self.body.joints_matrices(*flat).unflatten(0, times.shape)
        from_camera = cameras.rotation.transpose(-1, -2)[:, :, None]
        in_world = (from_camera @ joints[..., None])[..., 0] + cameras.position[:, :, None]
        contact = planted_feet(in_world, times)
        truth = Truth(rotations, betas, pelvis, joints, contact, cameras.up)
        reports = report_landmarks(landmarks, cameras, times, self.rng, self.realism)
        return TrainingBatch(reports, truth)
