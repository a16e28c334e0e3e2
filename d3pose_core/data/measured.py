"""Windows of BlazePose's real reports on rendered people, for training beside the simulated ones.

The simulator knows the errors' statistics; these have the errors themselves, whatever they depend on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from d3pose_core.body.model import BodyModel
from d3pose_core.data.error_statistics import fitted_statistics
from d3pose_core.data.motions import MotionWindows, mirror, turned_a_little
from d3pose_core.data.rendered import RenderedSet
from d3pose_core.data.simulator import TrainingBatch, Truth, every_frame
from d3pose_core.data.stance import Stance
from d3pose_core.data.told_depth import as_told
from d3pose_core.errors import InputError
from d3pose_core.model.view import project
from d3pose_core.skeleton import JOINT_MIRROR, MIRRORED_POINT

_MIRROR_CONTACT = [1, 0, 3, 2]  # of `simulator.FEET`
# Windows in which the person is seldom found teach little.
_LEAST_SEEN = 0.5
_ROLL_RAD = 0.15  # standard deviation of the roll that windows are given beside their own
_NEAREST_M = 0.3  # nearer to the camera, landmarks are thrown anywhere
_PACES = (0.7, 1.5)  # of the time between the frames


class MeasuredClips:
    """Windows of recordings by `tools.measure_landmarks`: half of them mirrored, all rolled and paced."""

    def __init__(
        self, paths: Sequence[str | Path], body: BodyModel, reposed_share: float = 0.0
    ) -> None:
        """`reposed_share` of the windows are of people who are not quite those recorded, see `reposed`."""
        self._body, self._reposed_share = body, reposed_share
        recorded = RenderedSet.load(*paths)
        recorded = recorded[recorded.seen.float().mean(1) >= _LEAST_SEEN]
        if not len(recorded):
            raise InputError(f"no clip in {[str(p) for p in paths]} shows a person long enough")
        self._batch = TrainingBatch.cat(recorded.batches(body))
        self.frames = recorded.seen.shape[1]

    def __len__(self) -> int:
        return len(self._batch.truth.betas)

    def sample(self, batch: int, frames: int, rng: torch.Generator) -> TrainingBatch:
        """`batch` windows of `frames` frames; after those that recordings have, nobody is seen any more."""
        clip = torch.randint(len(self), (batch,), generator=rng)
        start = torch.randint(max(0, self.frames - frames) + 1, (batch, 1), generator=rng)
        window = self._batch.frames(clip, start + torch.arange(min(frames, self.frames)))
        if self._reposed_share > 0:
            which = torch.rand(batch, generator=rng) < self._reposed_share
            window = reposed(window, which, self._body, rng)
        window = varied(window, rng)
        return out_of_sight_after(window, frames) if frames > self.frames else window


def out_of_sight_after(batch: TrainingBatch, frames: int) -> TrainingBatch:
    """`batch`, and then, up to `frames` frames in all, its last one again, in which nobody is seen."""
    windows, recorded = batch.observations.seen.shape
    frame = torch.arange(frames)
    again = frame.clamp_max(recorded - 1).expand(windows, frames)
    longer = batch.frames(torch.arange(windows), again)
    seen = longer.observations.seen & (frame < recorded)
    return replace(longer, observations=replace(longer.observations, seen=seen))


def varied(batch: TrainingBatch, rng: torch.Generator) -> TrainingBatch:
    """Half of the windows mirrored, all rolled and paced."""
    windows = len(batch.truth.betas)
    batch = mirrored(batch, torch.rand(windows, generator=rng) < 0.5)
    batch = rolled(batch, _ROLL_RAD * torch.randn(windows, generator=rng))
    slowest, fastest = (math.log(pace) for pace in _PACES)
    pace = slowest + (fastest - slowest) * torch.rand(windows, generator=rng)
    return paced(batch, pace.exp())


def reposed(
    batch: TrainingBatch, which: Tensor, body: BodyModel, rng: torch.Generator
) -> TrainingBatch:
    """Other people in the windows where `which` [B] is True, who hold themselves a little differently.

    They are reported with the errors of the recorded ones: reports move by as much as what they are of, in
    depth by as much as is told of that.
    Without, a network learns the recordings by heart, of which there are few.
    """
    seen, truth = batch.observations, batch.truth
    betas = torch.randn(truth.betas.shape, generator=rng).clamp(-2.5, 2.5)
    rotations = turned_a_little(truth.rotations, rng)

    changed = every_frame(rotations, betas, truth.pelvis, body)
    joints, after = (
        of(*changed).unflatten(0, truth.pelvis.shape[:2])
        for of in (body.joints_matrices, body.landmarks_matrices)
    )
    before = truth.landmarks(body)
    use = which[:, None] & seen.seen  # reports of unseen frames are zero
    # Landmarks beside the camera or behind it move anywhere.
    sane = use[..., None] & (torch.minimum(before[..., 2], after[..., 2]) > _NEAREST_M)
    told = _as_reported(after) - _as_reported(before)
    metric = torch.where(sane[..., None], told, 0.0)
    ray = torch.where(sane[..., None], project(after) - project(before), 0.0)
    distance = truth.pelvis[..., 2:].clamp_min(_NEAREST_M)
    hint = fitted_statistics().hint_slope * metric[..., 2] / distance

    def pick(new: Tensor, old: Tensor) -> Tensor:
        return torch.where(which.view(-1, *[1] * (old.ndim - 1)), new, old)

    return TrainingBatch(
        replace(
            seen,
            rays=seen.rays + ray,
            rival_rays=seen.rival_rays + ray[..., None, :],
            landmarks=seen.landmarks + metric,
            depth_hint=seen.depth_hint + hint,
        ),
        replace(
            truth,
            rotations=pick(rotations, truth.rotations),
            betas=pick(betas, truth.betas),
            joints=pick(joints, truth.joints),
        ),
    )


def _as_reported(landmarks: Tensor) -> Tensor:
    """[B, T, 33, 3] m: what is reported on average of `landmarks` [B, T, 33, 3] in the optical frame."""
    stance = Stance.of(landmarks)
    return as_told(stance.relative, stance.facing, fitted_statistics())


def rolled(batch: TrainingBatch, radians: Tensor) -> TrainingBatch:
    """The camera turned about its optical axis, by `radians` [B] in each window.

    Exact where reports turn with the picture, as BlazePose's do: it turns its window upright first.
    """
    cos, sin, zero = radians.cos(), radians.sin(), torch.zeros_like(radians)
    turn = torch.stack([cos, -sin, zero, sin, cos, zero, zero, zero, zero + 1], -1)
    turn = turn.view(-1, 1, 3, 3)  # [B, 1, 3, 3]; row vectors turn by its transpose
    back = turn.transpose(-1, -2)
    seen, truth = batch.observations, batch.truth
    rotations = truth.rotations.clone()
    rotations[:, :, 0] = turn @ rotations[:, :, 0]
    return TrainingBatch(
        replace(
            seen,
            rays=seen.rays @ back[..., :2, :2],
            rival_rays=seen.rival_rays @ back[:, :, None, :2, :2],
            landmarks=seen.landmarks @ back,
        ),
        replace(
            truth,
            rotations=rotations,
            pelvis=(truth.pelvis[:, :, None] @ back)[:, :, 0],
            joints=truth.joints @ back,
            up=(truth.up[:, :, None] @ back)[:, :, 0],
        ),
    )


def paced(batch: TrainingBatch, factor: Tensor) -> TrainingBatch:
    """Other frame rates, and slower or faster people: the time between frames times `factor` [B]."""
    seen = batch.observations
    return replace(batch, observations=replace(seen, step_s=seen.step_s * factor[:, None]))


def mirrored(batch: TrainingBatch, which: Tensor) -> TrainingBatch:
    """Left and right exchanged, as in a mirror, in the windows where `which` [B] is True.

    Shapes stay as they are: the body's shape space is symmetric.
    """
    seen, truth = batch.observations, batch.truth
    joint, x_turned = list(JOINT_MIRROR), torch.tensor(MIRRORED_POINT)

    def pick(changed: Tensor, x: Tensor) -> Tensor:
        return torch.where(which.view(-1, *[1] * (x.ndim - 1)), changed, x)

    moved = mirror(MotionWindows(truth.rotations, truth.pelvis), which)
    return TrainingBatch(
        seen.replaced(seen.mirrored(), which),
        Truth(
            moved.rotations,
            truth.betas,
            moved.pelvis,
            pick(truth.joints[:, :, joint] * x_turned, truth.joints),
            pick(truth.contact[:, :, _MIRROR_CONTACT], truth.contact),
            pick(truth.up * x_turned, truth.up),
        ),
    )
