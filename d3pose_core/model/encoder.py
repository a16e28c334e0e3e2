"""The encoder: shifted-window attention over time x landmarks, hierarchical, four stages.

After "Swin Transformer" (Liu et al. 2021), with body parts as the windows' spatial axis and the
recent past as their temporal one. The first of the two masks acts here: no attention to the future,
across the seam of a shifted window, to landmarks of frames without the person, or to hidden ones.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from d3pose_core.model.attention import (
    FeedForward,
    TimeBias,
    causal_band,
    masked_attention,
    past_windows,
)
from d3pose_core.model.config import LANDMARK_SLOTS, D3PoseConfig
from d3pose_core.model.timeline import Timeline
from d3pose_core.model.tokens import FRAME_FEATURES, LANDMARK_FEATURES, Tokens, slot_index


class LandmarkEmbedding(nn.Module):
    """Features -> the first stage's tokens, one learned projection offset for each slot."""

    def __init__(self, dim: int, slots: int):
        super().__init__()
        self.landmark = nn.Linear(LANDMARK_FEATURES, dim)
        self.frame = nn.Linear(FRAME_FEATURES, dim)
        self.slot = nn.Parameter(torch.randn(slots, dim) * 0.02)
        self.hidden = nn.Parameter(torch.zeros(dim))  # stands in for what was not seen
        self.order: Tensor
        self.register_buffer("order", slot_index(), persistent=False)

    def forward(self, tokens: Tokens) -> tuple[Tensor, Tensor]:
        """Returns slot tokens [B, T, S, d] and whether each may be attended to [B, T, S] bool.

        The frame's own slot always may, also in a frame in which the person was not seen: it says how long
        that was, and nothing of the landmarks.
        """
        landmark = self.landmark(tokens.landmark_features)
        landmark = torch.where(tokens.visible[..., None], landmark, self.hidden)
        frame = self.frame(tokens.frame_features)[:, :, None]
        filler = self.hidden.expand_as(frame)
        x = torch.cat([landmark, frame, filler], 2)[:, :, self.order] + self.slot
        ones = torch.ones_like(tokens.visible[..., :1])
        visible = torch.cat([tokens.visible, ones, ~ones], -1)[..., self.order]
        return x, visible


class WindowBlock(nn.Module):
    """Attention inside windows of `frames` x `window` tokens, then a feed-forward layer."""

    def __init__(
        self,
        dim: int,
        heads: int,
        slots: int,
        window: int,
        shift: int,
        frames: int,
        mlp_ratio: float,
    ):
        super().__init__()
        self.heads, self.slots, self.window, self.shift = heads, slots, window, shift
        self.history = frames - 1
        self.norm = nn.LayerNorm(dim)
        self.qkv = nn.Linear(dim, 3 * dim)
        self.project = nn.Linear(dim, dim)
        self.feed_forward = FeedForward(dim, mlp_ratio)
        self.time_bias = TimeBias(heads)
        self.slot_bias = nn.Parameter(torch.zeros(heads, window, window))
        # A shifted window that wraps around holds two ends of the body that are no neighbours.
        region = torch.roll((torch.arange(slots) < shift).int(), -shift).view(-1, window)
        same = region[:, :, None] == region[:, None, :]  # [windows, window, window]
        self.same_region: Tensor
        self.register_buffer("same_region", same, persistent=False)

    def forward(self, x: Tensor, cache: Tensor, timeline: Timeline) -> tuple[Tensor, Tensor]:
        """One block over T new frames.

        Args:
            x: [B, T, S, d] tokens.
            cache: [B, history, S, 2d] keys and values of the frames before.
            timeline: of history + T frames, `visible` at this stage's slots.

        Returns:
            tokens [B, T, S, d] and the cache for what comes next.
        """
        batch, new, slots, dim = x.shape
        q, kv = torch.roll(self.qkv(self.norm(x)), -self.shift, 2).split([dim, 2 * dim], -1)
        kv = torch.cat([cache, kv], 1)
        visible = torch.roll(timeline.visible, -self.shift, 2)

        # Long inputs are cut into chunks, so that the score matrix stays a narrow band.
        chunk = min(new, 2 * self.history)
        fill = -new % chunk
        if fill:
            q, kv_run, visible = (_pad_frames(t, fill) for t in (q, kv, visible))
            age = _pad_frames(timeline.age_s, fill)
        else:
            kv_run, age = kv, timeline.age_s
        runs = (new + fill) // chunk
        span = self.history + chunk
        windows, head_dim = slots // self.window, dim // self.heads

        def split(t: Tensor, frames: int) -> Tensor:
            """[B, runs, frames, S, d] -> [B, runs, windows, heads, frames * window, head_dim]."""
            t = t.reshape(batch, runs, frames, windows, self.window, self.heads, head_dim)
            return t.permute(0, 1, 3, 5, 2, 4, 6).flatten(4, 5)

        k, v = past_windows(kv_run, self.history, chunk).chunk(2, -1)
        q = split(q.view(batch, runs, chunk, slots, dim), chunk)
        bias, allowed = self._bias_and_mask(age, visible, chunk, runs)
        out = masked_attention(q, split(k, span), split(v, span), bias, allowed)
        out = out.unflatten(4, (chunk, self.window)).permute(0, 1, 4, 2, 5, 3, 6)
        out = out.reshape(batch, runs * chunk, slots, dim)[:, :new]
        x = x + torch.roll(self.project(out), self.shift, 2)
        return x + self.feed_forward(x), kv[:, new:]

    def _bias_and_mask(
        self, age: Tensor, visible: Tensor, chunk: int, runs: int
    ) -> tuple[Tensor, Tensor]:
        """Both broadcastable to [B, runs, windows, heads, chunk * window, span * window]."""
        batch, span, window = age.shape[0], self.history + chunk, self.window
        ages = past_windows(age, self.history, chunk)  # [B, runs, span]
        elapsed = ages[:, :, None, :] - ages[:, :, self.history :, None]  # [B, runs, chunk, span]
        time = self.time_bias(elapsed).permute(0, 1, 4, 2, 3)  # [B, runs, heads, chunk, span]
        bias = time[:, :, :, :, None, :, None] + self.slot_bias[:, None, :, None, :]
        bias = bias.reshape(batch, runs, 1, self.heads, chunk * window, span * window)

        key = past_windows(visible, self.history, chunk)  # [B, runs, span, S]
        key = key.view(batch, runs, span, -1, window).transpose(2, 3)  # [B, runs, windows, span, w]
        band = causal_band(self.history, chunk, age.device)
        allowed = key[:, :, :, None, None] & band[:, None, :, None]
        allowed = allowed & self.same_region[:, None, :, None, :]
        # A token always sees itself, else a hidden landmark's softmax would be empty.
        itself = torch.eye(chunk, dtype=torch.bool, device=age.device)
        itself = torch.cat([itself.new_zeros(chunk, self.history), itself], 1)
        itself = (
            itself[:, None, :, None]
            & torch.eye(window, dtype=torch.bool, device=age.device)[None, :, None, :]
        )
        allowed = (allowed | itself).flatten(5, 6).flatten(3, 4)
        return bias, allowed[:, :, :, None]


