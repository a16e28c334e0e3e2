"""Motion clips as SMPL rotations, and how windows of them are drawn for training.

A shard is an .npz with, for N frames of C clips: `pose_i16` [N, 72] axis-angle in units of
`pose_scale` (rad), `root` [N, 3] position of the pelvis joint (m, y up), `start` [C + 1] clip
offsets, and for each clip `name`, `split`, `label`. Frames are at `fps` (30 Hz).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import roma
import torch
from torch import Tensor

from d3pose_core.array_file import read_arrays
from d3pose_core.errors import InputError
from d3pose_core.skeleton import (
    JOINT_MIRROR,
    JOINT_NAMES,
    JOINT_PARENTS,
    MIRRORED_POINT,
    MIRRORED_ROTATION,
)

SHARD_FPS = 30.0

# Rare in the data and common around robots: people who sit, crouch, or are on the floor.
LABEL_WEIGHTS = {"sit": 4.0, "crouch": 4.0, "floor_acro": 4.0}


@dataclass
class MotionWindows:
    """B windows of T frames of a body in a world whose y axis points up."""

    rotations: Tensor  # [B, T, 24, 3, 3]; the first is the body in the world
    pelvis: Tensor  # [B, T, 3] m, position of the pelvis joint


class MotionLibrary:
    """All clips of some shards that belong to one split."""

    def __init__(self, shards: Sequence[str | Path], split: str):
        poses, roots, clips, offset = [], [], [], 0
        self.rest_leg_m = 0.0  # of the first shard; the others' roots are made as large
        for shard in shards:
            if not Path(shard).is_file():
                raise InputError(f"no motion shard at {shard}; give the path of an .npz shard")
            z = _read_shard(Path(shard))
            leg = float(z["skel_J"][0, 1] - z["skel_J"][:, 1].min())
            self.rest_leg_m = self.rest_leg_m or leg
            for i in np.flatnonzero(z["split"] == split):
                frames = slice(z["start"][i], z["start"][i + 1])
                pose = z["pose_i16"][frames].astype(np.float32) * np.float32(z["pose_scale"])
                poses.append(pose.reshape(-1, 24, 3))
                roots.append(z["root"][frames] * np.float32(self.rest_leg_m / leg))
                clips.append((offset, len(pose), LABEL_WEIGHTS.get(str(z["label"][i]), 1.0)))
                offset += len(pose)
        if not clips:
            raise InputError(f"no clip of split {split!r} in {[str(s) for s in shards]}")
        self.quaternions = roma.rotvec_to_unitquat(torch.from_numpy(np.concatenate(poses)))
        self.roots = torch.from_numpy(np.concatenate(roots))
        self.clip_start, self.clip_length, weight = (
            torch.tensor(c) for c in zip(*clips, strict=True)
        )
        self.clip_weight = weight * self.clip_length

    def __len__(self) -> int:
        return len(self.clip_start)

    def clip(self, index: int) -> MotionWindows:
        """A whole clip as a batch of one."""
        start, length = int(self.clip_start[index]), int(self.clip_length[index])
        frames = torch.arange(length, dtype=torch.float32)[None]
        return self._at(torch.tensor([start]), torch.tensor([length]), frames)

    def sample(self, times_s: Tensor, rng: torch.Generator) -> MotionWindows:
        """Random windows at the given times: any frame rate, mirrored half of the time.

        Args:
            times_s: [B, T] seconds since each window's first frame.
        """
        batch = len(times_s)
        chosen = torch.multinomial(self.clip_weight, batch, replacement=True, generator=rng)
        speed = 0.7 + 0.7 * torch.rand(batch, 1, generator=rng)
        frames = times_s * SHARD_FPS * speed
        start, length = self.clip_start[chosen], self.clip_length[chosen]
        # Where a clip is shorter than the window it holds its last pose.
        slack = (length - 1 - frames[:, -1]).clamp_min(0)
        frames = frames + (torch.rand(batch, generator=rng) * slack)[:, None]
        windows = self._at(start, length, frames)
        return mirror(windows, torch.rand(batch, generator=rng) < 0.5)

    def _at(self, start: Tensor, length: Tensor, frames: Tensor) -> MotionWindows:
        """Poses at fractional frames [B, T] of the clips, interpolated along the shorter arc."""
        frames = torch.minimum(frames, (length - 1).float()[:, None])
        before = frames.long()
        blend = (frames - before)[..., None]
        after = torch.minimum(before + 1, (length - 1)[:, None])
        before, after = before + start[:, None], after + start[:, None]
        q0, q1 = self.quaternions[before], self.quaternions[after]
        q1 = torch.where((q0 * q1).sum(-1, keepdim=True) < 0, -q1, q1)
        quaternions = torch.nn.functional.normalize(torch.lerp(q0, q1, blend[..., None]), dim=-1)
        pelvis = torch.lerp(self.roots[before], self.roots[after], blend)
        return MotionWindows(roma.unitquat_to_rotmat(quaternions), pelvis)


def mirror(windows: MotionWindows, which: Tensor) -> MotionWindows:
    """Swap left and right (reflect x) in the windows where `which` [B] is True."""
    rotations = windows.rotations[:, :, list(JOINT_MIRROR)] * torch.tensor(MIRRORED_ROTATION)
    pelvis = windows.pelvis * torch.tensor(MIRRORED_POINT)
    return MotionWindows(
        torch.where(which[:, None, None, None, None], rotations, windows.rotations),
        torch.where(which[:, None, None], pelvis, windows.pelvis),
    )


def _read_shard(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a shard, of the shapes that the module's docstring gives. Raises InputError."""
    fields = ("pose_i16", "pose_scale", "root", "start", "split", "label", "skel_J")
    shard = read_arrays(path, fields)
    frames, clips = shard["pose_i16"].shape[:1], shard["split"].shape
    expected = {"pose_i16": (*frames, 72), "pose_scale": (), "root": (*frames, 3)}
    expected |= {"skel_J": (24, 3), "label": clips, "start": tuple(n + 1 for n in clips)}
    wrong = [
        f"{name} {list(shard[name].shape)}, not {list(shape)}"
        for name, shape in expected.items()
        if shard[name].shape != shape or shard[name].dtype.kind not in "fiuU"
    ]
    start = shard["start"]
    if wrong or len(clips) != 1 or start.dtype.kind not in "iu":
        raise InputError(
            f"{path} is no motion shard: it has {', '.join(wrong) or 'no list of clips'}"
        )
    bounds = [0, *start.tolist(), *frames]
    if sorted(bounds) != bounds:
        raise InputError(f"{path} is no motion shard: its clips begin at {start[:8].tolist()} ...")
    leg = shard["skel_J"][0, 1] - shard["skel_J"][:, 1].min()
    if not 0 < leg < np.inf:
        raise InputError(f"{path} is no motion shard: its body skel_J has no legs")
    return shard


