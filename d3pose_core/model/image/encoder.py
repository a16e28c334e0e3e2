"""The image variant's encoder: shifted windows over time x pieces of the backbone's tokens.

The blocks are those of the landmark encoder (`model.encoder.WindowBlock`): their mask is -inf on the
future, on frames without the person and across the seam of a shifted window.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from d3pose_core.errors import InputError
from d3pose_core.model.encoder import MergeSlots, WindowBlock
from d3pose_core.model.image.config import ImageConfig
from d3pose_core.model.image.features import FRAME_NUMBERS, FrameFeatures
from d3pose_core.model.timeline import Timeline


class PatchEmbedding(nn.Module):
    """Features of a frame, [tokens, width], as a grid of rows; `patch` rows become one slot's token."""

    def __init__(self, config: ImageConfig) -> None:
        super().__init__()
        self.config = config
        self.norm = nn.LayerNorm(config.width)
        self.rows = nn.Linear(config.patch * config.columns, config.embed_dims[0])
        self.frame = nn.Linear(FRAME_NUMBERS, config.embed_dims[0])
        self.slot = nn.Parameter(torch.randn(config.slots[0], config.embed_dims[0]) * 0.02)
        self.unseen = nn.Parameter(torch.zeros(config.embed_dims[0]))

    def forward(self, batch: FrameFeatures) -> Tensor:
        """[B, T, slots, d]."""
        config = self.config
        if batch.features.shape[2:] != (config.tokens, config.width):
            raise InputError(
                f"features must be [B, T, {config.tokens}, {config.width}], "
                f"got {list(batch.features.shape)}"
            )
        # [B, T, 50, 768] -> [B, T, 200, 192] -> [B, T, 100, 2 * 192]
        grid = self.norm(batch.features).reshape(*batch.seen.shape, config.slots[0], -1)
        x = torch.where(batch.seen[..., None, None], self.rows(grid), self.unseen)
        return x + self.frame(batch.frame_numbers())[:, :, None] + self.slot


class ImageEncoder(nn.Module):
    """Four stages; each gives one pose-like token a frame for the decoder block of its depth."""

    def __init__(self, config: ImageConfig) -> None:
        super().__init__()
        self.config = config
        self.embed = PatchEmbedding(config)
        self.stages, self.merges, self.regressors = (nn.ModuleList() for _ in range(3))
        for s, (dim, slots) in enumerate(zip(config.embed_dims, config.slots, strict=True)):
            # Every second block is shifted, unless one window spans the whole frame.
            shift = config.window // 2 if config.window < slots else 0
            blocks = (
                WindowBlock(
                    dim,
                    config.heads[s],
                    slots,
                    config.window,
                    shift if block % 2 else 0,
                    config.window,
                    config.mlp_ratio,
                )
                for block in range(config.depths[s])
            )
            self.stages.append(nn.ModuleList(blocks))
            if s:
                merged = config.slots[s - 1] // slots
                self.merges.append(MergeSlots(config.embed_dims[s - 1], merged, dim))
            regressor = (nn.LayerNorm(slots * dim), nn.Linear(slots * dim, config.decoder_dim))
            self.regressors.append(nn.Sequential(nn.Flatten(2), *regressor))

    def empty_cache(self, batch: int, device: torch.device) -> list[Tensor]:
        """The keys and values of a track that has no past, one tensor a block."""
        config = self.config
        return [
            torch.zeros(batch, config.window - 1, slots, 2 * dim, device=device)
            for slots, dim, depth in zip(
                config.slots, config.embed_dims, config.depths, strict=True
            )
            for _ in range(depth)
        ]

    def forward(
        self, x: Tensor, cache: list[Tensor], timeline: Timeline
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Encode T new frames.

        Args:
            x: [B, T, slots, d] from `embed`.
            cache: of the frames before, see `empty_cache`.
            timeline: of window - 1 + T frames.

        Returns:
            one pose-like token a frame from each stage, [B, T, decoder_dim] each, and the new
            cache.
        """
        poses: list[Tensor] = []
        new_cache: list[Tensor] = []
        for s, blocks in enumerate(self.stages):
            if s:
                x = self.merges[s - 1](x)
            # A frame is seen with all of its slots or not at all.
            visible = timeline.seen[..., None].expand(-1, -1, self.config.slots[s])
            here = Timeline(timeline.age_s, timeline.seen, visible)
            for block in cast(nn.ModuleList, blocks):
                x, kept = block(x, cache[len(new_cache)], here)
                new_cache.append(kept)
            poses.append(self.regressors[s](x))
        return poses, new_cache
