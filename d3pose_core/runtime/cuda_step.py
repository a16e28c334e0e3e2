"""The network's streaming step on an NVIDIA GPU as a CUDA graph: a thousand small kernels, one launch.

A graph is recorded for one number of people. Steps of other numbers are padded to the next of `SIZES`, or
to the next multiple of the largest; each size is recorded once, when it is first needed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from d3pose_core.errors import InputError
from d3pose_core.model.d3pose import D3Pose
from d3pose_core.model.decoder import PosePrediction
from d3pose_core.model.tokens import ObservationBatch
from d3pose_core.model.view import ViewCamera
from d3pose_core.runtime.frames import OBSERVATION_NAMES, made_up_frame
from d3pose_core.runtime.single_frame import SingleFrame, state_shapes

SIZES = (1, 2, 4, 8)
_WARM_UP_RUNS = 3  # libraries choose their kernels and take their memory in the first ones

Step = Callable[[], tuple[Tensor, ...]]  # from fixed tensors to fixed tensors


@dataclass(frozen=True)
class PackedState:
    """What the network remembers of B people: all of it in one row of numbers each."""

    rows: Tensor  # [B, numbers of a state]

    def split(self) -> list[PackedState]:
        """One state for each person."""
        return [PackedState(row) for row in self.rows.split(1)]


class CudaGraphStep:
    """`D3Pose.step` of a network on a GPU."""

    runtime = "cuda-graph"

    def __init__(self, model: D3Pose) -> None:
        """Raises InputError for a network that is not on a CUDA device."""
        self._device = next(model.parameters()).device
        self._record = self._recorder()
        self._network = SingleFrame(model).to(self._device).eval()
        self._layout = list(state_shapes(model.config).values())
        self._numbers = sum(int(torch.Size(shape).numel()) for shape, _ in self._layout)
        self._recorded: dict[int, _FixedSize] = {}
        self._lock = threading.Lock()  # several cameras may share the fixed tensors

    def _recorder(self) -> Callable[[Step], tuple[Callable[[], None], tuple[Tensor, ...]]]:
        if self._device.type != "cuda":
            raise InputError(f"a CUDA graph needs a network on cuda, it is on {self._device}")
        return record_cuda_graph

    def initial_state(self, batch: int) -> PackedState:
        """The state of `batch` people who were never seen before."""
        return PackedState(torch.zeros(batch, self._numbers, device=self._device))

    def stack(self, states: list[PackedState]) -> PackedState:
        """The states of several people as one batch."""
        return PackedState(torch.cat([state.rows for state in states]))

    @torch.inference_mode()
    def step(
        self, frame: ObservationBatch, state: PackedState
    ) -> tuple[PosePrediction, ViewCamera, PackedState]:
        """One new frame ([B, 1, ...]) of each person, fed with its own last output."""
        size = padded(len(state.rows))
        with self._lock:
            if size not in self._recorded:
                self._recorded[size] = _FixedSize(self, size)
            *results, rows = self._recorded[size].run(frame, state.rows)
        return PosePrediction(*results[:5]), ViewCamera(*results[5:]), PackedState(rows)

    def packed(self, observed: list[Tensor], rows: Tensor) -> tuple[Tensor, ...]:
        """The network's step with its state as rows of numbers."""
        sizes = [int(torch.Size(shape).numel()) for shape, _ in self._layout]
        state = [
            (part != 0 if dtype == torch.bool else part).reshape(len(rows), *shape)
            for part, (shape, dtype) in zip(rows.split(sizes, 1), self._layout, strict=True)
        ]
        made = self._network(*observed, *state)
        kept = torch.cat([t.flatten(1).to(rows.dtype) for t in made[-len(state) :]], 1)
        return (*made[: -len(state)], kept)


def padded(people: int) -> int:
    """The number of people that a recorded step for at least `people` has."""
    largest = SIZES[-1]
    return next((size for size in SIZES if size >= people), -(-people // largest) * largest)


class _FixedSize:
    """The step for one number of people, with tensors that stay where they are."""

    def __init__(self, step: CudaGraphStep, size: int) -> None:
        random = torch.Generator().manual_seed(0)
        frame = made_up_frame(size, random).to(step._device)
        self._observed = [getattr(frame, name) for name in OBSERVATION_NAMES]
        self._rows = step.initial_state(size).rows
        # Streams and graphs are made on the current device, which need not be the network's.
        on_cuda = step._device.type == "cuda"
        with torch.cuda.device(step._device) if on_cuda else nullcontext():
            self._replay, self._made = step._record(lambda: step.packed(self._observed, self._rows))

    def run(self, frame: ObservationBatch, rows: Tensor) -> list[Tensor]:
        """Copies in, runs, copies out. Rows beyond `rows` go on with whatever was there last."""
        people = len(rows)
        for there, name in zip(self._observed, OBSERVATION_NAMES, strict=True):
            there[:people].copy_(getattr(frame, name))
        self._rows[:people].copy_(rows)
        self._replay()
        return [made[:people].clone() for made in self._made]


def record_cuda_graph(step: Step) -> tuple[Callable[[], None], tuple[Tensor, ...]]:
    """A function that repeats `step` on the GPU as one launch, and the tensors that it fills."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(_WARM_UP_RUNS):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    # Other threads may use the GPU meanwhile: those of other cameras do.
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        made = step()
    return graph.replay, made
