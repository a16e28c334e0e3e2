"""Tells recorded motions from a network's, and so teaches the network to move like a person.

VIBE's motion discriminator (Kocabas et al. 2020): two GRU layers over SMPL pose sequences, pooled by
self-attention, one score a sequence; trained with the least-squares losses of LSGAN (Mao et al. 2017).
"""

from __future__ import annotations

from torch import Tensor, nn

from d3pose_core.skeleton import NUM_JOINTS

BODY_POSE_SIZE = (NUM_JOINTS - 1) * 6  # without the root, whose direction depends on the camera


class MotionDiscriminator(nn.Module):
    def __init__(self, hidden: int = 256, layers: int = 2, attention: int = 128):
        super().__init__()
        self.gru = nn.GRU(BODY_POSE_SIZE, hidden, layers, batch_first=True)
        self.attention = nn.Sequential(
            nn.Linear(hidden, attention), nn.Tanh(), nn.Linear(attention, 1)
        )
        self.score = nn.Linear(hidden, 1)

    def forward(self, rotations: Tensor) -> Tensor:
        """SMPL rotations [B, T, 24, 3, 3] -> [B]: near 1 for a recorded motion, near 0 for a made one."""
        poses = rotations[:, :, 1:, :, :2].flatten(2)
        states, _ = self.gru(poses)
        weight = self.attention(states).softmax(1)
        return self.score((weight * states).sum(1))[:, 0]

    def loss(self, recorded: Tensor, made: Tensor) -> Tensor:
        """What the discriminator minimises; no gradient goes to `made`."""
        return (self(recorded) - 1).square().mean() + self(made.detach()).square().mean()

    def generator_loss(self, made: Tensor) -> Tensor:
        """What the pose network minimises: its motions should pass for recorded ones."""
        for parameter in self.parameters():
            parameter.requires_grad_(False)
        loss = (self(made) - 1).square().mean()
        for parameter in self.parameters():
            parameter.requires_grad_(True)
        return loss
