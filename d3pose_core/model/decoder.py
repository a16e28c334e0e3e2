"""The decoder: attends to its own past poses and to every encoder stage, and writes one pose a
frame.

The second of the two masks acts here: neither past poses nor stage tokens of the future are seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import roma
import torch
from torch import Tensor, nn

from d3pose_core.model.attention import (
    FeedForward,
    TimeBias,
    causal_band,
    masked_attention,
)
from d3pose_core.model.config import D3PoseConfig
from d3pose_core.model.correction import Correction, Observed
from d3pose_core.model.skeleton_points import SkeletonPoints
from d3pose_core.model.timeline import Timeline
from d3pose_core.skeleton import NUM_JOINTS

NUM_BETAS = 10
# What is fed back: 24 rotations in the continuous 6D form, and where the person is in the view
# camera.
FEEDBACK_SIZE = NUM_JOINTS * 6 + 3

# Rotations [B, T, 24, 3, 3], place [B, T, 3] and betas [B, T, 10] in the view camera.
Guess = tuple[Tensor, Tensor, Tensor]

# log(depth * angular size) of an upright adult: landmarks spread about 0.37 m from their centre.
USUAL_LOG_DEPTH = -1.0


@dataclass
class PosePrediction:
    """Poses of B people over T frames in the view camera (see `tokens.ViewCamera`)."""

    rotations: Tensor  # [B, T, 24, 3, 3] SMPL rotations, the first is the body in the view camera
    place: Tensor  # [B, T, 3] pelvis: x and y over depth and size, log(depth * size) in log metres
    log_variance: Tensor  # [B, T, 24] of each joint's position error, log m^2
    betas: Tensor  # [B, T, 10] running estimate
    stature_log_variance: Tensor  # [B, T] of the log of the stature that `betas` stands for

    def feedback(self) -> Tensor:
        """[B, T, FEEDBACK_SIZE]: the outputs as the decoder reads them one frame later."""
        return encode_feedback(self.rotations, self.place)


def encode_feedback(rotations: Tensor, place: Tensor) -> Tensor:
    """[..., 24, 3, 3] and [..., 3] -> [..., FEEDBACK_SIZE]."""
    return torch.cat([rotations[..., :2].flatten(-3), place], -1)


def sixd_to_rotations(sixd: Tensor) -> Tensor:
    """The continuous 6D form (Zhou et al. 2019), [..., 6] as two columns -> rotation matrices."""
    return roma.special_gramschmidt(sixd.unflatten(-1, (3, 2)))


class PastAttention(nn.Module):
    """A frame's token attends to the tokens of its own and the `frames - 1` frames before."""

    def __init__(self, dim: int, heads: int, frames: int):
        super().__init__()
        self.heads, self.history = heads, frames - 1
        self.query_norm, self.key_norm = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.query, self.key_value = nn.Linear(dim, dim), nn.Linear(dim, 2 * dim)
        self.project = nn.Linear(dim, dim)
        self.time_bias = TimeBias(heads)

    def forward(
        self, x: Tensor, source: Tensor, cache: Tensor, elapsed: Tensor, allowed: Tensor
    ) -> tuple[Tensor, Tensor]:
        """One attention over T new frames.

        Args:
            x: [B, T, d] asks; source: [B, T, d] answers (x itself, or a stage's tokens).
            cache: [B, history, 2d] keys and values of the frames before.
            elapsed: [B, T, history + T] seconds from key to query; allowed: bool, same shape.
        """
        new = x.shape[1]
        key_value = torch.cat([cache, self.key_value(self.key_norm(source))], 1)

        def split(t: Tensor) -> Tensor:  # [B, N, d] -> [B, heads, N, d / heads]
            return t.unflatten(-1, (self.heads, -1)).transpose(1, 2)

        k, v = (split(t) for t in key_value.chunk(2, -1))
        bias = self.time_bias(elapsed).permute(0, 3, 1, 2)
        out = masked_attention(split(self.query(self.query_norm(x))), k, v, bias, allowed[:, None])
        return self.project(out.transpose(1, 2).flatten(2)), key_value[:, new:]