def widen(windows: MotionWindows, others: MotionWindows, rng: torch.Generator) -> MotionWindows:
    """More variety from little data: upper bodies change partners, and each joint is turned a little.

    A third of the windows get the upper body of their partner in `others`, which must be of the same
    times: else it would move too fast or too slowly.
    """
    swapped = torch.rand(len(windows.rotations), generator=rng) < 0.33
    rotations = windows.rotations.clone()
    upper = torch.tensor(_UPPER_BODY)
    rotations[:, :, upper] = torch.where(
        swapped[:, None, None, None, None], others.rotations[:, :, upper], rotations[:, :, upper]
    )
    return MotionWindows(turned_a_little(rotations, rng), windows.pelvis)


def turned_a_little(rotations: Tensor, rng: torch.Generator) -> Tensor:
    """`rotations` [B, T, 24, 3, 3] with a small extra turn of every joint but the pelvis.

    It drifts from one value to another over the window (of each, a standard deviation of 6 degrees about each
    axis).
    """
    batch, frames = rotations.shape[:2]
    ends = torch.randn(2, batch, 1, 23, 3, generator=rng) * 0.1
    blend = torch.linspace(0, 1, frames)[:, None, None]
    extra = roma.rotvec_to_rotmat(torch.lerp(ends[0], ends[1], blend))
    return torch.cat([rotations[:, :, :1], rotations[:, :, 1:] @ extra], 2)


def _descendants(joint: int) -> list[int]:
    children = [c for c, parent in enumerate(JOINT_PARENTS) if parent == joint]
    return [joint, *(d for child in children for d in _descendants(child))]


_UPPER_BODY = _descendants(JOINT_NAMES.index("spine1"))
