"""One record for all datasets: people over time in front of a camera, in the camera's optical frame."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from d3pose_core.camera import Intrinsics
from d3pose_core.distortion import Distortion
from d3pose_core.errors import InputError

Y_UP, Z_UP = np.array([0.0, 1.0, 0.0]), np.array([0.0, 0.0, 1.0])


@dataclass(frozen=True, eq=False)
class SmplTrack:
    """SMPL parameters of one person over F frames, in the camera's optical frame; float64.

    `vertices = LBS(betas, global_orient, body_pose) + transl` are camera-frame points of the body model
    that `model` and `gender` name.
    """

    model: str  # "smpl", "smplh" or "smplx": which family the betas belong to
    gender: str  # "neutral", "female" or "male"
    betas: np.ndarray  # [F, 10]
    global_orient: np.ndarray  # [F, 3] axis-angle, rad
    body_pose: np.ndarray  # [F, 23, 3] axis-angle, rad
    transl: np.ndarray  # [F, 3] m, smplx's `transl`, not the pelvis

    @property
    def pose(self) -> np.ndarray:
        """[F, 24, 3] axis-angle, rad: `global_orient` and `body_pose`."""
        return np.concatenate([self.global_orient[:, None], self.body_pose], axis=1)


@dataclass(frozen=True, eq=False)
class Joints3D:
    """Joints as the dataset itself gives them, in the camera's optical frame."""

    names: tuple[str, ...]  # J
    positions: np.ndarray  # [F, J, 3] m


@dataclass(frozen=True, eq=False)
class Joints2D:
    """Image positions as the dataset itself gives them."""

    names: tuple[str, ...]  # K
    pixels: np.ndarray  # [F, K, 2] px
    confidence: np.ndarray  # [F, K] 0..1; 0 where the dataset has none


@dataclass(frozen=True, eq=False)
class DatasetPerson:
    """One person of a sequence. Rows of frames that are not `valid` hold nothing to rely on."""

    person_id: int
    valid: np.ndarray  # [F] bool: annotated, and the camera's pose is known
    smpl: SmplTrack | None = None
    smpl_missing_because: str = ""  # why `smpl` is None, and what to do about it
    joints: Joints3D | None = None
    joints_2d: Joints2D | None = None
    boxes: np.ndarray | None = None  # [F, 4] x0, y0, x1, y1, px

    def need_smpl(self) -> SmplTrack:
        """`smpl`. Raises InputError with the reason where there is none."""
        if self.smpl is None:
            reason = self.smpl_missing_because or "the dataset has none"
            raise InputError(f"person {self.person_id} has no SMPL parameters: {reason}")
        return self.smpl


@dataclass(frozen=True, eq=False)
class DatasetSequence:
    """F frames of one camera. `rotation @ x + translation` brings a world point into the optical frame.

    Without a camera (motion capture) `intrinsics` is None, the transform is the identity, and people are
    in the dataset's own world, whose vertical is `up`.

    Raises:
        InputError: arrays whose lengths differ.
    """

    dataset: str
    name: str
    split: str
    subject: str  # who is seen, as the dataset calls them; "" where it doesn't say
    frame_ids: np.ndarray  # [F] int64, the dataset's own numbering
    times_s: np.ndarray  # [F] s from the sequence's start
    rotation: np.ndarray  # [F, 3, 3] world -> optical frame
    translation: np.ndarray  # [F, 3] m
    people: tuple[DatasetPerson, ...]
    intrinsics: Intrinsics | None = None
    image_paths: tuple[Path, ...] = ()  # F, or none; images need not be on this disk
    up: np.ndarray | None = None  # [3] of the world; None where it isn't known
    action: str = ""

    def __post_init__(self) -> None:
        frames = len(self.frame_ids)
        lengths = {
            "times_s": len(self.times_s),
            "rotation": len(self.rotation),
            "translation": len(self.translation),
            "image_paths": len(self.image_paths) or frames,
        }
        for person in self.people:
            lengths[f"valid of person {person.person_id}"] = len(person.valid)
            if person.smpl is not None:
                lengths[f"SMPL of person {person.person_id}"] = len(person.smpl.transl)
        wrong = {name: length for name, length in lengths.items() if length != frames}
        if wrong:
            raise InputError(
                f"{self.dataset} {self.name}: {frames} frames, but {wrong}; the file is damaged"
            )

    def __len__(self) -> int:
        return len(self.frame_ids)

    @property
    def fps(self) -> float:
        """Of neighbouring frames; nan for a single one."""
        steps = np.diff(self.times_s)
        return float(1 / np.median(steps)) if len(steps) else float("nan")

    def into_camera(self, world_points: np.ndarray) -> np.ndarray:
        """World points [F, N, 3] -> optical frame [F, N, 3], m."""
        turned = np.einsum("fij,fnj->fni", self.rotation, world_points)
        return turned + self.translation[:, None]


def pinhole(
    matrix: np.ndarray, width: int, height: int, distortion: Distortion | None = None
) -> Intrinsics:
    """The camera of a matrix [3, 3] (or larger), px."""
    fx, fy, cx, cy = (float(matrix[at]) for at in ((0, 0), (1, 1), (0, 2), (1, 2)))
    return Intrinsics(fx, fy, cx, cy, int(width), int(height), distortion)
