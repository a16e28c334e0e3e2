"""Attention led by how alike the frames are, then adjacent frames integrated in two levels.

After "Capturing Humans in Motion: Temporal-Attentive 3D Human Pose and Shape Estimation from
Monocular Video" (MPS-Net, Wei et al. 2022). *Motion continuity attention* merges a learned attention
map with the frames' self-similarity (NSSM), which says how long a motion goes on. *Hierarchical
attentive feature integration* (HAFI) then weighs three groups of three frames, and the groups.

MPS-Net's window is centred on the frame that it answers for; here it ends there: the attention sees
16 frames, the groups are the last nine. A frame without the person is not attended to.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from d3pose_core.model.attention import causal_band, past_windows
from d3pose_core.model.baselines.base import FRAME_VECTOR_SIZE, Peer, PeerState
from d3pose_core.model.baselines.regressor import IterativeRegressor

WINDOW = 16
GROUP = 3  # frames in a group, and groups
RECENT = GROUP * GROUP


class MotionContinuityAttention(nn.Module):
    def __init__(self, dim: int, inner: int):
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.query, self.key, self.value = (nn.Linear(dim, inner) for _ in range(3))
        self.project = nn.Linear(inner, dim)
        # The 1x1 convolution over the two maps; they start with equal say.
        self.merge = nn.Parameter(torch.ones(2))

    def forward(self, x: Tensor, past: Tensor, allowed: Tensor) -> Tensor:
        """Frames attend to the recent past.

        Args:
            x: [B, T, dim]; past: [B, history, dim], the frames before.
            allowed: [B, T, history + T] bool.
        """
        keys = self.norm(torch.cat([past, x], 1))
        normed = keys[:, past.shape[1] :]
        similarity = normed @ keys.transpose(1, 2) / keys.shape[-1] ** 0.5
        query = self.query(normed)
        learned = query @ self.key(keys).transpose(1, 2) / query.shape[-1] ** 0.5
        scores = self.merge[0] * similarity + self.merge[1] * learned
        weight = scores.masked_fill(~allowed, float("-inf")).softmax(-1)
        return x + self.project(weight.to(x.dtype) @ self.value(keys).to(x.dtype))


class HierarchicalIntegration(nn.Module):
    """Weighs the frames of each group of three against each other, then the three groups.

    Attention compares narrow features. A group's is the weighted sum of its frames' (both are linear),
    so the wide features are added up only once.
    """

    def __init__(self, dim: int, narrow: int):
        super().__init__()
        self.narrow = nn.ModuleList(nn.Linear(dim, narrow) for _ in range(2))
        self.attention = nn.ModuleList(
            nn.Sequential(nn.Linear(GROUP * narrow, narrow), nn.Tanh(), nn.Linear(narrow, GROUP))
            for _ in range(2)
        )

    def forward(self, x: Tensor, counts: Tensor) -> Tensor:
        """Integrate the last `RECENT` frames of each frame.

        Args:
            x: [B, RECENT - 1 + T, dim].
            counts: [B, T, RECENT] bool; a frame that does not count is not read.

        Returns:
            [B, T, dim].
        """
        groups = counts.unflatten(-1, (GROUP, GROUP))  # [B, T, groups, frames]
        frame, group = (
            past_windows(narrow(x), RECENT - 1, 1).unflatten(2, (GROUP, GROUP))
            for narrow in self.narrow
        )
        within = self._weights(0, frame, groups)
        group = (within[..., None] * group).sum(-2)  # [B, T, groups, narrow]
        between = self._weights(1, group, groups.any(-1))
        weight = (between[..., None] * within).flatten(-2).to(x.dtype)
        new = counts.shape[1]
        shifted = [weight[..., k, None] * x[:, k : k + new] for k in range(RECENT)]
        return torch.stack(shifted).sum(0)

    def _weights(self, level: int, narrow: Tensor, allowed: Tensor) -> Tensor:
        """[..., GROUP, narrow] and bool [..., GROUP] -> weights [..., GROUP] that sum to 1."""
        narrow = narrow.masked_fill(~allowed[..., None], 0.0)
        scores = self.attention[level](narrow.flatten(-2))
        # Not -inf: in a group where nothing counts the weights are equal, and then not used.
        return scores.masked_fill(~allowed, -1e4).softmax(-1)


class MpsNet(Peer):
    def __init__(self, dim: int = 576, inner: int = 384, narrow: int = 192, regressor: int = 448):
        super().__init__()
        self.embed = nn.Sequential(
            nn.Linear(FRAME_VECTOR_SIZE, dim), nn.ReLU(), nn.Linear(dim, dim)
        )
        self.attention = MotionContinuityAttention(dim, inner)
        self.integration = HierarchicalIntegration(dim, narrow)
        self.finish(dim, IterativeRegressor(dim, regressor))

    def initial_state(self, batch: int) -> PeerState:
        """Features of the frames before and whether each counts, ahead of and after the attention."""
        weight = self.attention.project.weight
        return [
            weight.new_zeros(batch, WINDOW - 1, len(weight)),
            weight.new_zeros(batch, WINDOW - 1, dtype=torch.bool),
            weight.new_zeros(batch, RECENT - 1, len(weight)),
        ]

    def encode(
        self, x: Tensor, step_s: Tensor, seen: Tensor, state: PeerState
    ) -> tuple[list[Tensor], PeerState]:
        past, past_seen, past_attended = state
        feature = self.embed(x)
        known = torch.cat([past_seen, seen], 1)  # [B, WINDOW - 1 + T]
        new, history = x.shape[1], WINDOW - 1
        band = causal_band(history, new, x.device)
        itself = torch.eye(new, dtype=torch.bool, device=x.device)
        itself = torch.cat([itself.new_zeros(new, history), itself], 1)
        attended = self.attention(feature, past, (band & known[:, None]) | itself)

        attended = torch.cat([past_attended, attended], 1)
        counts = past_windows(known[:, WINDOW - RECENT :], RECENT - 1, 1).clone()
        counts[..., -1] = True  # the frame itself
        token = self.integration(attended, counts)
        kept = torch.cat([past, feature], 1)[:, -history:]
        return [token], [kept, known[:, -history:], attended[:, -(RECENT - 1) :]]
