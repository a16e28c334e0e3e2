"""Sizes of the image variant."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from d3pose_core.configuration import options
from d3pose_core.errors import InputError
from d3pose_core.model.config import D3PoseConfig


@dataclass(frozen=True)
class ImageConfig:
    """The defaults are the original research model's: CLIP ViT-B/32's 50 tokens of 768 numbers a frame.

    Each token is cut into `parts` pieces, so that 30 frames are 30 x 200 x 192; `patch` neighbouring
    pieces become one slot of the first stage. Stage s sees `slots[s]` slots a frame, `embed_dims[s]`
    wide, in windows of `window` slots and `window` frames.
    """

    backbone: str = "vit_base_patch32_clip_224.openai"  # any timm name
    image_size: int = 224  # px, side of the square crop
    tokens: int = 50  # that the backbone gives a frame
    width: int = 768  # of each of them
    parts: int = 4
    patch: int = 2
    embed_dims: tuple[int, ...] = (48, 96, 192, 384)
    depths: tuple[int, ...] = (2, 2, 6, 2)
    heads: tuple[int, ...] = (3, 6, 12, 24)
    slots: tuple[int, ...] = (100, 50, 25, 5)
    window: int = 5
    decoder_dim: int = 192
    decoder_heads: int = 6
    decoder_frames: int = 30
    mlp_ratio: float = 4.0

    def __post_init__(self) -> None:
        stages = len(self.slots)
        for name in ("embed_dims", "depths", "heads"):
            if len(getattr(self, name)) != stages:
                raise InputError(
                    f"{name} must have one entry a stage ({stages}), got {getattr(self, name)}"
                )
        sizes = (*self.embed_dims, *self.depths, *self.heads, *self.slots, self.window, self.width)
        sizes += (self.tokens, self.parts, self.patch, self.image_size)
        if min(sizes, default=0) < 1 or not self.mlp_ratio > 0 or max(self.depths) > 100:
            raise InputError(f"sizes must be positive, and depths at most 100, got {self}")
        for dim, heads in zip(self.embed_dims, self.heads, strict=True):
            if dim % heads:
                raise InputError(f"a width of {dim} does not divide into {heads} heads")
        if self.width % self.parts:
            raise InputError(f"tokens of {self.width} numbers don't divide into {self.parts} parts")
        if self.tokens * self.parts != self.slots[0] * self.patch:
            raise InputError(
                f"{self.tokens} tokens in {self.parts} parts are {self.tokens * self.parts} rows a "
                f"frame; the first stage's {self.slots[0]} slots of {self.patch} rows need "
                f"{self.slots[0] * self.patch}"
            )
        for fine, coarse in zip(self.slots, self.slots[1:], strict=False):
            if fine % coarse:
                raise InputError(f"{fine} slots do not merge into {coarse}")
        for slots in self.slots:
            if slots % self.window:
                raise InputError(f"{slots} slots do not divide into windows of {self.window}")
        self.decoder_config()  # says what is wrong with the decoder's sizes

    @property
    def columns(self) -> int:
        """Numbers in a row: 192 in the original model."""
        return self.width // self.parts

    @property
    def least_size(self) -> float:
        """Weights that such a network has at least: four matrices of attention and a block's MLP."""
        blocks = sum(
            depth * dim**2 for depth, dim in zip(self.depths, self.embed_dims, strict=True)
        )
        blocks += len(self.depths) * self.decoder_dim**2
        return (4 + 2 * self.mlp_ratio) * blocks

    def decoder_config(self) -> D3PoseConfig:
        """What the decoder, which both variants share, reads of a configuration."""
        return D3PoseConfig(
            decoder_dim=self.decoder_dim,
            decoder_heads=self.decoder_heads,
            decoder_frames=self.decoder_frames,
            encoder_frames=self.window,
            mlp_ratio=self.mlp_ratio,
            corrections=False,  # there are no landmarks to compare with,
            refinement=False,  # nor to fit to
        )

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ImageConfig:
        """From a parsed JSON or YAML mapping; unknown names are an error, lists become tuples."""
        return options(cls, values, "the network's configuration", "network options")

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)
