"""The one configuration of the D3Pose network; it travels inside every checkpoint."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from d3pose_core.configuration import options
from d3pose_core.errors import InputError

VARIANTS = ("swin", "basic")
LANDMARK_SLOTS = 36  # the length of `tokens.SLOT_ORDER`

_MOST_FRAMES, _MOST_BLOCKS = 1000, 100
_BASIC: dict[str, Any] = {
    "variant": "basic",
    "embed_dims": (128,) * 4,
    "heads": (4,) * 4,
    "slots": (1,) * 4,
    "slot_windows": (1,) * 4,
    "encoder_frames": 30,
}


@dataclass(frozen=True)
class D3PoseConfig:
    """Sizes of the network. Stage s sees `slots[s]` tokens a frame, each `embed_dims[s]` wide.

    The defaults are the `swin` variant: the first stage's 36 slots hold the 33 landmarks, one frame token
    and two fillers in body order (see `tokens.SLOT_ORDER`), so that every window of six is one part of
    the body; every second block's windows are shifted. `D3PoseConfig.basic()` is plain attention: all
    landmarks of a frame are one token, which sees those of the last 30 frames.
    """

    variant: str = "swin"
    merged_landmark_dim: int = 32  # of a landmark's token where the first stage has fewer slots
    embed_dims: tuple[int, ...] = (32, 48, 96, 128)
    depths: tuple[int, ...] = (2, 2, 2, 2)
    heads: tuple[int, ...] = (2, 3, 4, 4)
    slots: tuple[int, ...] = (36, 18, 9, 3)
    slot_windows: tuple[int, ...] = (6, 6, 9, 3)
    encoder_frames: int = 5  # a window's length in time; eight blocks of 5 see the last 33 frames
    decoder_dim: int = 192
    decoder_heads: int = 6
    decoder_frames: int = 30  # past poses and stage tokens a decoder block attends to
    corrections: bool = (
        True  # before each decoder block, by what the pose so far misses (correction.py)
    )
    refinement: bool = True  # the pose is fitted to the landmarks at the end (refinement.py)
    mlp_ratio: float = 2.0
    min_presence: float = 0.3  # a landmark less likely than this to be in the image is masked

    def __post_init__(self) -> None:
        stages = len(self.embed_dims)
        if self.variant not in VARIANTS:
            raise InputError(f"variant must be one of {VARIANTS}, got {self.variant!r}")
        for name in ("depths", "heads", "slots", "slot_windows"):
            if len(getattr(self, name)) != stages:
                raise InputError(
                    f"{name} must have one entry a stage ({stages}), got {getattr(self, name)}"
                )
        sizes = (*self.embed_dims, *self.depths, *self.heads, *self.slots, *self.slot_windows)
        sizes += (self.merged_landmark_dim, self.decoder_dim, self.decoder_heads)
        if min(sizes, default=0) < 1 or not self.mlp_ratio > 0 or max(self.depths) > _MOST_BLOCKS:
            raise InputError(
                f"sizes must be positive, and a stage has at most {_MOST_BLOCKS} blocks, got {self}"
            )
        for dim, heads in zip(
            (*self.embed_dims, self.decoder_dim), (*self.heads, self.decoder_heads), strict=True
        ):
            if dim % heads:
                raise InputError(f"a width of {dim} does not divide into {heads} heads")
        for slots, window in zip(self.slots, self.slot_windows, strict=True):
            if slots % window:
                raise InputError(f"{slots} slots do not divide into windows of {window}")
        for fine, coarse in zip((LANDMARK_SLOTS, *self.slots), self.slots, strict=False):
            if fine % coarse:
                raise InputError(f"{fine} slots do not merge into {coarse}")
        if self.variant == "basic" and self.slot_windows != self.slots:
            raise InputError(
                f"the basic variant has no windows: slot_windows must be {self.slots}, "
                f"got {self.slot_windows}"
            )
        if self.refinement and not self.corrections:
            raise InputError("refinement: true needs corrections: true; set refinement: false, too")
        frames = (self.encoder_frames, self.decoder_frames)
        if min(frames) < 2 or max(frames) > _MOST_FRAMES:
            raise InputError(
                f"the windows must span 2 to {_MOST_FRAMES} frames, got "
                f"encoder_frames={self.encoder_frames}, decoder_frames={self.decoder_frames}"
            )
        if not 0 <= self.min_presence < 1:
            raise InputError(
                f"min_presence must be a probability of at least 0 and below 1, got {self.min_presence}"
            )

    @property
    def landmark_dim(self) -> int:
        """The width of a landmark's token."""
        merges = self.slots[0] != LANDMARK_SLOTS
        return self.merged_landmark_dim if merges else self.embed_dims[0]

    @property
    def least_size(self) -> float:
        """Weights that such a network has at least: four matrices of attention and a block's MLP."""
        blocks = sum(
            depth * dim**2 for depth, dim in zip(self.depths, self.embed_dims, strict=True)
        )
        blocks += len(self.depths) * self.decoder_dim**2
        return (4 + 2 * self.mlp_ratio) * blocks + self.merged_landmark_dim

    @classmethod
    def basic(cls, **changes: Any) -> D3PoseConfig:
        """Plain attention over time instead of shifted windows over time and body."""
        return cls(**_BASIC | changes)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> D3PoseConfig:
        """From a parsed JSON or YAML mapping; unknown names are an error, lists become tuples."""
        if isinstance(values, dict) and values.get("variant") == "basic":
            values = {**_BASIC, **values}
        return options(cls, values, "the network's configuration", "network options")

    @classmethod
    def of_trained(cls, values: dict[str, Any]) -> D3PoseConfig:
        """As `from_dict`, of a network in a file: one older than an option was made without it."""
        return cls.from_dict({"refinement": False, **values})

    def to_dict(self) -> dict:
        return dataclasses.asdict(self)
