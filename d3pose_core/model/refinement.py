"""The last word on a pose: what it misses the landmarks by, made good joint by joint.

A network's error is mostly the same from frame to frame: a knee that is too straight, a body turned too far.
What the fit to the landmarks (`fit.py`) asks for in a frame trembles as the landmarks do. So it is not
believed at once: every joint carries a correction, which follows the fit as far and as fast as the decoder
says, and holds while the person is out of sight. What is wrong with the pose is smoothed, not the motion.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from d3pose_core.model.correction import Observed
from d3pose_core.model.fit import FIT_SIZE, FITTED_JOINTS, Fit
from d3pose_core.model.skeleton_points import SkeletonPoints
from d3pose_core.skeleton import NUM_JOINTS

_HIDDEN_WIDTH = 192
_PARTS = FITTED_JOINTS + 1  # the joints, and the place
LARGEST_SHARE = 1.5  # of the fit, which is cautious
# At the start of training a correction follows the whole of the fit, by a third of the way in 1/30 s.
_SHARE_AT_FIRST, _RATE_AT_FIRST = 0.7, -0.8


class Refinement(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.fit = Fit()
        self.read_embed = nn.Linear(dim + FIT_SIZE, _HIDDEN_WIDTH)
        self.trust_head = nn.Linear(_HIDDEN_WIDTH, 2 * _PARTS)
        nn.init.zeros_(self.trust_head.weight)
        with torch.no_grad():
            self.trust_head.bias[:_PARTS] = _SHARE_AT_FIRST
            self.trust_head.bias[_PARTS:] = _RATE_AT_FIRST

    def forward(
        self,
        token: Tensor,
        guess: tuple[Tensor, Tensor, Tensor],
        carried: Tensor,
        started: Tensor,
        step_s: Tensor,
        seen: Tensor,
        observed: Observed,
        skeleton: SkeletonPoints,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Refine T new frames.

        Args:
            token: [B, T, dim] of the decoder.
            guess: rotations, place and betas that the token stands for, as of `decoder.PoseHead`.
            carried: [B, FIT_SIZE] the correction of the frame before.
            started: [B, T] bool: there is a frame before; the first one is corrected at once.
            step_s: [B, T] s since then; seen: [B, T] bool.

        Returns:
            the rotations' first two columns [B, T, 24, 3, 2], not quite orthonormal; the place [B, T, 3]; and
            the correction to carry on, [B, FIT_SIZE].
        """
        asked = self.fit(guess, observed, skeleton)
        hidden = nn.functional.gelu(self.read_embed(torch.cat([token, asked], -1)))
        share, rate = self.trust_head(hidden).split(_PARTS, -1)
        wanted = LARGEST_SHARE * _each(share.sigmoid()) * asked
        step = step_s.clamp(1e-3, 1.0)[..., None] * 30
        follow = 1 - torch.exp(-nn.functional.softplus(rate) * step)
        follow = torch.where(started[..., None], follow, 1.0) * seen[..., None]
        follow = _each(follow)
        corrections = []
        for t in range(asked.shape[1]):
            carried = torch.lerp(carried, wanted[:, t], follow[:, t])
            corrections.append(carried)
        turn, shift = torch.stack(corrections, 1).split([FIT_SIZE - 3, 3], -1)
        columns = guess[0][..., :2]
        moved = torch.linalg.cross(
            turn.unflatten(-1, (FITTED_JOINTS, 3, 1)), columns[..., :FITTED_JOINTS, :, :], dim=-2
        )
        moved = nn.functional.pad(moved, (0, 0, 0, 0, 0, NUM_JOINTS - FITTED_JOINTS))
        return columns + moved, guess[1] + shift, carried


def _each(parts: Tensor) -> Tensor:
    """A number of each part, [..., 23], for all of its own, [..., FIT_SIZE]."""
    return parts.repeat_interleave(3, -1)
