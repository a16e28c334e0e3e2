"""The network's streaming step in ONNX Runtime, on the CPU.

    step = OnnxStep.of(model)                           # or of a file of `d3pose export onnx`
    state = step.initial_state(batch=1)
    prediction, view, state = step.step(frame, state)

Inputs and outputs of the graph are the tensors of `ObservationBatch`, `PosePrediction`, `ViewCamera` and the
state (`single_frame.state_shapes`) by name; people are the first axis of each, of any number.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from d3pose_core.errors import InputError
from d3pose_core.model.config import D3PoseConfig
from d3pose_core.model.d3pose import D3Pose
from d3pose_core.model.decoder import PosePrediction
from d3pose_core.model.tokens import ObservationBatch
from d3pose_core.model.view import ViewCamera
from d3pose_core.runtime.frames import (
    OBSERVATION_NAMES,
    PREDICTION_NAMES,
    VIEW_NAMES,
    made_up_frame,
)
from d3pose_core.runtime.onnx_graph import onnx_model
from d3pose_core.runtime.single_frame import SingleFrame, state_shapes

FORMAT = "d3pose-step-2"  # in the file's metadata, beside the network's configuration


def step_as_onnx(model: D3Pose) -> bytes:
    """One step of `model`, for any number of people, as an ONNX file (opset 20)."""
    shapes = state_shapes(model.config)
    random = torch.Generator().manual_seed(0)

    def inputs(people: int) -> dict[str, torch.Tensor]:
        frame = made_up_frame(people, random)
        observed = {name: getattr(frame, name) for name in OBSERVATION_NAMES}
        state = {name: torch.zeros(people, *s, dtype=d) for name, (s, d) in shapes.items()}
        return observed | state

    outputs = [*PREDICTION_NAMES, *VIEW_NAMES, *(f"new_{name}" for name in shapes)]
    metadata = {"format": FORMAT, "config": json.dumps(model.config.to_dict())}
    return onnx_model(SingleFrame(model).cpu(), inputs, outputs, metadata)


@dataclass(frozen=True)
class OnnxState:
    """What the network remembers of B people, in ONNX Runtime's memory."""

    values: list[Any]  # OrtValue, in the order of `state_shapes`

    @classmethod
    def of(cls, arrays: list[np.ndarray]) -> OnnxState:
        return cls([_ort().OrtValue.ortvalue_from_numpy(array) for array in arrays])

    def split(self) -> list[OnnxState]:
        """One state for each person."""
        columns = [value.numpy() for value in self.values]
        return [
            OnnxState.of([np.ascontiguousarray(column[i : i + 1]) for column in columns])
            for i in range(len(columns[0]))
        ]


class OnnxStep:
    """`D3Pose.step` in ONNX Runtime."""

    runtime = "onnx"

    def __init__(self, model: str | Path | bytes, threads: int = 1) -> None:
        """Open a file of `d3pose export onnx`, or its content.

        Args:
            threads: that one step may use. A few people are faster with one.

        Raises:
            InputError: no such file, not such a file, or ONNX Runtime is not installed.
        """
        ort = _ort()
        named = "the graph" if isinstance(model, bytes) else str(model)
        if not isinstance(model, bytes) and not Path(model).is_file():
            raise InputError(
                f"no ONNX file at {model}; `d3pose export onnx --out {model}` writes one"
            )
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        source = model if isinstance(model, bytes) else str(model)
        try:
            self._session = ort.InferenceSession(
                source, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # the runtime's errors have no common base
            raise InputError(
                f"{named} can't be opened by ONNX Runtime {ort.__version__} ({error}); export it again"
            ) from error
        self.config = _config(self._session, named)
        self._shapes = state_shapes(self.config)
        self._state_names = list(self._shapes)
        self._outputs = [
            *(*PREDICTION_NAMES, *VIEW_NAMES),
            *(f"new_{name}" for name in self._state_names),
        ]
        expected = {*OBSERVATION_NAMES, *self._state_names}
        given = {entry.name for entry in self._session.get_inputs()}
        missing = {entry.name for entry in self._session.get_outputs()} ^ set(self._outputs)
        if given != expected or missing:
            raise InputError(
                f"{named} has other inputs or outputs than a step of its configuration: "
                f"{sorted((given ^ expected) | missing)[:5]}; export it again"
            )

    @classmethod
    def of(cls, model: D3Pose, threads: int = 1) -> OnnxStep:
        """Of a network in memory."""
        _ort()  # before any work
        return cls(step_as_onnx(model), threads)

    def initial_state(self, batch: int) -> OnnxState:
        """The state of `batch` people who were never seen before."""
        types = {torch.bool: np.bool_, torch.float32: np.float32}
        return OnnxState.of(
            [np.zeros((batch, *shape), types[dtype]) for shape, dtype in self._shapes.values()]
        )

    def stack(self, states: list[OnnxState]) -> OnnxState:
        """The states of several people as one batch."""
        columns = zip(*([value.numpy() for value in s.values] for s in states), strict=True)
        return OnnxState.of([np.concatenate(column) for column in columns])

    def step(
        self, frame: ObservationBatch, state: OnnxState
    ) -> tuple[PosePrediction, ViewCamera, OnnxState]:
        """One new frame ([B, 1, ...]) of each person, fed with its own last output."""
        make = _ort().OrtValue.ortvalue_from_numpy
        inputs = {
            name: make(np.ascontiguousarray(getattr(frame, name).numpy()))
            for name in OBSERVATION_NAMES
        }
        inputs |= zip(self._state_names, state.values, strict=True)
        values = self._session.run_with_ort_values(self._outputs, inputs)
        seven = [torch.from_numpy(value.numpy()) for value in values[:7]]
        return PosePrediction(*seven[:5]), ViewCamera(*seven[5:]), OnnxState(values[7:])


def _config(session: Any, named: str) -> D3PoseConfig:
    metadata = session.get_modelmeta().custom_metadata_map
    if metadata.get("format") != FORMAT:
        raise InputError(
            f"{named} is not a {FORMAT} file (its format says {metadata.get('format')!r}); "
            "write one with `d3pose export onnx`"
        )
    try:
        return D3PoseConfig.from_dict(json.loads(metadata["config"]))
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise InputError(
            f"{named} does not say how its network is made ({error}); export it again"
        ) from error


def _ort() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise InputError(
            f"the runtime onnx needs ONNX Runtime ({error}): pip install onnxruntime"
        ) from error
    return onnxruntime
