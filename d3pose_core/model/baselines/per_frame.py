"""Each frame on its own: a network of residual blocks, with no memory.

After "A simple yet effective baseline for 3d human pose estimation" (Martinez et al. 2017).
"""

from __future__ import annotations

from torch import Tensor, nn

from d3pose_core.model.attention import FeedForward
from d3pose_core.model.baselines.base import FRAME_VECTOR_SIZE, Peer, PeerState
from d3pose_core.model.baselines.regressor import DirectRegressor


class PerFrame(Peer):
    def __init__(self, dim: int = 512, blocks: int = 5, ratio: float = 1.0):
        super().__init__()
        self.embed = nn.Linear(FRAME_VECTOR_SIZE, dim)
        self.blocks = nn.ModuleList(FeedForward(dim, ratio) for _ in range(blocks))
        self.norm = nn.LayerNorm(dim)
        self.finish(dim, DirectRegressor(dim))

    def initial_state(self, batch: int) -> PeerState:
        return []

    def encode(
        self, x: Tensor, step_s: Tensor, seen: Tensor, state: PeerState
    ) -> tuple[list[Tensor], PeerState]:
        x = self.embed(x)
        for block in self.blocks:
            x = x + block(x)
        return [self.norm(x)], state
