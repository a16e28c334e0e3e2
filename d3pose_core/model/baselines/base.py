"""What all networks that D3Pose is compared with have in common: the same input, the same answer.

    state = peer.initial_state(batch=1)
    prediction, view, state = peer.step(frame, state)        # one new frame of each person

They differ only in `encode`, which turns a vector of each frame into a token of each frame, and in
how the pose is read from the token. Many frames at once (`forward`) and one after the other
(`step`) give the same numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from d3pose_core.model.d3pose import USUAL_STATURE_LOG_VARIANCE
from d3pose_core.model.decoder import PosePrediction
from d3pose_core.model.tokens import (
    FRAME_FEATURES,
    LANDMARK_FEATURES,
    ObservationBatch,
    Tokens,
    tokenize,
)
from d3pose_core.model.view import ViewCamera
from d3pose_core.skeleton import NUM_JOINTS, NUM_LANDMARKS

FRAME_VECTOR_SIZE = NUM_LANDMARKS * (LANDMARK_FEATURES + 1) + FRAME_FEATURES

# What a network remembers of B people; every tensor has the people along its first axis.
PeerState = list[Tensor]


def frame_vectors(tokens: Tokens) -> Tensor:
    """One vector a frame, [B, T, FRAME_VECTOR_SIZE]: landmarks, which of them are visible, the frame.

    A hidden landmark's numbers are never read. Its zero comes with a flag that says so: for the
    linear layer that follows, the same as a learned stand-in.
    """
    visible = tokens.visible[..., None]
    landmarks = tokens.landmark_features.where(visible, 0.0)
    parts = [landmarks.flatten(2), tokens.visible.to(landmarks.dtype), tokens.frame_features]
    return torch.cat(parts, -1)


@dataclass
class PeerOutput:
    prediction: PosePrediction
    view: ViewCamera
    state: PeerState
    # (rotations, place, betas) that training supervises too; empty outside of training.
    more_poses: list[tuple[Tensor, Tensor, Tensor]]


class Peer(nn.Module):
    """Base of the compared networks; a subclass gives `encode` and calls `finish`."""

    lookahead_frames = 0  # how many frames later the answer for a frame is known
    min_presence = 0.3  # as D3PoseConfig.min_presence
    name: str  # of `baselines.PEERS`
    sizes: dict[str, int]  # given to the constructor

    def finish(self, dim: int, regressor: nn.Module) -> None:
        """The last layers, on tokens of width `dim`.

        Args:
            regressor: tokens [B, T, dim] -> rotations [B, T, 24, 3, 3], place [B, T, 3] and betas
                [B, T, 10] in the view camera (`PosePrediction`).
        """
        self.regressor = regressor
        self.certainty_head = nn.Linear(dim, NUM_JOINTS + 1)
        nn.init.constant_(self.certainty_head.bias[NUM_JOINTS], USUAL_STATURE_LOG_VARIANCE)

    def initial_state(self, batch: int) -> PeerState:
        """The state of `batch` people who were never seen before."""
        raise NotImplementedError

    def encode(
        self, x: Tensor, step_s: Tensor, seen: Tensor, state: PeerState
    ) -> tuple[list[Tensor], PeerState]:
        """From frame vectors [B, T, FRAME_VECTOR_SIZE] to tokens.

        Args:
            step_s: [B, T] seconds since the frame before; seen: [B, T] bool.

        Returns:
            the tokens [B, T, dim] that the answer is read from, then any others that should say
            the same; and the state after these frames.
        """
        raise NotImplementedError

    def forward(
        self, batch: ObservationBatch, state: PeerState | None = None, mixed_precision: bool = False
    ) -> PeerOutput:
        """T frames of B people; what is said of a frame knows at most `lookahead_frames` after it.

        Args:
            batch: observations over T frames.
            state: of the frames before; None for new tracks.
            mixed_precision: large products in bfloat16, as in training.
        """
        tokens = tokenize(batch, self.min_presence)
        x = frame_vectors(tokens)
        state = self.initial_state(len(x)) if state is None else state
        with torch.autocast(x.device.type, torch.bfloat16, enabled=mixed_precision):
            (encoded, *more), state = self.encode(x, batch.step_s, batch.seen, state)
            prediction = self.read_pose(encoded)
            more_poses = [self.regressor(token) for token in more] if self.training else []
        return PeerOutput(prediction, tokens.view, state, more_poses)

    def read_pose(self, encoded: Tensor) -> PosePrediction:
        """Tokens [B, T, dim] -> poses in the view camera."""
        with torch.autocast(encoded.device.type, enabled=False):
            certainty = self.certainty_head(encoded.to(self.certainty_head.weight.dtype))
        rotations, place, betas = self.regressor(encoded)
        return PosePrediction(
            rotations, place, certainty[..., :NUM_JOINTS], betas, certainty[..., NUM_JOINTS]
        )

    @torch.inference_mode()
    def step(
        self, frame: ObservationBatch, state: PeerState
    ) -> tuple[PosePrediction, ViewCamera, PeerState]:
        """One new frame ([B, 1, ...]) of each person; answers the frame `lookahead_frames` ago."""
        output = self(frame, state)
        return output.prediction, output.view, output.state
