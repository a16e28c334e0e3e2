"""When the last frames were taken and what was seen in them: the part of the state that all layers share."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class Timeline:
    """The last `history` frames of B people; before a track's first frame, `seen` and `visible` are False."""

    age_s: Tensor  # [B, history] how long before the newest frame each frame was taken
    seen: Tensor  # [B, history] bool: the person was found in that frame
    visible: Tensor  # [B, history, S] bool: slot may be attended to

    @classmethod
    def empty(cls, batch: int, history: int, slots: int, device: torch.device) -> Timeline:
        return cls(
            age_s=torch.zeros(batch, history, device=device),
            seen=torch.zeros(batch, history, dtype=torch.bool, device=device),
            visible=torch.zeros(batch, history, slots, dtype=torch.bool, device=device),
        )

    def extended(self, step_s: Tensor, seen: Tensor, visible: Tensor) -> Timeline:
        """With T new frames after the kept ones.

        Args:
            step_s: [B, T] seconds since the frame before.
            seen: [B, T] bool.
            visible: [B, T, S] bool.

        Returns:
            a timeline of history + T frames, ages counted from the newest.
        """
        # Ages are kept, not absolute times: a robot runs for days, and float32 seconds would
        # coarsen.
        after = step_s.flip(1).cumsum(1).flip(1)  # from the frame before frame i to the newest
        age_new = torch.cat([after[:, 1:], torch.zeros_like(after[:, :1])], 1)
        return Timeline(
            age_s=torch.cat([self.age_s + after[:, :1], age_new], 1).clamp_max(3600.0),
            seen=torch.cat([self.seen, seen], 1),
            visible=torch.cat([self.visible, visible], 1),
        )

    def last(self, frames: int) -> Timeline:
        return Timeline(self.age_s[:, -frames:], self.seen[:, -frames:], self.visible[:, -frames:])
