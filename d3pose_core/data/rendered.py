"""BlazePose's reports on rendered people whose exact truth is known.

Made by `python -m tools.measure_landmarks record`: the error model of the training is fitted on
such a set of the training people, and another of the test people is the "rendered" held-out test.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import IntEnum
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from d3pose_core.array_file import read_arrays
from d3pose_core.body.model import BodyModel
from d3pose_core.data.simulator import TrainingBatch, Truth, every_frame, planted_feet
from d3pose_core.errors import InputError
from d3pose_core.evaluation.metrics import (
    acceleration_error_mm,
    mean_position_error_mm,
    pa_mpjpe_mm,
    root_aligned,
)
from d3pose_core.model.tokens import ObservationBatch
from d3pose_core.model.view import look_at_rotation, project
from d3pose_core.skeleton import LANDMARK_NAMES, LANDMARK_TO_JOINT

_LIMB_LANDMARKS, _LIMB_JOINTS = (list(c) for c in zip(*LANDMARK_TO_JOINT, strict=True))
_HIPS = [LANDMARK_NAMES.index(name) for name in ("left_hip", "right_hip")]


class Start(IntEnum):
    """How the report of a person begins at a frame."""

    NONE = 0  # it goes on, or there is none
    FOUND = 1  # by the observer itself
    TOLD = 2  # the observer was told where the person is


@dataclass
class RenderedSet:
    """C clips of one person each over T frames; positions in the camera's optical frame, m.

    Landmark arrays of a frame that is not `seen` are zero.
    """

    rays: Tensor  # [C, T, 33, 2] reported (x/z, y/z)
    depth_hint: Tensor  # [C, T, 33] reported, over the focal length
    landmarks: Tensor  # [C, T, 33, 3] m, reported metric landmarks, as in PersonObservation
    visibility: Tensor  # [C, T, 33] reported
    presence: Tensor  # [C, T, 33] reported
    certainty: Tensor  # [C, T, 33] reported
    rival_rays: Tensor  # [C, T, 33, RIVALS, 2] reported; 0 where there is none
    rival_certainty: Tensor  # [C, T, 33, RIVALS] reported; 0: there is none
    score: Tensor  # [C, T] reported
    seen: Tensor  # [C, T] bool: the person was reported
    stray: Tensor  # [C, T] bool: something else was reported as a person (and not recorded)
    start: Tensor  # [C, T] int8: `Start`
    sight: Tensor  # [C, T, 33] int8: `Sight`
    times_s: Tensor  # [C, T]
    true_landmarks: Tensor  # [C, T, 33, 3]
    rotations: Tensor  # [C, T, 24, 3, 3] SMPL; the first turns the body into the optical frame
    betas: Tensor  # [C, 10] of the free body
    pelvis: Tensor  # [C, T, 3]
    joints: Tensor  # [C, T, 24, 3]
    camera_rotation: Tensor  # [C, T, 3, 3] world (y up) -> optical frame
    camera_position: Tensor  # [C, T, 3] world
    camera: Tensor  # [C, 6] fx, fy, cx, cy, width, height, px
    clip: Tensor  # [C] int64: number in the run, which with its seed makes the clip again

    def __len__(self) -> int:
        return len(self.seen)

    def __getitem__(self, index) -> RenderedSet:
        """Some of the clips."""
        return RenderedSet(**{f.name: getattr(self, f.name)[index] for f in fields(self)})

    @classmethod
    def load(cls, *paths: str | Path) -> RenderedSet:
        """Recordings, one after the other; they must have equal numbers of frames."""
        parts = []
        for path in paths:
            if not Path(path).is_file():
                raise InputError(
                    f"no recording at {path}; python -m tools.measure_landmarks record makes one"
                )
            try:
                arrays = read_arrays(Path(path), [f.name for f in fields(cls)])
            except InputError as error:
                raise InputError(f"{error}: record it again") from error
            parts.append({name: _tensor(array) for name, array in arrays.items()})
        frames = {len(part["seen"][0]) for part in parts}
        if len(frames) != 1:
            raise InputError(f"recordings must have equal numbers of frames, got {sorted(frames)}")
        return cls(**{name: torch.cat([part[name] for part in parts]) for name in parts[0]})

    def save(self, path: str | Path) -> None:
        """Positions as float32, confidences as float16."""
        arrays = {f.name: getattr(self, f.name).numpy() for f in fields(self)}
        for name in ("visibility", "presence", "certainty", "rival_certainty", "score"):
            arrays[name] = arrays[name].astype(np.float16)
        np.savez_compressed(path, **arrays)

    def from_first_seen(self) -> RenderedSet:
        """Each clip from the frame on in which the person was found, as a robot's stream of them begins.

        What is missing at the end is the last frame again, not `seen`.
        """
        clips, frames = self.seen.shape
        first = self.seen.float().argmax(1)  # 0 where nobody is ever seen
        columns = first[:, None] + torch.arange(frames)
        beyond, columns = columns >= frames, columns.clamp_max(frames - 1)
        rows = torch.arange(clips)[:, None]
        per_clip = ("betas", "camera", "clip")
        moved = {
            field.name: getattr(self, field.name)
            if field.name in per_clip
            else getattr(self, field.name)[rows, columns]
            for field in fields(self)
        }
        moved["seen"] = moved["seen"] & ~beyond
        step = torch.diff(self.times_s, dim=1).median(1).values[:, None]
        moved["times_s"] = moved["times_s"] + step * beyond.cumsum(1)
        return RenderedSet(**moved)

    @property
    def observations(self) -> ObservationBatch:
        """What the network reads."""
        step = torch.diff(self.times_s, dim=1, prepend=self.times_s[:, :1])
        return ObservationBatch(
            self.rays,
            self.depth_hint,
            self.landmarks,
            self.visibility,
            self.presence,
            self.certainty,
            self.rival_rays,
            self.rival_certainty,
            self.seen,
            step,
        )

    def batches(self, body: BodyModel, size: int = 32) -> list[TrainingBatch]:
        """As `held_out.score` takes them: observations with the truth of `body`'s own joints.

        Every clip begins when its person is found, see `from_first_seen`.
        """
        out = []
        for first in range(0, len(self), size):
            part = self[first : first + size].from_first_seen()
            flat = every_frame(part.rotations, part.betas, part.pelvis, body)
            joints = body.joints_matrices(*flat).unflatten(0, part.seen.shape)
            in_world = (part.camera_rotation.transpose(-1, -2)[:, :, None] @ joints[..., None])[
                ..., 0
            ] + part.camera_position[:, :, None]
            contact = planted_feet(in_world, part.times_s)
            up = part.camera_rotation[..., 1]
            truth = Truth(part.rotations, part.betas, part.pelvis, joints, contact, up)
            out.append(TrainingBatch(part.observations, truth))
        return out

    def facing_landmarks(self) -> Tensor:
        """What the metric landmarks ought to be: [C, T, 33, 3] m."""
        return facing_landmarks(self.true_landmarks)


def facing_landmarks(landmarks: Tensor) -> Tensor:
    """Landmarks [..., 33, 3] of the optical frame about the mid-hip, in a camera turned at it, m."""
    middle = landmarks[..., _HIPS, :].mean(-2)
    return (landmarks - middle[..., None, :]) @ look_at_rotation(project(middle))


def landmark_scores(recorded: RenderedSet) -> dict[str, float]:
    """How good BlazePose's own metric landmarks are: the score to beat.

    12 limb joints, mid-hip aligned, axes turned from the camera that faces the person into the real
    one: `mpjpe`, `pa_mpjpe` (mm) and `accel` (mm/frame^2) over seen frames, `seen` (share).
    """
    seen = recorded.seen
    turn = look_at_rotation(recorded.rays[..., _HIPS, :].mean(-2))
    observed = (recorded.landmarks @ turn.transpose(-1, -2))[..., _LIMB_LANDMARKS, :]
    truth = recorded.joints[..., _LIMB_JOINTS, :]
    hips = [_LIMB_JOINTS.index(joint) for joint in (1, 2)]
    observed, truth = (root_aligned(x, x[..., hips, :].mean(-2)) for x in (observed, truth))
    run = seen[:, 2:] & seen[:, 1:-1] & seen[:, :-2]
    return {
        "mpjpe": float(mean_position_error_mm(observed, truth)[seen].mean()),
        "pa_mpjpe": float(pa_mpjpe_mm(observed, truth)[seen].mean()),
        "accel": float(acceleration_error_mm(observed, truth)[run].mean()),
        "seen": float(seen.float().mean()),
    }


def _tensor(array: np.ndarray) -> Tensor:
    tensor = torch.from_numpy(array)
    return tensor.float() if tensor.is_floating_point() else tensor
