"""The past, the present and the future encoded apart, and weighed against each other.

After "Beyond Static Features for Temporally Consistent 3D Human Pose and Shape from a Video" (TCMR,
Choi et al. 2021): one GRU reads all frames, a second only those before the current frame and a third
only those after it; the two latter *forecast* the current frame without seeing it. The features are
integrated by attention, and no residual lets the current frame's own feature dominate. In training
the forecasts answer for the current frame too.

TCMR looks ahead. With `future_frames` 0 it does not: its third GRU has nothing to read and is left
out, and the first reads up to the current frame. The past is as long as the track.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from d3pose_core.model.baselines.base import (
    FRAME_VECTOR_SIZE,
    Peer,
    PeerState,
    frame_vectors,
)
from d3pose_core.model.baselines.regressor import IterativeRegressor
from d3pose_core.model.decoder import PosePrediction
from d3pose_core.model.tokens import ObservationBatch, tokenize
from d3pose_core.model.view import ViewCamera


class BackwardGru(nn.Module):
    """A GRU that reads a frame's `frames` followers, the last one first, for every frame at once."""

    def __init__(self, dim: int, hidden: int, frames: int):
        super().__init__()
        self.input = nn.Linear(dim, 3 * hidden)
        self.memory = nn.Linear(hidden, 3 * hidden)
        self.frames = frames

    def forward(self, x: Tensor, exists: Tensor) -> tuple[Tensor, Tensor]:
        """Read backwards from frame t + frames.

        Args:
            x: [B, T, dim]; exists: [B, T] bool, else the frame is not read.

        Returns:
            [B, T, hidden] the state after frame t + 1, and after frame t itself.
        """
        new = x.shape[1]
        inputs = nn.functional.pad(self.input(x), (0, 0, 0, self.frames))
        exists = nn.functional.pad(exists, (0, self.frames))[..., None]
        state = inputs.new_zeros(*x.shape[:2], self.memory.in_features)
        before = state
        for ahead in range(self.frames, -1, -1):
            before = state
            frame = slice(ahead, ahead + new)
            state = torch.where(exists[:, frame], self._cell(inputs[:, frame], state), state)
        return before, state

    def _cell(self, inputs: Tensor, state: Tensor) -> Tensor:
        """The gated recurrent unit (Cho et al. 2014), its part of the input computed before."""
        reset_in, update_in, new_in = inputs.chunk(3, -1)
        reset, update, new = self.memory(state).chunk(3, -1)
        candidate = torch.tanh(new_in + torch.sigmoid(reset_in + reset) * new)
        keep = torch.sigmoid(update_in + update)
        return candidate + keep * (state - candidate)


