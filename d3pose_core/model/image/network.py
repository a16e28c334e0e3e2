"""The image variant of D3Pose: the original research model's input, corrected and streaming.

    network = ImageD3Pose(ImageConfig())
    state = network.initial_state(batch=1)
    prediction, view, state = network.step(frame_features, state)
    vector = smpl_vector(prediction, view)              # [B, 1, 82]: 72 of pose, 10 of shape

The decoder, what is fed back to it and the state are D3Pose's own; only what the encoder reads differs.
"""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import roma
import torch
from torch import Tensor

from d3pose_core.model.d3pose import D3Pose, Encoded, StreamState
from d3pose_core.model.decoder import PosePrediction
from d3pose_core.model.image.config import ImageConfig
from d3pose_core.model.image.encoder import ImageEncoder
from d3pose_core.model.image.features import FrameFeatures
from d3pose_core.model.timeline import Timeline
from d3pose_core.model.tokens import ObservationBatch
from d3pose_core.model.view import ViewCamera, out_of_view

VECTOR_SIZE = 82


class ImageD3Pose(D3Pose):
    """`D3Pose` whose frames are `FrameFeatures`; `forward`, `decode` and `step` are inherited."""

    def __init__(self, config: ImageConfig | None = None) -> None:
        image_config = config or ImageConfig()
        super().__init__(image_config.decoder_config())
        self.image_config = image_config
        self.encoder = ImageEncoder(image_config)  # type: ignore[assignment]

    def initial_state(self, batch: int) -> StreamState:
        """The state of `batch` people who were never seen before."""
        device = self.betas_weight.weight.device
        time = Timeline.empty(batch, self.image_config.window - 1, 1, device)
        return replace(super().initial_state(batch), encoder_time=time)

    def encode(self, batch: ObservationBatch | FrameFeatures, state: StreamState) -> Encoded:
        """The encoder's part of `forward`; training decodes it more than once."""
        frames = cast(FrameFeatures, batch)
        encoder = cast(ImageEncoder, self.encoder)
        x = encoder.embed(frames)
        timeline = state.encoder_time.extended(frames.step_s, frames.seen, frames.seen[..., None])
        stage_tokens, cache = encoder(x, state.encoder_cache, timeline)
        kept = timeline.last(self.image_config.window - 1)
        return Encoded(frames.seen, frames.step_s, frames.view(), stage_tokens, kept, cache)


def smpl_vector(prediction: PosePrediction, view: ViewCamera) -> Tensor:
    """The original model's output, [B, T, 82]: 24 axis-angles in the optical frame, then betas."""
    rotvecs = roma.rotmat_to_rotvec(out_of_view(prediction.rotations, view))
    return torch.cat([rotvecs.flatten(-2), prediction.betas], -1)
