"""The decoder's part of a single-frame step: see `single_frame`."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from d3pose_core.model.correction import Correction
from d3pose_core.model.decoder import (
    FEEDBACK_SIZE,
    Decoder,
    DecoderBlock,
    PastAttention,
    PoseHead,
)
from d3pose_core.runtime.frame_pose import PoseCheck, axes_first
from d3pose_core.runtime.frame_view import FrameView
from d3pose_core.runtime.layers import Affine, Norm, RowFeedForward, TimeBiases, attend, constant

NEVER = float("-inf")


class RowAttention(nn.Module):
    """The attention of `PastAttention` for one frame, after what projects into it."""

    def __init__(self, attention: PastAttention) -> None:
        super().__init__()
        self.heads = attention.heads
        self.project = Affine.of(attention.project)

    def forward(
        self, q: Tensor, key: Tensor, value: Tensor, cache: list[Tensor], bias: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """One attention.

        Args:
            q, key, value: [B, heads, 1, d / heads] of this frame.
            cache: keys and values of the frames before, [B, heads, span - 1, d / heads].
            bias: [B, heads, 1, span].

        Returns:
            [B, d], and the keys and values for what comes next.
        """
        keys, values = torch.cat([cache[0], key], 2), torch.cat([cache[1], value], 2)
        out = attend(q, keys, values, bias).flatten(1)
        return self.project(out), keys[:, :, 1:], values[:, :, 1:]


class RowDecoderBlock(nn.Module):
    """`DecoderBlock` of one frame."""

    def __init__(self, block: DecoderBlock) -> None:
        super().__init__()
        past, cross = block.self_attention, block.cross_attention
        self.dim = past.query.in_features
        scale = (self.dim // past.heads) ** -0.5
        # The token's two norms, for queries and for keys, differ in scale and offset alone: those go into
        # the product that follows.
        query, query_bias = _after_norm(past.query_norm, past.query)
        key_value, key_value_bias = _after_norm(past.key_norm, past.key_value)
        self.eps = past.query_norm.eps
        self.qkv = Affine(
            torch.cat([query * scale, key_value], 1),
            torch.cat([query_bias * scale, key_value_bias]),
        )
        self.past = RowAttention(past)
        self.query_norm = Norm(cross.query_norm)
        self.query = Affine(cross.query.weight.T * scale, cross.query.bias * scale)
        self.key_norm, self.key_value = Norm(cross.key_norm), Affine.of(cross.key_value)
        self.cross = RowAttention(cross)
        self.feed_forward = RowFeedForward(block.feed_forward)

    def forward(
        self,
        x: Tensor,
        stage_token: Tensor,
        cache: list[Tensor],
        past_bias: Tensor,
        cross_bias: Tensor,
    ) -> tuple[Tensor, list[Tensor]]:
        """Token [B, d] after the block, and its cache: keys and values of both attentions."""
        normed = functional.layer_norm(x, (self.dim,), eps=self.eps)
        q, key, value = self._by_head(self.qkv(normed)).split(self.past.heads, 1)
        attended, *past = self.past(q, key, value, cache[:2], past_bias)
        x = x + attended
        key_value = self.key_value(self.key_norm(stage_token))
        key, value = self._by_head(key_value).split(self.cross.heads, 1)
        query = self._by_head(self.query(self.query_norm(x)))
        attended, *cross = self.cross(query, key, value, cache[2:], cross_bias)
        return self.feed_forward(x + attended), past + cross

    def _by_head(self, rows: Tensor) -> Tensor:
        """[B, n * d] -> [B, n * heads, 1, d / heads]."""
        size = self.dim // self.past.heads
        return rows.reshape(-1, rows.shape[1] // size, 1, size)


class FrameDecoder(nn.Module):
    """`Decoder` of one frame."""

    def __init__(self, decoder: Decoder, stage_head: PoseHead) -> None:
        """`stage_head`: the encoder's own last pose, which the first correction starts from."""
        super().__init__()
        blocks = [cast(DecoderBlock, block) for block in decoder.blocks]
        order = torch.arange(FEEDBACK_SIZE)
        order[:-3] = axes_first()
        self.embed = Affine(decoder.embed.weight.T[order], decoder.embed.bias)
        self.start = constant(decoder.start)
        self.blocks = nn.ModuleList(RowDecoderBlock(block) for block in blocks)
        attentions = [block.self_attention for block in blocks]
        attentions += [block.cross_attention for block in blocks]
        self.time_biases = TimeBiases([a.time_bias for a in attentions])
        self.norm = Norm(decoder.norm)
        self.check: PoseCheck | None = None
        if decoder.config.corrections:
            corrections = [cast(Correction, c) for c in decoder.corrections]
            self.check = PoseCheck(corrections, decoder.skeleton, stage_head, decoder.pose_head)

    def forward(
        self,
        past: Tensor,
        started: Tensor,
        stage_tokens: list[Tensor],
        cache: list[Tensor],
        age_features: Tensor,
        exists: Tensor,
        seen: Tensor,
        view: FrameView,
    ) -> tuple[Tensor, list[Tensor]]:
        """One frame.

        Args:
            past: [B, FEEDBACK_SIZE] the last pose, its axes first (`axes_first`).
            started: [B, 1] bool: there is a last pose.
            stage_tokens: of the encoder, [B, d] each.
            cache: of each block in turn, keys and values of self- and of cross-attention.
            age_features: [B, span, 2].
            exists, seen: [B, span] bool: that self- and cross-attention may look at a frame.
            view: what the corrections compare with.

        Returns:
            the decoded token [B, d], normed, and the new cache.
        """
        span, count = seen.shape[1], 2 * len(self.blocks)
        allowed = torch.stack([exists, seen], 1)[:, :, None]  # [B, 2, 1, span]
        mask = torch.where(allowed, 0.0, NEVER)
        bias = self.time_biases(age_features).reshape(-1, 2, sum(self.time_biases.heads) // 2, span)
        bias = (bias + mask).reshape(-1, sum(self.time_biases.heads), 1, span)
        biases = bias.split(self.time_biases.heads, 1)  # [B, heads, 1, span] each

        x = torch.where(started, self.embed(past), self.start)
        meet = self.check.to_meet(view) if self.check is not None else None
        kept: list[Tensor] = []
        for i, block in enumerate(self.blocks):
            if self.check is not None:
                x = x + self.check(i, self.norm(x) if i else stage_tokens[-1], meet)
            own = cache[4 * i : 4 * i + 4]
            x, new = block(x, stage_tokens[i], own, biases[i], biases[count // 2 + i])
            kept += new
        return self.norm(x), kept


def _after_norm(norm: nn.LayerNorm, layer: nn.Linear) -> tuple[Tensor, Tensor]:
    """Weight [in, out] and bias of `layer` after `norm`, for a norm without scale and offset."""
    return (layer.weight * norm.weight).T, layer.bias + layer.weight @ norm.bias
