"""The encoder's part of a single-frame step: see `single_frame`."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from d3pose_core.model.config import LANDMARK_SLOTS, D3PoseConfig
from d3pose_core.model.encoder import Encoder, LandmarkEmbedding, MergeSlots, WindowBlock
from d3pose_core.model.tokens import FILLER_SLOT, FRAME_SLOT, SLOT_ORDER
from d3pose_core.runtime.layers import Affine, Norm, RowFeedForward, TimeBiases, attend, constant
from d3pose_core.skeleton import LANDMARK_NAMES, NUM_LANDMARKS

NEVER = float("-inf")


class SlotTokens(nn.Module):
    """`LandmarkEmbedding` of one frame."""

    def __init__(self, embedding: LandmarkEmbedding) -> None:
        super().__init__()
        self.landmark = Affine.of(embedding.landmark)
        self.frame = Affine.of(embedding.frame)
        self.hidden = constant(embedding.hidden)
        filler = torch.tensor([name == FILLER_SLOT for name in SLOT_ORDER])[:, None]
        # Fillers take any token, times zero.
        self.order: Tensor
        self.register_buffer("order", embedding.order.clamp_max(NUM_LANDMARKS), persistent=False)
        self.keep = constant((~filler).to(embedding.slot.dtype))
        self.slot = constant(embedding.slot + filler * embedding.hidden)

    def forward(self, features: Tensor, frame_features: Tensor, visible: Tensor) -> Tensor:
        """Features of landmarks [B, 33, LANDMARK_FEATURES] and frame [B, 4], bool [B, 33] -> [B, 36, d]."""
        landmark = self.landmark(features.flatten(0, 1)).reshape(
            -1, NUM_LANDMARKS, len(self.hidden)
        )
        landmark = torch.where(visible[..., None], landmark, self.hidden)
        frame = self.frame(frame_features)[:, None]
        return torch.cat([landmark, frame], 1)[:, self.order] * self.keep + self.slot


class RowMerge(nn.Module):
    """`MergeSlots` on rows: [B, S, d] -> [B * S / merged, out]."""

    def __init__(self, merge: MergeSlots) -> None:
        super().__init__()
        self.norm, self.reduce = Norm(merge.norm), Affine.of(merge.reduce)

    def forward(self, x: Tensor) -> Tensor:
        return self.reduce(self.norm(x.reshape(-1, len(self.norm.weight))))


class RowWindowBlock(nn.Module):
    """`WindowBlock` of one frame; its rows come in the order of its windows."""

    def __init__(self, block: WindowBlock) -> None:
        super().__init__()
        self.heads, self.window, self.shift = block.heads, block.window, block.shift
        self.windows, self.span = block.slots // block.window, block.history + 1
        self.norm = Norm(block.norm)
        dim = block.qkv.in_features
        self.head_dim = dim // block.heads
        scale = torch.ones(3 * dim).to(block.qkv.weight)
        scale[:dim] = self.head_dim**-0.5
        self.qkv = Affine(block.qkv.weight.T * scale, block.qkv.bias * scale)
        self.project = Affine.of(block.project)
        self.feed_forward = RowFeedForward(block.feed_forward)
        self.slot_bias = constant(block.slot_bias[:, :, None])  # [heads, w, 1, w]

    def forward(
        self, x: Tensor, keys: Tensor, values: Tensor, time_bias: Tensor, mask: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """One block.

        Args:
            x: [B * S, d].
            keys, values: [B, windows * heads, span - 1, w * head_dim] of the frames before.
            time_bias: [B, 1, heads, 1, span, 1].
            mask: [B, windows, 1, w, span, w], 0 or -inf.

        Returns:
            x after the block, and the keys and values for what comes next.
        """
        w, size = self.window, self.window * self.head_dim
        qkv = self.qkv(self.norm(x))
        qkv = qkv.reshape(-1, self.windows, w, 3, self.heads, self.head_dim)
        qkv = qkv.permute(0, 3, 1, 4, 2, 5)  # [B, 3, windows, heads, w, head_dim]
        rows = self.windows * self.heads
        q, k, v = qkv.reshape(-1, 3 * rows, 1, size).split(rows, 1)
        keys, values = torch.cat([keys, k], 2), torch.cat([values, v], 2)
        bias = time_bias + self.slot_bias + mask
        span = self.span * w
        out = attend(
            q.reshape(-1, self.heads, w, self.head_dim),
            keys.reshape(-1, self.heads, span, self.head_dim),
            values.reshape(-1, self.heads, span, self.head_dim),
            bias.reshape(-1, self.heads, w, span),
        )
        out = out.transpose(1, 2).reshape(-1, self.heads * self.head_dim)
        x = x + self.project(out)
        return self.feed_forward(x), keys[:, :, 1:], values[:, :, 1:]


class FrameEncoder(nn.Module):
    """`Encoder` of one frame, with the masks of all its stages."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        config = encoder.config
        self.span = config.encoder_frames
        self.embed = SlotTokens(encoder.embed)
        merge = encoder.merge_landmarks
        self.merge_landmarks = RowMerge(merge) if isinstance(merge, MergeSlots) else None
        self.merges = nn.ModuleList(RowMerge(cast(MergeSlots, m)) for m in encoder.merges)
        stages = [[cast(WindowBlock, b) for b in cast(nn.ModuleList, s)] for s in encoder.stages]
        blocks = [block for stage in stages for block in stage]
        self.depths = [len(stage) for stage in stages]
        self.blocks = nn.ModuleList(RowWindowBlock(block) for block in blocks)
        self.time_biases = TimeBiases([block.time_bias for block in blocks])
        regressors = [cast(nn.Sequential, regressor) for regressor in encoder.regressors]
        self.regressor_norms = nn.ModuleList(Norm(cast(nn.LayerNorm, r[1])) for r in regressors)
        self.regressors = nn.ModuleList(Affine.of(cast(nn.Linear, r[2])) for r in regressors)
        self.masks = StageMasks(config, stages)
        for i, stage in enumerate(stages):
            for shift in {block.shift for block in stage if block.shift}:
                order = torch.roll(torch.arange(config.slots[i]), -shift)
                self.register_buffer(f"rolled_{i}_{shift}", order, persistent=False)
                self.register_buffer(f"back_{i}_{shift}", order.argsort(), persistent=False)

    def forward(
        self, x: Tensor, cache: list[Tensor], age_features: Tensor, visible: Tensor
    ) -> tuple[list[Tensor], list[Tensor]]:
        """One frame.

        Args:
            x: [B, 36, d] of `embed`.
            cache: keys and values of each block in turn.
            age_features: [B, span, 2].
            visible: [B, span, windows' slots of all stages], see `StageMasks.count`.

        Returns:
            each stage's token [B, decoder_dim], and the new cache.
        """
        biases = self.time_biases(age_features)[:, None, :, None, :, None]
        biases = biases.split(self.time_biases.heads, 2)
        masks = self.masks(visible)
        tokens, kept, block_index = [], [], 0
        rows = x.flatten(0, 1) if self.merge_landmarks is None else self.merge_landmarks(x)
        for stage, depth in enumerate(self.depths):
            if stage:
                rows = self.merges[stage - 1](rows)
            for block in cast("list[RowWindowBlock]", list(self.blocks))[
                block_index : block_index + depth
            ]:
                if block.shift:
                    rows = self._permuted(rows, f"rolled_{stage}_{block.shift}")
                rows, *new = block(
                    rows,
                    *cache[2 * block_index : 2 * block_index + 2],
                    biases[block_index],
                    masks[stage, block.shift],
                )
                if block.shift:
                    rows = self._permuted(rows, f"back_{stage}_{block.shift}")
                kept += new
                block_index += 1
            norm = self.regressor_norms[stage]
            whole = rows.reshape(-1, len(cast(Norm, norm).weight))
            tokens.append(self.regressors[stage](norm(whole)))
        return tokens, kept

    def _permuted(self, rows: Tensor, order: str) -> Tensor:
        index = cast(Tensor, getattr(self, order))
        return rows.reshape(-1, len(index), rows.shape[-1])[:, index].flatten(0, 1)


