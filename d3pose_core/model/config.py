"""The one configuration of the D3Pose network; it travels inside every checkpoint."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from d3pose_core.errors import InputError


@dataclass(frozen=True)
class D3PoseConfig:
    """Sizes of the network. Stage s sees `slots[s]` tokens a frame, each `embed_dims[s]` wide.

    The first stage's 36 slots hold the 33 landmarks, one frame token and two fillers in body order
    (see `tokens.SLOT_ORDER`), so that every window of six is one part of the body.
    """

    embed_dims: tuple[int, ...] = (32, 48, 96, 128)
    depths: tuple[int, ...] = (2, 2, 2, 2)
    heads: tuple[int, ...] = (2, 3, 4, 4)
    slots: tuple[int, ...] = (36, 18, 9, 3)
    slot_windows: tuple[int, ...] = (6, 6, 9, 3)
    encoder_frames: int = 5  # a window's length in time; eight blocks of 5 see the last 33 frames
    decoder_dim: int = 192
    decoder_heads: int = 6
    decoder_frames: int = 30  # past poses and stage tokens a decoder block attends to
    mlp_ratio: float = 2.0
    min_presence: float = 0.3  # a landmark less likely than this to be in the image is masked

    def __post_init__(self) -> None:
        stages = len(self.embed_dims)
        for name in ("depths", "heads", "slots", "slot_windows"):
            if len(getattr(self, name)) != stages:
                raise InputError(
                    f"{name} must have one entry a stage ({stages}), got {getattr(self, name)}"
                )
        for dim, heads in zip(
            (*self.embed_dims, self.decoder_dim), (*self.heads, self.decoder_heads), strict=True
        ):
            if dim % heads:
                raise InputError(f"a width of {dim} does not divide into {heads} heads")
        for slots, window in zip(self.slots, self.slot_windows, strict=True):
            if slots % window:
                raise InputError(f"{slots} slots do not divide into windows of {window}")
        for fine, coarse in zip(self.slots, self.slots[1:], strict=False):
            if fine % coarse:
                raise InputError(f"{fine} slots do not merge into {coarse}")
        if self.encoder_frames < 2 or self.decoder_frames < 2:
            raise InputError(
                "the windows must span at least 2 frames, got "
                f"encoder_frames={self.encoder_frames}, decoder_frames={self.decoder_frames}"
            )

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> D3PoseConfig:
        """From a parsed JSON or YAML mapping; unknown names are an error, lists become tuples."""
        known = {field.name for field in dataclasses.fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise InputError(f"unknown network options {unknown}; known are {sorted(known)}")
        options: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in values.items()
        }
        return cls(**options)

    def to_dict(self) -> dict:
        return dataclasses.asdict(self)
