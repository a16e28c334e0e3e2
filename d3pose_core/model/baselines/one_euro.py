"""A filter after a network that judges each frame on its own.

The One-Euro filter (Casiez et al. 2012; `smoothing.OneEuroFilter` is the same for one number) on what
a pose consists of: joint rotations along the shortest arc, the pelvis as a viewing ray and the
logarithm of its depth, and the shape. It filters in the camera's frame, not in the view camera, which
turns with every frame's landmarks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import roma
import torch
from torch import Tensor

from d3pose_core.model.baselines.base import Peer, PeerOutput, PeerState
from d3pose_core.model.decoder import NUM_BETAS, PosePrediction
from d3pose_core.model.tokens import ObservationBatch
from d3pose_core.model.view import (
    into_view,
    out_of_view,
    pelvis_of,
    place_of,
)
from d3pose_core.skeleton import NUM_JOINTS

FILTER_TENSORS = 8  # of the state


@dataclass(frozen=True)
class OneEuroSettings:
    min_cutoff_hz: float = 2.0
    speed_gain: float = 1.0  # Hz of cutoff for each rad/s (rotations), or 1/s (rays and log depth)
    speed_cutoff_hz: float = 1.0
    betas_cutoff_hz: float = 0.05


def blend(cutoff_hz: Tensor | float, step_s: Tensor) -> Tensor:
    """Weight of the new sample in a first-order low-pass filter."""
    return 1 / (1 + 1 / (2 * math.pi * cutoff_hz * step_s))


class OneEuroPeer(Peer):
    """`peer`, whose answers are filtered; it has no weights of its own."""

    def __init__(self, peer: Peer, settings: OneEuroSettings):
        super().__init__()
        self.peer, self.settings = peer, settings
        self.name, self.sizes = "one_euro", peer.sizes

    def initial_state(self, batch: int) -> PeerState:
        """The filter's tensors (see `_filter`), then the network's state."""
        like = next(self.peer.parameters())
        rotations = torch.eye(3, device=like.device, dtype=like.dtype)
        rotations = rotations.repeat(batch, NUM_JOINTS, 1, 1)
        turning = like.new_zeros(batch, NUM_JOINTS, 3)
        pelvis = like.new_zeros(batch, 3)
        # After an eternity the first sample passes as it is.
        elapsed = like.new_full((batch,), math.inf)
        betas = like.new_zeros(batch, NUM_BETAS)
        filters = [elapsed, rotations, rotations, turning, pelvis, pelvis, pelvis, betas]
        return [*filters, *self.peer.initial_state(batch)]

    def forward(
        self, batch: ObservationBatch, state: PeerState | None = None, mixed_precision: bool = False
    ) -> PeerOutput:
        state = self.initial_state(len(batch.seen)) if state is None else state
        output = self.peer(batch, state[FILTER_TENSORS:], mixed_precision)
        raw, view = output.prediction, output.view
        rotations = out_of_view(raw.rotations, view)
        x, y, z = pelvis_of(raw.place, view).unbind(-1)
        z = z.clamp_min(0.1)
        pelvis = torch.stack([x / z, y / z, z.log()], -1)
        kept, steps = state[:FILTER_TENSORS], []
        for t in range(batch.seen.shape[1]):
            sample = (rotations[:, t], pelvis[:, t], raw.betas[:, t])
            kept = self._filter(kept, sample, batch.step_s[:, t], batch.seen[:, t])
            steps.append((kept[2], kept[5], kept[7]))
        rotations, pelvis, betas = (torch.stack(s, 1) for s in zip(*steps, strict=True))
        depth = pelvis[..., 2:].exp()
        place = place_of(torch.cat([pelvis[..., :2] * depth, depth], -1), view)
        prediction = PosePrediction(
            into_view(rotations, view),
            place,
            raw.log_variance,
            betas,
            raw.stature_log_variance,
        )
        return PeerOutput(prediction, view, [*kept, *output.state], [])

    def _filter(
        self,
        kept: list[Tensor],
        sample: tuple[Tensor, Tensor, Tensor],
        step_s: Tensor,
        seen: Tensor,
    ) -> list[Tensor]:
        """One sample; a person who was not seen stays as they were.

        Args:
            kept: seconds since the last sample [B]; raw and smooth rotations [B, 24, 3, 3] and the
                turning speed [B, 24, 3]; raw, smooth and speed of the pelvis [B, 3]; betas [B, 10].
            sample: rotations [B, 24, 3, 3], pelvis [B, 3] and betas [B, 10] of this frame.
            step_s, seen: [B].
        """
        settings = self.settings
        elapsed, raw, smooth, turning, raw_pelvis, smooth_pelvis, speed, smooth_betas = kept
        rotations, pelvis, betas = sample
        elapsed = elapsed + step_s.clamp_min(1e-4)
        pause = elapsed[:, None]

        turned = roma.rotmat_to_rotvec(raw.transpose(-1, -2) @ rotations) / pause[..., None]
        speed_weight = blend(settings.speed_cutoff_hz, pause)
        turning = turning + speed_weight[..., None] * (turned - turning)
        cutoff = settings.min_cutoff_hz + settings.speed_gain * turning.norm(dim=-1)
        arc = roma.rotmat_to_rotvec(smooth.transpose(-1, -2) @ rotations)
        part = roma.rotvec_to_rotmat(blend(cutoff, pause)[..., None] * arc)

        moved = (pelvis - raw_pelvis) / pause
        speed = speed + speed_weight * (moved - speed)
        cutoff = settings.min_cutoff_hz + settings.speed_gain * speed.abs()
        step = blend(cutoff, pause) * (pelvis - smooth_pelvis)
        betas_step = blend(settings.betas_cutoff_hz, pause) * (betas - smooth_betas)
        new = [
            torch.zeros_like(elapsed),
            *(rotations, smooth @ part, turning),
            *(pelvis, smooth_pelvis + step, speed),
            smooth_betas + betas_step,
        ]
        old = [elapsed, *kept[1:]]
        return [
            torch.where(seen.view(-1, *[1] * (a.ndim - 1)), a, b)
            for a, b in zip(new, old, strict=True)
        ]