class StageMasks(nn.Module):
    """The additive masks of all stages, for plain and for shifted windows."""

    def __init__(self, config: D3PoseConfig, stages: list[list[WindowBlock]]) -> None:
        super().__init__()
        self.span = config.encoder_frames
        landmark_slots = torch.zeros(NUM_LANDMARKS + 1, LANDMARK_SLOTS)
        for slot, name in enumerate(SLOT_ORDER):
            if name != FILLER_SLOT:
                source = NUM_LANDMARKS if name == FRAME_SLOT else LANDMARK_NAMES.index(name)
                landmark_slots[source, slot] = 1
        self.layouts: list[tuple[int, int]] = []  # (stage, shift)
        self.shapes: list[tuple[int, int]] = []  # (windows, window)
        columns = []
        for stage, blocks in enumerate(stages):
            slots, window = config.slots[stage], config.slot_windows[stage]
            pooled = landmark_slots.unflatten(1, (slots, -1)).sum(2)
            dtype = blocks[0].slot_bias.dtype
            newest = torch.eye(window, dtype=torch.bool)[:, None]  # [w, 1, w]
            before = torch.zeros(window, self.span - 1, window, dtype=torch.bool)
            itself = torch.cat([before, newest], 1)
            self.register_buffer(f"itself_{stage}", _additive(itself).to(dtype), persistent=False)
            for block in {block.shift: block for block in blocks}.values():
                self.layouts.append((stage, block.shift))
                self.shapes.append((slots // window, window))
                columns.append(torch.roll(pooled, -block.shift, 1))
                if block.shift:
                    region = _additive(block.same_region)[:, None, :, None]  # [W, 1, w, 1, w]
                    self.register_buffer(f"region_{stage}", region.to(dtype), persistent=False)
        pool = torch.cat(columns, 1).to(dtype)
        self.pool = Affine(pool[:-1], pool[-1])  # the frame's own slot is always visible
        self.sizes = [windows * window for windows, window in self.shapes]

    def count(self, visible: Tensor) -> Tensor:
        """Landmarks seen [B, 33], 0 or 1 -> how many each slot of each layout stands for."""
        return self.pool(visible)

    def forward(self, counts: Tensor) -> dict[tuple[int, int], Tensor]:
        """[B, span, slots of all layouts] -> [B, windows, 1, w, span, w] by (stage, shift)."""
        keys = torch.where(counts > 0.5, 0.0, NEVER).split(self.sizes, 2)
        masks = {}
        for (stage, shift), (windows, window), key in zip(
            self.layouts, self.shapes, keys, strict=True
        ):
            key = key.reshape(-1, self.span, windows, window).transpose(1, 2)
            mask = key[:, :, None, None]
            if shift:
                mask = mask + getattr(self, f"region_{stage}")
            # A token always sees itself, else a hidden landmark's softmax would be empty.
            masks[stage, shift] = torch.maximum(mask, getattr(self, f"itself_{stage}"))
        return masks


def _additive(allowed: Tensor) -> Tensor:
    return torch.zeros(allowed.shape).masked_fill(~allowed, NEVER)
