"""The network's streaming step in ONNX Runtime, on the CPU.

    step = OnnxStep.of(model)                           # or of a file of `d3pose export onnx`
    state = step.initial_state(batch=1)
    prediction, view, state = step.step(frame, state)

Inputs and outputs of the graph are the tensors of `ObservationBatch`, `PosePrediction`, `ViewCamera` and the
state (`single_frame.state_shapes`) by name; people are the first axis of each, of any number.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
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


class _Stream:
    """The memory of so many people's steps, handed to ONNX Runtime once and used again and again.

    A state lies on one of two sides; a step reads it there and writes the next one on the other.
    """

    def __init__(self, session: Any, state_names: list[str], people: int) -> None:
        def arrays(entries: Iterable[Any]) -> dict[str, np.ndarray]:
            types = {"tensor(float)": np.float32, "tensor(bool)": np.bool_}
            return {e.name: np.zeros((people, *e.shape[1:]), types[e.type]) for e in entries}

        self._session = session
        inputs = arrays(session.get_inputs())
        self.observed = {name: inputs[name] for name in OBSERVATION_NAMES}
        made = arrays(session.get_outputs()[: len(PREDICTION_NAMES) + len(VIEW_NAMES)])
        self.made = list(made.values())
        first = [inputs[name] for name in state_names]
        self.sides = first, [np.zeros_like(array) for array in first]
        self.written = [0, 0]  # how often each side was
        self._bindings = []
        for here, there in (self.sides, self.sides[::-1]):
            binding = session.io_binding()
            read = self.observed | dict(zip(state_names, here, strict=True))
            new = made | {f"new_{n}": array for n, array in zip(state_names, there, strict=True)}
            for name, array in read.items():
                binding.bind_input(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)
            for name, array in new.items():
                binding.bind_output(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)
            self._bindings.append(binding)

    def run(self, side: int) -> None:
        """One step from the state on `side`."""
        self.written[1 - side] += 1
        self._session.run_with_iobinding(self._bindings[side])


@dataclass(frozen=True)
class OnnxState:
    """What the network remembers of B people.

    What a step answers lies in memory that the step after next writes to; it says so when asked too late.
    """

    rows: list[np.ndarray]  # in the order of `state_shapes`
    stream: _Stream | None = None  # whose memory it is; None: its own
    side: int = 0
    written: int = 0

    def arrays(self) -> list[np.ndarray]:
        """`rows`, if they are still this state's. Raises ValueError."""
        if self.stream is not None and self.stream.written[self.side] != self.written:
            raise ValueError(
                "this state was overwritten by later steps; `step.stack([state])` is a copy that lasts"
            )
        return self.rows

    def split(self) -> list[OnnxState]:
        """One state for each person."""
        rows = self.arrays()
        return [OnnxState([row[i : i + 1].copy() for row in rows]) for i in range(len(rows[0]))]


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
        expected = [*OBSERVATION_NAMES, *self._shapes]
        expected += [*PREDICTION_NAMES, *VIEW_NAMES, *(f"new_{name}" for name in self._shapes)]
        given = [entry.name for entry in self._session.get_inputs()]
        given += [entry.name for entry in self._session.get_outputs()]
        if given != expected:
            raise InputError(
                f"{named} has other inputs or outputs than a step of its configuration, such as "
                f"{sorted(set(given) ^ set(expected))[:5]}; export it again"
            )

    @classmethod
    def of(cls, model: D3Pose, threads: int = 1) -> OnnxStep:
        """Of a network in memory."""
        _ort()  # before any work
        return cls(step_as_onnx(model), threads)

    def initial_state(self, batch: int) -> OnnxState:
        """The state of `batch` people who were never seen before."""
        types = {torch.bool: np.bool_, torch.float32: np.float32}
        return OnnxState(
            [np.zeros((batch, *shape), types[dtype]) for shape, dtype in self._shapes.values()]
        )

    def stack(self, states: list[OnnxState]) -> OnnxState:
        """The states of several people as one batch; a copy."""
        columns = zip(*(state.arrays() for state in states), strict=True)
        return OnnxState([np.concatenate(column) for column in columns])

    def step(
        self, frame: ObservationBatch, state: OnnxState
    ) -> tuple[PosePrediction, ViewCamera, OnnxState]:
        """One new frame ([B, 1, ...]) of each person, fed with its own last output."""
        rows, stream, side = state.arrays(), state.stream, state.side
        if stream is None:
            stream = _Stream(self._session, list(self._shapes), len(rows[0]))
            side = 0
            for there, row in zip(stream.sides[0], rows, strict=True):
                there[:] = row
        for name, array in stream.observed.items():
            array[:] = getattr(frame, name).numpy()
        stream.run(side)
        made = [torch.from_numpy(array.copy()) for array in stream.made]
        predicted = len(PREDICTION_NAMES)
        side = 1 - side
        new_state = OnnxState(stream.sides[side], stream, side, stream.written[side])
        return PosePrediction(*made[:predicted]), ViewCamera(*made[predicted:]), new_state


def _config(session: Any, named: str) -> D3PoseConfig:
    try:
        metadata = session.get_modelmeta().custom_metadata_map
    except ValueError as error:  # texts that are none
        raise InputError(f"{named} is damaged ({error}); export it again") from error
    if metadata.get("format") != FORMAT:
        raise InputError(
            f"{named} is not a {FORMAT} file (its format says {metadata.get('format')!r}); "
            "write one with `d3pose export onnx`"
        )
    try:
        return D3PoseConfig.of_trained(json.loads(metadata["config"]))
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
