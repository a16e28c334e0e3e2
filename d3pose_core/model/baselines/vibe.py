"""A recurrent temporal encoder and an iterative regressor.

After "VIBE: Video Inference for Human Body Pose and Shape Estimation" (Kocabas et al. 2020): two GRU
layers, a linear layer back to the width of the frame's own feature, which is added, and HMR's
regressor. VIBE's motion discriminator, which acts in training only, is in `motion_discriminator.py`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from d3pose_core.model.baselines.base import FRAME_VECTOR_SIZE, Peer, PeerState
from d3pose_core.model.baselines.regressor import IterativeRegressor


class Vibe(Peer):
    def __init__(self, dim: int = 512, hidden: int = 384, layers: int = 2, regressor: int = 384):
        super().__init__()
        self.embed = nn.Sequential(nn.Linear(FRAME_VECTOR_SIZE, dim), nn.ReLU())
        self.gru = nn.GRU(dim, hidden, layers, batch_first=True)
        self.expand = nn.Linear(hidden, dim)
        self.finish(dim, IterativeRegressor(dim, regressor))

    def initial_state(self, batch: int) -> PeerState:
        weight = self.expand.weight
        return [weight.new_zeros(batch, self.gru.num_layers, self.gru.hidden_size)]

    def encode(
        self, x: Tensor, step_s: Tensor, seen: Tensor, state: PeerState
    ) -> tuple[list[Tensor], PeerState]:
        feature = self.embed(x)
        temporal, memory = self.gru(feature, state[0].transpose(0, 1).contiguous())
        return [feature + self.expand(torch.relu(temporal))], [memory.transpose(0, 1)]
