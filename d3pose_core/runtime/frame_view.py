"""One frame's landmarks as the network reads them: `tokens.tokenize` of a single frame."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from d3pose_core.model.tokens import CORE_LANDMARKS
from d3pose_core.runtime.frame_sightings import FrameSightings, sightings
from d3pose_core.runtime.layers import Affine, constant
from d3pose_core.skeleton import NUM_LANDMARKS, RIVALS


@dataclass
class FrameView:
    """See `tokens.Tokens` and `view.ViewCamera`; no time axis."""

    features: Tensor  # [B, 33, LANDMARK_FEATURES], zero where hidden
    frame_features: Tensor  # [B, 4]
    visible: Tensor  # [B, 33] bool
    shown: Tensor  # [B, 33] the same, 1 or 0
    rotation: Tensor  # [B, 3, 3]
    size: Tensor  # [B, 1]
    sightings: FrameSightings


class Look(nn.Module):
    """Observations of B people -> `FrameView`."""

    def __init__(self, min_presence: float, like: Tensor) -> None:
        super().__init__()
        self.min_presence = min_presence
        self.core: Tensor
        self.register_buffer("core", torch.tensor(CORE_LANDMARKS), persistent=False)
        # The smallest rotation of the z axis onto u: I + [v] + [v]^2 / (1 + u_z) with v = z × u, by entries,
        # from (u_x, u_y, u_z) and the products of u_x and u_y over 1 + u_z.
        entries, fixed = torch.zeros(7, 9), torch.zeros(9)
        for source, entry, sign in (
            *((0, 2, 1), (0, 6, -1), (1, 5, 1), (1, 7, -1), (2, 8, 1)),
            *((3, 0, -1), (4, 1, -1), (5, 3, -1), (6, 4, -1)),
        ):
            entries[source, entry] = sign
        fixed[[0, 4]] = 1
        self.entries = Affine(entries.to(like), fixed.to(like))
        rival = [1.0, 1.0, 0.0] * RIVALS
        self.by_size = constant(torch.tensor([1.0] * 3 + [0.0] * 6 + rival).to(like))
        rival = [0.0, 0.0, 1.0] * RIVALS
        self.scale = constant(torch.tensor([0.0] * 3 + [2.0] * 6 + rival).to(like))
        rival = [0.0] * (3 * RIVALS)
        self.offset = constant(torch.tensor([0.0] * 6 + [-1.0] * 3 + rival).to(like))

    def forward(
        self,
        rays: Tensor,
        depth_hint: Tensor,
        landmarks: Tensor,
        visibility: Tensor,
        presence: Tensor,
        certainty: Tensor,
        rival_rays: Tensor,
        rival_certainty: Tensor,
        seen: Tensor,
        step_s: Tensor,
    ) -> FrameView:
        """[B, 33, ...] each; `seen` bool and `step_s`, [B, 1] each."""
        weight = visibility[:, self.core].clamp(0.1, 1.0)
        weight = (weight / weight.sum(-1, keepdim=True))[:, None]  # [B, 1, core]
        center = torch.where(seen, (weight @ rays[:, self.core])[:, 0], 0.0)
        rotation = self._rotation(center)
        everywhere = torch.cat([rays[:, :, None], rival_rays], 2).flatten(1, 2)
        points = everywhere @ rotation[:, :2] + rotation[:, 2:]
        everywhere = points[..., :2] / points[..., 2:].clamp_min(0.1)
        rays, *rivals = everywhere.reshape(-1, NUM_LANDMARKS, 1 + RIVALS, 2).unbind(2)
        core_rays = rays[:, self.core]
        spread = (weight @ (core_rays * core_rays)).sum(-1)  # [B, 1]
        size = torch.where(seen, spread, 1.0).sqrt().clamp_min(1e-4)

        scale = self.by_size / size + self.scale  # [B, LANDMARK_FEATURES]
        confidences = torch.stack([visibility, presence, certainty], -1)
        parts = [rays, depth_hint[..., None], landmarks, confidences]
        for rival, certain in zip(rivals, rival_certainty.split(1, 2), strict=True):
            there = torch.cat([rival - rays, certain], -1)
            parts.append(torch.where(certain > 0, there, 0.0))
        features = torch.cat(parts, -1)
        features = features * scale[:, None] + self.offset
        visible = seen & (presence >= self.min_presence)
        features = torch.where(visible[..., None], features.clamp(-5, 5), 0.0)
        log_step = torch.log(step_s.clamp(1e-3, 10.0) * 30)
        frame_features = torch.cat([center, size.log(), log_step], -1)
        shown = visible.to(features.dtype)
        return FrameView(
            *(features, frame_features, visible, shown, rotation, size, sightings(features))
        )

    def _rotation(self, direction: Tensor) -> Tensor:
        """`view.look_at_rotation` of [B, 2], without its angle."""
        inverse = (1 + (direction * direction).sum(-1, keepdim=True)).rsqrt()
        xy = direction * inverse
        products = xy[:, :, None] * (xy / (1 + inverse))[:, None]  # [B, 2, 2]
        return self.entries(torch.cat([xy, inverse, products.flatten(1)], 1)).reshape(-1, 3, 3)
