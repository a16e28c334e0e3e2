"""Which runtime executes the network's step."""

from __future__ import annotations

import logging
from typing import Any, Protocol

import torch

from d3pose_core.errors import InputError
from d3pose_core.model.d3pose import D3Pose
from d3pose_core.model.decoder import PosePrediction
from d3pose_core.model.tokens import ObservationBatch
from d3pose_core.model.view import ViewCamera
from d3pose_core.runtime import AUTO, CUDA_GRAPH, ONNX, RUNTIMES, TORCH
from d3pose_core.runtime.frames import made_up_frame
from d3pose_core.runtime.torch_step import TorchStep

# Largest difference of a rotation matrix' entry to the reference in a runtime's first steps.
TOLERANCE = 1e-3

_log = logging.getLogger(__name__)


class StepState(Protocol):
    """What a runtime remembers of B people between frames; never changed, only replaced."""

    def split(self) -> list[Any]:
        """One state for each person; the class' `stack` is the inverse."""


class StepRuntime(Protocol):
    """`D3Pose.step`, however it is executed."""

    runtime: str  # one of RUNTIMES

    def initial_state(self, batch: int) -> Any:
        """The `StepState` of people who were never seen before."""

    def stack(self, states: list[Any]) -> Any:
        """The states of several people as one batch."""

    def step(
        self, frame: ObservationBatch, state: Any
    ) -> tuple[PosePrediction, ViewCamera, StepState]:
        """One new frame ([B, 1, ...]) of each person, fed with its own last output."""


def open_runtime(model: D3Pose, runtime: str = AUTO) -> StepRuntime:
    """A way to execute `model`'s step, on the device where it lies.

    Args:
        runtime: "auto" takes the fastest that works: ONNX Runtime on the CPU, a CUDA graph on a GPU; and
            torch, with a warning, where that is missing or gives other numbers than torch.

    Raises:
        InputError: no such runtime, or it can't run here; never for "auto".
    """
    if runtime not in RUNTIMES:
        raise InputError(f"runtime must be one of {', '.join(RUNTIMES)}, got {runtime!r}")
    device = next(model.parameters()).device.type
    reference = TorchStep(model)
    if runtime == TORCH:
        return reference
    wanted = runtime
    if runtime == AUTO:
        wanted = {"cpu": ONNX, "cuda": CUDA_GRAPH}.get(device, TORCH)
    try:
        return _opened(model, wanted, device, reference)
    except Exception as error:  # whatever a library of another version throws, torch is there
        if runtime != AUTO:
            if isinstance(error, InputError):
                raise
            raise InputError(
                f"the runtime {runtime} can't run this network here ({error!r}); use the runtime torch"
            ) from error
        _log.warning("the network runs in torch, slower than it could: %s", error)
        return reference


def _opened(model: D3Pose, runtime: str, device: str, reference: StepRuntime) -> StepRuntime:
    if runtime == TORCH:
        return reference
    if runtime == ONNX:
        if device != "cpu":
            raise InputError(f"the runtime onnx is for the CPU, the network is on {device!r}")
        from d3pose_core.runtime.onnx_step import OnnxStep

        step: StepRuntime = OnnxStep.of(model)
    else:
        if device != "cuda":
            raise InputError(
                f"the runtime cuda-graph needs an NVIDIA GPU, the network is on {device!r}: "
                "give device cuda"
            )
        from d3pose_core.runtime.cuda_step import CudaGraphStep

        step = CudaGraphStep(model)
    _check(step, reference, device)
    return step


def _check(step: StepRuntime, reference: StepRuntime, device: str) -> None:
    """Two steps of two beside torch's: what a wrong graph or a faulty library would show.

    Of two rows, which is what the first person has (`both_ways`): CUDA graphs are recorded by their number.
    """
    random = torch.Generator().manual_seed(0)
    states = [runtime.initial_state(2) for runtime in (step, reference)]
    for _ in range(2):
        frame = made_up_frame(2, random).to(torch.device(device))
        predictions = []
        for i, runtime in enumerate((step, reference)):
            prediction, _, states[i] = runtime.step(frame, states[i])
            predictions.append(prediction.rotations)
        difference = float((predictions[0] - predictions[1]).abs().max())
        if not difference < TOLERANCE:
            raise InputError(
                f"the runtime {step.runtime} gives other numbers than torch on this machine: rotation "
                f"matrices differ by {difference:.1e}; use the runtime torch"
            )