class DecoderBlock(nn.Module):
    def __init__(self, config: D3PoseConfig):
        super().__init__()
        sizes = (config.decoder_dim, config.decoder_heads, config.decoder_frames)
        self.self_attention = PastAttention(*sizes)
        self.cross_attention = PastAttention(*sizes)
        self.feed_forward = FeedForward(config.decoder_dim, config.mlp_ratio)

    def forward(
        self,
        x: Tensor,
        stage_tokens: Tensor,
        cache: list[Tensor],
        elapsed: Tensor,
        self_allowed: Tensor,
        cross_allowed: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Tokens [B, T, d] after the block, and the caches of self- and cross-attention."""
        attended, self_cache = self.self_attention(x, x, cache[0], elapsed, self_allowed)
        x = x + attended
        attended, cross_cache = self.cross_attention(
            x, stage_tokens, cache[1], elapsed, cross_allowed
        )
        x = x + attended
        return x + self.feed_forward(x), self_cache, cross_cache


class Decoder(nn.Module):
    def __init__(self, config: D3PoseConfig, stages: int):
        super().__init__()
        self.config = config
        dim = config.decoder_dim
        self.embed = nn.Linear(FEEDBACK_SIZE, dim)
        self.start = nn.Parameter(torch.randn(dim) * 0.02)
        self.blocks = nn.ModuleList(DecoderBlock(config) for _ in range(stages))
        self.norm = nn.LayerNorm(dim)
        self.pose_head = PoseHead(dim)
        self.variance_head = nn.Linear(dim, NUM_JOINTS)
        if config.corrections:
            self.skeleton = SkeletonPoints()
            self.corrections = nn.ModuleList(Correction(dim) for _ in range(stages))

    def empty_cache(self, batch: int, device: torch.device) -> list[Tensor]:
        """Keys and values of a track that has no past: self- and cross-attention of each block."""
        shape = (batch, self.config.decoder_frames - 1, 2 * self.config.decoder_dim)
        return [torch.zeros(shape, device=device) for _ in range(2 * len(self.blocks))]

    def forward(
        self,
        past: Tensor,
        started: Tensor,
        stage_tokens: list[Tensor],
        cache: list[Tensor],
        timeline: Timeline,
        check: tuple[Guess, Observed] | None = None,
    ) -> tuple[Tensor, list[Tensor], list[Guess]]:
        """Decode T new frames.

        Args:
            past: [B, T, FEEDBACK_SIZE] the pose of the frame before each frame.
            started: [B, T] bool: there is a frame before; else the start token is read instead.
            stage_tokens: from the encoder, [B, T, d] each.
            cache: of the frames before, see `empty_cache`.
            timeline: of decoder_frames - 1 + T frames; `seen` of each.
            check: the encoder's own poses, which the first correction starts from, and what was
                observed; None where there are no corrections.

        Returns:
            decoded tokens [B, T, d], the new cache, and the guesses between the blocks.
        """
        new, history = past.shape[1], self.config.decoder_frames - 1
        elapsed = timeline.age_s[:, None, :] - timeline.age_s[:, history:, None]
        band = causal_band(history, new, past.device)
        itself = torch.arange(history, history + new, device=past.device)
        itself = itself[:, None] == torch.arange(history + new, device=past.device)
        # A stage's token of a frame without the person says nothing, but a frame always sees
        # itself.
        cross_allowed = (band & timeline.seen[:, None, :]) | itself
        # `visible` of the decoder's timeline says whether the track existed at that frame.
        self_allowed = (band & timeline.visible[:, None, :, 0]) | itself

        x = torch.where(started[..., None], self.embed(past), self.start)
        new_cache: list[Tensor] = []
        guesses: list[Guess] = []
        for i, block in enumerate(self.blocks):
            if check is not None:
                guess, seen = check
                if i:
                    guess = self.guess(x)
                    guesses.append(guess)
                x = x + self.corrections[i](guess, seen, self.skeleton)
            x, *kept = block(
                x,
                stage_tokens[i],
                cache[2 * i : 2 * i + 2],
                elapsed,
                self_allowed,
                cross_allowed,
            )
            new_cache += kept
        return self.norm(x), new_cache, guesses

    def guess(self, x: Tensor) -> Guess:
        """The pose that tokens [B, T, d] stand for so far."""
        with torch.autocast(x.device.type, enabled=False):
            return self.pose_head(self.norm(x.to(self.norm.weight.dtype)))


class PoseHead(nn.Module):
    """A token -> rotations, place and betas; starts at the rest pose at a usual distance."""

    def __init__(self, dim: int):
        super().__init__()
        self.linear = nn.Linear(dim, FEEDBACK_SIZE + NUM_BETAS)
        nn.init.normal_(self.linear.weight, std=0.01)
        nn.init.zeros_(self.linear.bias)
        nn.init.constant_(self.linear.bias[NUM_JOINTS * 6 + 2], USUAL_LOG_DEPTH)
        identity = torch.eye(3)[:, :2].flatten().repeat(NUM_JOINTS)
        self.register_buffer("identity", identity, persistent=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """[..., d] -> rotations [..., 24, 3, 3], place [..., 3], betas [..., 10]."""
        sixd, place, betas = self.linear(x).split([NUM_JOINTS * 6, 3, NUM_BETAS], -1)
        rotations = sixd_to_rotations((sixd + self.identity).unflatten(-1, (NUM_JOINTS, 6)))
        return rotations, place, betas
