"""D3Pose: the double-masked encoder-decoder, as one module with explicit streaming state.

    state = model.initial_state(batch=1)
    prediction, state = model.step(frame, state)        # one new frame of each person

`forward` runs many frames at once with given past poses (training); `step` runs one frame and feeds
its own output back. Both are the same function: `step` over T frames equals `forward` over T frames
with step's outputs as past poses.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from d3pose_core.model.config import LANDMARK_SLOTS, D3PoseConfig
from d3pose_core.model.correction import Observed, observed
from d3pose_core.model.decoder import (
    FEEDBACK_SIZE,
    Decoder,
    Guess,
    PoseHead,
    PosePrediction,
    sixd_to_rotations,
)
from d3pose_core.model.encoder import Encoder
from d3pose_core.model.fit import FIT_SIZE
from d3pose_core.model.refinement import Refinement
from d3pose_core.model.timeline import Timeline
from d3pose_core.model.tokens import ObservationBatch, tokenize
from d3pose_core.model.view import ViewCamera

# What a frame said of the shape counts half after about 700 frames: long enough to settle, short
# enough that an id that jumped to another person recovers.
BETAS_MEMORY = 0.999
USUAL_STATURE_LOG_VARIANCE = -6.0  # adults' statures differ by about 5 %


def leaky_sum(x: Tensor, before: Tensor, memory: float) -> Tensor:
    """Running sum that forgets: out[t] = x[t] + memory * out[t - 1].

    Args:
        x: [B, T, d]; before: [B, d], the sum before the first frame.
    """
    frames = torch.arange(x.shape[1], device=x.device)
    decay = memory ** (frames[:, None] - frames).clamp_min(0).to(x.dtype)
    decay = decay.tril()
    return decay @ x + memory ** (frames + 1).to(x.dtype)[:, None] * before[:, None]


@dataclass
class StreamState:
    """Everything D3Pose remembers of B people between frames; constant in size.

    Tensors have people along their first axis, so states stack and split (`stack`, `split`).
    """

    encoder_time: Timeline
    decoder_time: Timeline
    encoder_cache: list[Tensor]
    decoder_cache: list[Tensor]
    past: Tensor  # [B, FEEDBACK_SIZE] the last output
    started: Tensor  # [B] bool: there is a last output
    betas_sum: Tensor  # [B, 11] weighted sum of betas, and of the weights
    carried: Tensor  # [B, FIT_SIZE] how far the poses are off, see `refinement`

    def tensors(self) -> list[Tensor]:
        return [
            *(self.encoder_time.age_s, self.encoder_time.seen, self.encoder_time.visible),
            *(self.decoder_time.age_s, self.decoder_time.seen, self.decoder_time.visible),
            *self.encoder_cache,
            *self.decoder_cache,
            *(self.past, self.started, self.betas_sum, self.carried),
        ]

    def _from_tensors(self, tensors: list[Tensor]) -> StreamState:
        encoder, decoder = len(self.encoder_cache), len(self.decoder_cache)
        return StreamState(
            Timeline(*tensors[:3]),
            Timeline(*tensors[3:6]),
            tensors[6 : 6 + encoder],
            tensors[6 + encoder : 6 + encoder + decoder],
            *tensors[-4:],
        )

    @staticmethod
    def stack(states: list[StreamState]) -> StreamState:
        """The states of several people as one batch."""
        columns = zip(*(state.tensors() for state in states), strict=True)
        return states[0]._from_tensors([torch.cat(column) for column in columns])

    def split(self) -> list[StreamState]:
        """One state for each person."""
        columns = [tensor.split(1) for tensor in self.tensors()]
        return [self._from_tensors(list(row)) for row in zip(*columns, strict=True)]


@dataclass
class Encoded:
    """What the encoder says of T frames, and what it keeps for the next ones."""

    seen: Tensor  # [B, T] bool
    step_s: Tensor  # [B, T]
    view: ViewCamera
    stage_tokens: list[Tensor]  # [B, T, decoder_dim] from each stage
    timeline: Timeline
    cache: list[Tensor]
    observed: Observed | None = None  # what the decoder's corrections compare with


@dataclass
class ForwardOutput:
    prediction: PosePrediction
    view: ViewCamera
    state: StreamState
    guesses: list[Guess]  # before the last one: between the decoder's blocks, and unrefined


class D3Pose(nn.Module):
    """Landmarks of the last frames in, SMPL pose of each frame out, with no look-ahead."""

    def __init__(self, config: D3PoseConfig | None = None):
        super().__init__()
        self.config = config or D3PoseConfig()
        stages = len(self.config.embed_dims)
        self.encoder = Encoder(self.config)
        self.decoder = Decoder(self.config, stages)
        self.stage_heads = nn.ModuleList(PoseHead(self.config.decoder_dim) for _ in range(stages))
        if self.config.refinement:
            self.refinement = Refinement(self.config.decoder_dim)
        self.betas_weight = nn.Linear(self.config.decoder_dim, 1)
        self.stature_head = nn.Linear(self.config.decoder_dim + 1, 1)
        nn.init.constant_(self.stature_head.bias, USUAL_STATURE_LOG_VARIANCE)

    def initial_state(self, batch: int) -> StreamState:
        """The state of `batch` people who were never seen before."""
        device = self.betas_weight.weight.device
        config = self.config
        return StreamState(
            Timeline.empty(batch, config.encoder_frames - 1, LANDMARK_SLOTS, device),
            Timeline.empty(batch, config.decoder_frames - 1, 1, device),
            self.encoder.empty_cache(batch, device),
            self.decoder.empty_cache(batch, device),
            torch.zeros(batch, FEEDBACK_SIZE, device=device),
            torch.zeros(batch, dtype=torch.bool, device=device),
            torch.zeros(batch, 11, device=device),
            torch.zeros(batch, FIT_SIZE, device=device),
        )

    def forward(
        self, batch: ObservationBatch, past: Tensor, state: StreamState | None = None
    ) -> ForwardOutput:
        """T frames of B people with given past poses.

        Args:
            batch: observations over T frames.
            past: [B, T, FEEDBACK_SIZE]; row t is the pose of frame t - 1. Row 0 of a new track is
                not read.
            state: of the frames before; None for new tracks.
        """
        state = state or self.initial_state(len(batch.seen))
        return self.decode(past, self.encode(batch, state), state)

    def encode(self, batch: ObservationBatch, state: StreamState) -> Encoded:
        """The encoder's part of `forward`; training decodes it more than once."""
        tokens = tokenize(batch, self.config.min_presence)
        x, visible = self.encoder.embed(tokens)
        timeline = state.encoder_time.extended(batch.step_s, batch.seen, visible)
        stage_tokens, cache = self.encoder(x, state.encoder_cache, timeline)
        kept = timeline.last(self.config.encoder_frames - 1)
        seen = observed(tokens) if self.config.corrections else None
        return Encoded(batch.seen, batch.step_s, tokens.view, stage_tokens, kept, cache, seen)

    def decode(self, past: Tensor, encoded: Encoded, state: StreamState) -> ForwardOutput:
        """The decoder's part of `forward`."""
        seen = encoded.seen
        if past.shape != (*seen.shape, FEEDBACK_SIZE):
            raise ValueError(
                f"past must be [B, T, {FEEDBACK_SIZE}] = {(*seen.shape, FEEDBACK_SIZE)}, "
                f"got {tuple(past.shape)}"
            )
        exists = torch.ones_like(seen)[..., None]
        timeline = state.decoder_time.extended(encoded.step_s, seen, exists)
        started = torch.cat([state.started[:, None], exists[:, 1:, 0]], 1)
        check = None
        if encoded.observed is not None:
            check = self.stage_heads[-1](encoded.stage_tokens[-1]), encoded.observed
        decoded, cache, guesses = self.decoder(
            past, started, encoded.stage_tokens, state.decoder_cache, timeline, check
        )

        rotations, place, betas = self.decoder.pose_head(decoded)
        carried = state.carried
        if self.config.refinement:
            assert encoded.observed is not None
            guesses.append((rotations, place, betas))
            columns, place, carried = self.refinement(
                *(decoded, guesses[-1], carried, started, encoded.step_s, seen),
                *(encoded.observed, self.decoder.skeleton),
            )
            rotations = sixd_to_rotations(columns.flatten(-2))

        # Shape settles: the running estimate is a weighted mean of what every frame suggested.
        weight = self.betas_weight(decoded).sigmoid() * seen[..., None]
        sums = leaky_sum(torch.cat([betas * weight, weight], -1), state.betas_sum, BETAS_MEMORY)
        running = sums[..., :-1] / (sums[..., -1:] + 0.1)  # the 0.1 pulls to the mean shape
        # The more frames have spoken of the shape, the surer it is.
        evidence = sums[..., -1:].log1p()
        stature = self.stature_head(torch.cat([decoded, evidence], -1))[..., 0]
        log_variance = self.decoder.variance_head(decoded)
        prediction = PosePrediction(rotations, place, log_variance, running, stature)
        new_state = StreamState(
            encoded.timeline,
            timeline.last(self.config.decoder_frames - 1),
            encoded.cache,
            cache,
            prediction.feedback()[:, -1],
            torch.ones_like(state.started),
            sums[:, -1],
            carried,
        )
        return ForwardOutput(prediction, encoded.view, new_state, guesses)

    def stage_poses(self, encoded: Encoded) -> list[Guess]:
        """Each encoder stage's own rotations, place and betas: extra supervision in training."""
        pairs = zip(self.stage_heads, encoded.stage_tokens, strict=True)
        return [head(token) for head, token in pairs]

    @torch.inference_mode()
    def step(
        self, frame: ObservationBatch, state: StreamState
    ) -> tuple[PosePrediction, ViewCamera, StreamState]:
        """One new frame ([B, 1, ...]) of each person, fed with its own last output."""
        output = self(frame, state.past[:, None], state)
        return output.prediction, output.view, output.state
