"""From a frame's token to a pose: at once, or by repeated correction of a mean pose.

What is written down as the pose stays in full precision, whatever the layers before compute in.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from d3pose_core.model.decoder import (
    FEEDBACK_SIZE,
    NUM_BETAS,
    USUAL_LOG_DEPTH,
    PoseHead,
    sixd_to_rotations,
)
from d3pose_core.skeleton import NUM_JOINTS

POSE_SIZE = NUM_JOINTS * 6


class DirectRegressor(nn.Module):
    """D3Pose's own head: one linear layer."""

    def __init__(self, dim: int):
        super().__init__()
        self.head = PoseHead(dim)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """[..., dim] -> rotations [..., 24, 3, 3], place [..., 3], betas [..., 10]."""
        with torch.autocast(x.device.type, enabled=False):
            return self.head(x.to(self.head.linear.weight.dtype))


class IterativeRegressor(nn.Module):
    """Reads the token and its own current answer, and corrects the answer, three times.

    After "End-to-end Recovery of Human Shape and Pose" (Kanazawa et al. 2018), whose regressor VIBE,
    TCMR and MPS-Net all use; the pose in the continuous 6D form as in SPIN (Kolotouros et al. 2019).
    """

    def __init__(self, dim: int, hidden: int, iterations: int = 3):
        super().__init__()
        self.iterations = iterations
        answer = FEEDBACK_SIZE + NUM_BETAS
        self.refine = nn.Sequential(
            nn.Linear(dim + answer, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU()
        )
        self.correction_head = nn.Linear(hidden, answer)
        nn.init.normal_(self.correction_head.weight, std=0.01)
        nn.init.zeros_(self.correction_head.bias)
        rest = torch.eye(3)[:, :2].flatten().repeat(NUM_JOINTS)
        start = torch.cat([rest, torch.tensor([0.0, 0.0, USUAL_LOG_DEPTH]), torch.zeros(NUM_BETAS)])
        self.start: Tensor
        self.register_buffer("start", start, persistent=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """[..., dim] -> rotations [..., 24, 3, 3], place [..., 3], betas [..., 10]."""
        answer = self.start.expand(*x.shape[:-1], -1)
        for _ in range(self.iterations):
            hidden = self.refine(torch.cat([x.to(answer.dtype), answer], -1))
            with torch.autocast(x.device.type, enabled=False):
                answer = answer + self.correction_head(hidden.to(answer.dtype))
        sixd, place, betas = answer.split([POSE_SIZE, 3, NUM_BETAS], -1)
        return sixd_to_rotations(sixd.unflatten(-1, (NUM_JOINTS, 6))), place, betas
