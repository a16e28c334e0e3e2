"""Clips of crops around one person each, with truth: what the image variant is trained on."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from d3pose_core.array_file import read_arrays
from d3pose_core.data.simulator import Truth, planted_feet
from d3pose_core.errors import InputError
from d3pose_core.model.image.features import FrameFeatures
from d3pose_core.recording import atomic_path

# Shape of one clip of T frames, S px crops.
_SHAPES = {
    "images": ("T", "S", "S", 3),
    "center": ("T", 2),
    "size": ("T",),
    "seen": ("T",),
    "times_s": ("T",),
    "rotations": ("T", 24, 3, 3),
    "betas": (10,),
    "pelvis": ("T", 3),
    "joints": ("T", 24, 3),
    "world_joints": ("T", 24, 3),
}


@dataclass(frozen=True)
class ImageClips:
    """N clips of T frames; positions in m, in the camera's optical frame unless said otherwise.

    Raises:
        InputError: arrays that don't fit together.
    """

    images: np.ndarray  # [N, T, S, S, 3] uint8, R, G, B
    center: np.ndarray  # [N, T, 2] viewing ray (x/z, y/z) of the crop's centre
    size: np.ndarray  # [N, T] side of the crop over the focal length
    seen: np.ndarray  # [N, T] bool
    times_s: np.ndarray  # [N, T]
    rotations: np.ndarray  # [N, T, 24, 3, 3] SMPL's
    betas: np.ndarray  # [N, 10]
    pelvis: np.ndarray  # [N, T, 3]
    joints: np.ndarray  # [N, T, 24, 3]
    world_joints: np.ndarray  # [N, T, 24, 3] in the world

    def __post_init__(self) -> None:
        if self.images.ndim != 5:
            raise InputError(f"images must be [N, T, S, S, 3], got {list(self.images.shape)}")
        clips, frames, size = self.images.shape[:3]
        for name, shape in _SHAPES.items():
            sizes = {"T": frames, "S": size}
            expected = (clips, *(sizes.get(n, n) if isinstance(n, str) else n for n in shape))
            if getattr(self, name).shape != expected:
                raise InputError(
                    f"image clips: {name} must be {list(expected)}, "
                    f"got {list(getattr(self, name).shape)}"
                )

    def __len__(self) -> int:
        return len(self.images)

    def pixels(self, clips: Tensor, window: slice = slice(None)) -> Tensor:
        """Crops of some clips, or of a window of each, as a backbone reads them: [B, T, 3, S, S], 0..1."""
        return torch.from_numpy(self.images[clips.numpy(), window]).movedim(-1, 2).float() / 255

    def frames(self, clips: Tensor, features: Tensor, window: slice = slice(None)) -> FrameFeatures:
        """What the network reads of some clips, or of a window, with features [B, T, tokens, width]."""
        times = self._rows("times_s", clips)
        step = torch.diff(times, dim=1, prepend=times[:, :1] - 1 / 30)
        center, size, seen = (self._rows(n, clips)[:, window] for n in ("center", "size", "seen"))
        return FrameFeatures(features, center, size, seen, step[:, window])

    def truth(self, clips: Tensor) -> Truth:
        """What the network should say of some clips."""
        return Truth(
            rotations=self._rows("rotations", clips),
            betas=self._rows("betas", clips),
            pelvis=self._rows("pelvis", clips),
            joints=self._rows("joints", clips),
            contact=planted_feet(self._rows("world_joints", clips), self._rows("times_s", clips)),
            up=torch.zeros_like(self._rows("pelvis", clips)),  # datasets don't say
        )

    def save(self, path: Path) -> None:
        """Write an .npz; InputError if that can't be done."""
        with atomic_path(path) as partial, open(partial, "wb") as file:
            np.savez_compressed(file, **{f.name: getattr(self, f.name) for f in fields(self)})

    @classmethod
    def load(cls, path: str | Path) -> ImageClips:
        """Read what `python -m tools.render_crops` wrote; InputError if it is not that."""
        if not Path(path).is_file():
            raise InputError(
                f"no image clips at {path}; `python -m tools.render_crops --out {path}` makes them"
            )
        try:
            return cls(**read_arrays(Path(path), [f.name for f in fields(cls)]))
        except InputError as error:
            raise InputError(f"{path} does not hold image clips: {error}") from error

    def _rows(self, name: str, clips: Tensor) -> Tensor:
        return torch.from_numpy(getattr(self, name)[clips.numpy()])
