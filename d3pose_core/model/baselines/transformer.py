"""A temporal transformer encoder over the last second.

In the manner of t-HMMR (Pavlakos et al. 2022) and MotionBERT's temporal stream (Zhu et al. 2023):
frames as tokens, pre-norm attention and feed-forward layers. Each layer attends to the last 30 frames
(a causal mask), with the frames' ages in seconds as a relative position bias; its keys and values are
kept from frame to frame.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from d3pose_core.model.attention import FeedForward, causal_band
from d3pose_core.model.baselines.base import FRAME_VECTOR_SIZE, Peer, PeerState
from d3pose_core.model.baselines.regressor import DirectRegressor
from d3pose_core.model.decoder import PastAttention
from d3pose_core.model.timeline import Timeline


class TemporalTransformer(Peer):
    def __init__(self, dim: int = 256, layers: int = 4, heads: int = 8, frames: int = 30):
        super().__init__()
        self.history = frames - 1
        self.embed = nn.Linear(FRAME_VECTOR_SIZE, dim)
        self.attentions = nn.ModuleList(PastAttention(dim, heads, frames) for _ in range(layers))
        self.feed_forwards = nn.ModuleList(FeedForward(dim, 4.0) for _ in range(layers))
        self.norm = nn.LayerNorm(dim)
        self.finish(dim, DirectRegressor(dim))

    def initial_state(self, batch: int) -> PeerState:
        """The timeline's three tensors, then each layer's keys and values."""
        weight = self.embed.weight
        time = Timeline.empty(batch, self.history, 1, weight.device)
        cache = weight.new_zeros(batch, self.history, 2 * len(weight))
        return [time.age_s, time.seen, time.visible, *[cache] * len(self.attentions)]

    def encode(
        self, x: Tensor, step_s: Tensor, seen: Tensor, state: PeerState
    ) -> tuple[list[Tensor], PeerState]:
        new, history = x.shape[1], self.history
        time = Timeline(*state[:3]).extended(step_s, seen, seen[..., None])
        elapsed = time.age_s[:, None, :] - time.age_s[:, history:, None]
        itself = torch.eye(new, dtype=torch.bool, device=x.device)
        itself = torch.cat([itself.new_zeros(new, history), itself], 1)
        # A frame without the person says nothing, but a frame always sees itself.
        allowed = (causal_band(history, new, x.device) & time.seen[:, None]) | itself

        x, kept = self.embed(x), []
        for attention, feed_forward, cache in zip(
            self.attentions, self.feed_forwards, state[3:], strict=True
        ):
            attended, cache = attention(x, x, cache, elapsed, allowed)
            x = x + attended
            x = x + feed_forward(x)
            kept.append(cache)
        time = time.last(history)
        return [self.norm(x)], [time.age_s, time.seen, time.visible, *kept]