class MergeSlots(nn.Module):
    """Neighbouring slots become one, wider: Swin's patch merging along the body."""

    def __init__(self, dim: int, merged: int, out_dim: int):
        super().__init__()
        self.merged = merged
        self.norm = nn.LayerNorm(dim * merged)
        self.reduce = nn.Linear(dim * merged, out_dim)

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, S, d] -> [B, T, S / merged, out_dim]."""
        return self.reduce(self.norm(x.unflatten(2, (-1, self.merged)).flatten(3)))


class Encoder(nn.Module):
    """Four stages; each also gives one pose-like token a frame for the decoder block of its depth."""

    def __init__(self, config: D3PoseConfig):
        super().__init__()
        self.config = config
        self.embed = LandmarkEmbedding(config.landmark_dim, LANDMARK_SLOTS)
        self.merge_landmarks = (
            nn.Identity()
            if config.slots[0] == LANDMARK_SLOTS
            else MergeSlots(
                config.landmark_dim, LANDMARK_SLOTS // config.slots[0], config.embed_dims[0]
            )
        )
        self.stages, self.merges, self.regressors = (nn.ModuleList() for _ in range(3))
        for s, (dim, slots) in enumerate(zip(config.embed_dims, config.slots, strict=True)):
            window = config.slot_windows[s]
            # Every second block is shifted, unless one window spans the whole body.
            shift = window // 2 if window < slots else 0
            self.stages.append(
                nn.ModuleList(
                    WindowBlock(
                        dim,
                        config.heads[s],
                        slots,
                        window,
                        shift if block % 2 else 0,
                        config.encoder_frames,
                        config.mlp_ratio,
                    )
                    for block in range(config.depths[s])
                )
            )
            if s:
                merged = config.slots[s - 1] // slots
                self.merges.append(MergeSlots(config.embed_dims[s - 1], merged, dim))
            self.regressors.append(
                nn.Sequential(
                    nn.Flatten(2),
                    nn.LayerNorm(slots * dim),
                    nn.Linear(slots * dim, config.decoder_dim),
                )
            )

    def empty_cache(self, batch: int, device: torch.device) -> list[Tensor]:
        """The keys and values of a track that has no past, one tensor a block."""
        config, history = self.config, self.config.encoder_frames - 1
        return [
            torch.zeros(batch, history, config.slots[s], 2 * config.embed_dims[s], device=device)
            for s in range(len(config.slots))
            for _ in range(config.depths[s])
        ]

    def forward(
        self, x: Tensor, cache: list[Tensor], timeline: Timeline
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Encode T new frames.

        Args:
            x: [B, T, S, d] from `embed`.
            cache: of the frames before, see `empty_cache`.
            timeline: of encoder_frames - 1 + T frames, `visible` at the landmarks' slots.

        Returns:
            one pose-like token a frame from each stage, [B, T, decoder_dim] each, and the new
            cache.
        """
        poses, new_cache, block_index = [], [], 0
        x = self.merge_landmarks(x)
        for s, blocks in enumerate(self.stages):
            if s:
                x = self.merges[s - 1](x)
            merged = timeline.visible.unflatten(2, (self.config.slots[s], -1)).any(-1)
            timeline = Timeline(timeline.age_s, timeline.seen, merged)
            for block in cast(nn.ModuleList, blocks):
                x, kept = block(x, cache[block_index], timeline)
                new_cache.append(kept)
                block_index += 1
            poses.append(self.regressors[s](x))
        return poses, new_cache


def _pad_frames(x: Tensor, frames: int) -> Tensor:
    """Append copies of the last frame along dim 1; only ever attended to by their own discarded rows."""
    return torch.cat([x, x[:, -1:].expand(-1, frames, *x.shape[2:])], 1)