class Tcmr(Peer):
    def __init__(
        self,
        future_frames: int = 0,
        dim: int = 384,
        hidden: int = 320,
        feature: int = 384,
        regressor: int = 384,
    ):
        super().__init__()
        self.lookahead_frames = future_frames
        self.embed = nn.Sequential(nn.Linear(FRAME_VECTOR_SIZE, dim), nn.ReLU())
        self.gru_all = nn.GRU(dim, hidden, 2, batch_first=True)
        self.gru_past = nn.GRU(dim, hidden, 1, batch_first=True)
        if future_frames:
            self.gru_all_backward = BackwardGru(dim, hidden, future_frames)
            self.gru_future = BackwardGru(dim, hidden, future_frames)
        branches = 3 if future_frames else 2
        widths = [2 * hidden if future_frames else hidden, *[hidden] * (branches - 1)]
        self.expand = nn.ModuleList(nn.Linear(width, feature) for width in widths)
        narrow = feature // 4
        self.narrow = nn.Linear(feature, narrow)
        self.attention = nn.Sequential(
            nn.Linear(branches * narrow, narrow), nn.Tanh(), nn.Linear(narrow, branches)
        )
        self.finish(feature, IterativeRegressor(feature, regressor))

    def initial_state(self, batch: int) -> PeerState:
        """Memory of the two forward GRUs, and where it looks ahead the frames not answered yet."""
        hidden, weight = self.gru_all.hidden_size, self.narrow.weight
        memory = [weight.new_zeros(batch, 2, hidden), weight.new_zeros(batch, 1, hidden)]
        if not self.lookahead_frames:
            return memory
        waiting = self.lookahead_frames
        return [
            *memory,
            weight.new_zeros(batch, waiting, FRAME_VECTOR_SIZE),
            weight.new_zeros(batch, waiting, dtype=torch.bool),
            torch.eye(3, device=weight.device, dtype=weight.dtype).repeat(batch, waiting, 1, 1),
            weight.new_ones(batch, waiting),
        ]

    def encode(
        self, x: Tensor, step_s: Tensor, seen: Tensor, state: PeerState
    ) -> tuple[list[Tensor], PeerState]:
        """All frames of `x` at once; those after its last one do not exist for it."""
        feature = self.embed(x)
        read, memory = self.read_forward(feature, state)
        if self.lookahead_frames:
            read = self.add_backward(read, feature, torch.ones_like(seen))
            memory = [*memory, *state[2:]]
        return self.integrate(read), memory

    def read_forward(self, feature: Tensor, state: PeerState) -> tuple[list[Tensor], PeerState]:
        """What the frames up to each frame say [B, T, hidden], and those before it; and the memory."""
        first, second = (memory.transpose(0, 1).contiguous() for memory in state[:2])
        up_to, first = self.gru_all(feature, first)
        past, new_second = self.gru_past(feature, second)
        before = torch.cat([second[0][:, None].to(past.dtype), past[:, :-1]], 1)
        return [up_to, before], [first.transpose(0, 1), new_second.transpose(0, 1)]

    def add_backward(self, read: list[Tensor], feature: Tensor, exists: Tensor) -> list[Tensor]:
        """`read_forward`'s outputs with what the `lookahead_frames` after each frame say."""
        _, from_here = self.gru_all_backward(feature, exists)
        after, _ = self.gru_future(feature, exists)
        frames = read[0].shape[1]
        up_to, before = read
        return [torch.cat([up_to, from_here[:, :frames]], -1), before, after[:, :frames]]

    def integrate(self, read: list[Tensor]) -> list[Tensor]:
        """The branches' features weighed against each other, then the forecasts [B, T, feature]."""
        branches = [expand(torch.relu(x)) for expand, x in zip(self.expand, read, strict=True)]
        summary = torch.cat([self.narrow(torch.relu(branch)) for branch in branches], -1)
        weight = self.attention(summary).softmax(-1)
        integrated = (torch.stack(branches, -1) * weight[..., None, :]).sum(-1)
        return [integrated, *branches[1:]]

    @torch.inference_mode()
    def step(
        self, frame: ObservationBatch, state: PeerState
    ) -> tuple[PosePrediction, ViewCamera, PeerState]:
        """One new frame of each person; the answer is for the frame `lookahead_frames` ago."""
        if not self.lookahead_frames:
            return super().step(frame, state)
        tokens = tokenize(frame, self.min_presence)
        new = (frame_vectors(tokens), torch.ones_like(frame.seen), *vars(tokens.view).values())
        x, exists, rotation, size = (
            torch.cat([kept, arrived], 1) for kept, arrived in zip(state[2:], new, strict=True)
        )
        feature = self.embed(x)
        read, memory = self.read_forward(feature[:, :1], state)
        # Before a track's first frame has come to the front there is nothing to remember.
        answers = exists[:, :1, None]
        memory = [torch.where(answers, m, s) for m, s in zip(memory, state[:2], strict=True)]
        integrated = self.integrate(self.add_backward(read, feature, exists))[0]
        waiting = [part[:, 1:] for part in (x, exists, rotation, size)]
        view = ViewCamera(rotation[:, :1], size[:, :1])
        return self.read_pose(integrated), view, [*memory, *waiting]
