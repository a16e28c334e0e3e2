"""How the decoder checks itself: where its pose would put the landmarks, against where they were seen.

The idea of PyMAF (Zhang et al. 2021) and ReFit (Wang and Daniilidis 2023), with landmarks in place of image
features: a guess of the pose is projected, and what it misses by is read by the layers that follow.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from d3pose_core.model.sightings import believed
from d3pose_core.model.skeleton_points import SkeletonPoints
from d3pose_core.model.tokens import CERTAINTY, FRAME_FEATURES, LANDMARK_FEATURES, Tokens
from d3pose_core.skeleton import LANDMARK_NAMES, NUM_LANDMARKS, RIVALS

_HIPS = [LANDMARK_NAMES.index("left_hip"), LANDMARK_NAMES.index("right_hip")]
_MISS_FEATURES = 7  # in the image 2, in metres 3, and of the likeliest place in the image 2
_HIDDEN_WIDTH = 256
# Beyond this a landmark is wrong rather than the pose; in units of the features.
LARGEST_MISS = 2.0
LARGEST_LOG_DEPTH = 4.0  # of the depth times the size, either way


@dataclass
class Observed:
    """What was observed of B people over T frames, as the correction compares it."""

    features: Tensor  # [B, T, OBSERVED_SIZE] everything, hidden landmarks flagged and zero
    visible: Tensor  # [B, T, 33] bool: may be compared
    certainty: Tensor  # [B, T, 33] 0..1
    rays: Tensor  # [B, T, 33, 2] in the view camera, over the person's size
    rivals: Tensor  # [B, T, 33, RIVALS, 2] from there to where else it may be
    rival_certainty: Tensor  # [B, T, 33, RIVALS] 0..1; 0: there is none
    metric: Tensor  # [B, T, 33, 3] m, mid-hip origin
    size: Tensor  # [B, T] angular size, of the view camera


OBSERVED_SIZE = NUM_LANDMARKS * (LANDMARK_FEATURES + 1) + FRAME_FEATURES


def observed(tokens: Tokens) -> Observed:
    visible = tokens.visible
    landmarks = tokens.landmark_features.where(visible[..., None], 0.0)
    rivals = landmarks[..., CERTAINTY + 1 :].unflatten(-1, (RIVALS, 3))
    parts = [landmarks.flatten(2), visible.to(landmarks.dtype), tokens.frame_features]
    return Observed(
        torch.cat(parts, -1),
        visible,
        (landmarks[..., CERTAINTY] + 1) / 2,  # it is -1 to 1, see `tokens.tokenize`
        landmarks[..., :2],
        rivals[..., :2],
        rivals[..., 2],
        landmarks[..., 3:6] / 2,  # metres again, see `tokens.tokenize`
        tokens.view.size,
    )


class Correction(nn.Module):
    """A guess of the pose and the observation -> what a token is to be changed by."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.read_embed = nn.Linear(OBSERVED_SIZE + NUM_LANDMARKS * _MISS_FEATURES, _HIDDEN_WIDTH)
        self.write = nn.Linear(_HIDDEN_WIDTH, dim)
        nn.init.zeros_(self.write.weight)  # begins by changing nothing
        nn.init.zeros_(self.write.bias)

    def forward(
        self,
        guess: tuple[Tensor, Tensor, Tensor],
        seen: Observed,
        skeleton: SkeletonPoints,
    ) -> Tensor:
        """[B, T, dim], to be added to the tokens.

        Args:
            guess: rotations [B, T, 24, 3, 3], place [B, T, 3] and betas [B, T, 10] in the view camera, as of
                `decoder.PoseHead`. No gradient flows back into it: it is trained on the truth.
        """
        miss = misses(guess, seen, skeleton).flatten(2)
        return self.write(nn.functional.gelu(self.read_embed(torch.cat([seen.features, miss], -1))))


def pelvis_of_place(place: Tensor, size: Tensor) -> tuple[Tensor, Tensor]:
    """Where a guess has the pelvis, [..., 3] m in the view camera, and its depth times the size, [..., 1].

    However wild the guess, both are finite, unlike in `view.pelvis_of`. `place` [..., 3], `size` [..., 1].
    """
    depth = place[..., 2:].clamp(-LARGEST_LOG_DEPTH, LARGEST_LOG_DEPTH).exp()
    return torch.cat([place[..., :2] * depth, depth / size], -1), depth


@torch.no_grad()
def misses(
    guess: tuple[Tensor, Tensor, Tensor], seen: Observed, skeleton: SkeletonPoints
) -> Tensor:
    """Observed less guessed landmarks, [B, T, 33, 7]; zero where hidden.

    The first two numbers are in the image, in units of the person's size; the next three in metres, about the
    mid-hip, in the view camera's axes; the last two as the first, of the place that the guess makes
    the likeliest.
    """
    with torch.autocast(
        seen.rays.device.type, enabled=False
    ):  # bfloat16 is too coarse for centimetres
        rotations, place, betas = (value.detach().to(seen.rays.dtype) for value in guess)
        batch, frames = place.shape[:2]
        points = skeleton(rotations.flatten(0, 1), betas.flatten(0, 1)).unflatten(
            0, (batch, frames)
        )
        pelvis, _ = pelvis_of_place(place, seen.size[..., None])
        there = points + pelvis[:, :, None]
        rays = there[..., :2] / there[..., 2:].clamp_min(0.2) / seen.size[..., None, None]
        metric = points - points[:, :, _HIPS].mean(2, keepdim=True)
        miss = seen.rays - rays
        likely, _ = believed(miss, seen.certainty, seen.rivals, seen.rival_certainty)
        miss = torch.cat([miss, seen.metric - metric, likely], -1)
        miss = miss.clamp(-LARGEST_MISS, LARGEST_MISS)
        return miss.where(seen.visible[..., None], 0.0)
