"""The network's streaming step in ONNX Runtime: `D3Pose.step` without torch's cost of calling layers.

    step = OnnxStep("step.onnx")                        # written by `d3pose export onnx`
    state = step.initial_state(batch=1)
    prediction, view, state = step.step(frame, state)

Inputs and outputs of the graph are the tensors of `ObservationBatch`, `PosePrediction`, `ViewCamera` and
`StreamState` under the names given here; people are the first axis of each, of any number.
"""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import torch

from d3pose_core.errors import InputError
from d3pose_core.model.config import LANDMARK_SLOTS, D3PoseConfig
from d3pose_core.model.d3pose import StreamState
from d3pose_core.model.decoder import FEEDBACK_SIZE, PosePrediction
from d3pose_core.model.timeline import Timeline
from d3pose_core.model.tokens import ObservationBatch
from d3pose_core.model.view import ViewCamera

FORMAT = "d3pose-step-1"  # in the file's metadata, beside the network's configuration
OBSERVATION_NAMES = tuple(field.name for field in fields(ObservationBatch))
PREDICTION_NAMES = tuple(field.name for field in fields(PosePrediction))
VIEW_NAMES = ("view_rotation", "view_size")


def state_names(config: D3PoseConfig) -> tuple[str, ...]:
    """Names of the state's tensors in the order of `StreamState.tensors`; outputs get `new_` before them."""
    timelines = (f"{part}_{name}" for part in ("encoder", "decoder") for name in _TIMELINE_NAMES)
    blocks = sum(config.depths)
    decoder = (
        f"decoder_cache_{block}_{kind}"
        for block in range(len(config.depths))
        for kind in ("self", "cross")
    )
    encoder = (f"encoder_cache_{block}" for block in range(blocks))
    return (*timelines, *encoder, *decoder, "past", "started", "betas_sum")


_TIMELINE_NAMES = ("age_s", "seen", "visible")


def empty_state(config: D3PoseConfig, batch: int) -> StreamState:
    """The state of `batch` people who were never seen before; `D3Pose.initial_state` without a network."""
    cpu = torch.device("cpu")
    encoder, decoder = config.encoder_frames - 1, config.decoder_frames - 1
    return StreamState(
        Timeline.empty(batch, encoder, LANDMARK_SLOTS, cpu),
        Timeline.empty(batch, decoder, 1, cpu),
        [
            torch.zeros(batch, encoder, slots, 2 * dim)
            for slots, dim, depth in zip(
                config.slots, config.embed_dims, config.depths, strict=True
            )
            for _ in range(depth)
        ],
        [
            torch.zeros(batch, decoder, 2 * config.decoder_dim)
            for _ in range(2 * len(config.depths))
        ],
        torch.zeros(batch, FEEDBACK_SIZE),
        torch.zeros(batch, dtype=torch.bool),
        torch.zeros(batch, 11),
    )


class OnnxStep:
    """Mirrors `D3Pose.initial_state` and `D3Pose.step`, on the CPU."""

    def __init__(self, path: str | Path, threads: int = 1) -> None:
        """Open a file of `d3pose export onnx`.

        Args:
            threads: that one step may use. One person is faster with one.

        Raises:
            InputError: no such file, not such a file, or ONNX Runtime is not installed.
        """
        try:
            import onnxruntime as ort
        except ImportError as error:
            raise InputError(
                "the onnx runtime needs ONNX Runtime: pip install 'd3pose_ros[onnx]'"
            ) from error
        if not Path(path).is_file():
            raise InputError(
                f"no ONNX file at {path}; `d3pose export onnx --out {path}` writes one"
            )
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        try:
            self._session = ort.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # the runtime's errors have no common base
            raise InputError(
                f"{path} can't be opened by ONNX Runtime ({error}); export it again"
            ) from error
        metadata = self._session.get_modelmeta().custom_metadata_map
        if metadata.get("format") != FORMAT:
            raise InputError(
                f"{path} is not a {FORMAT} file (its format says {metadata.get('format')!r}); "
                "write one with `d3pose export onnx`"
            )
        self.config = D3PoseConfig.from_dict(json.loads(metadata["config"]))
        self._state_names = state_names(self.config)
        self._outputs = [
            *(*PREDICTION_NAMES, *VIEW_NAMES),
            *(f"new_{name}" for name in self._state_names),
        ]

    def initial_state(self, batch: int) -> StreamState:
        """The state of `batch` people who were never seen before."""
        return empty_state(self.config, batch)

    def step(
        self, frame: ObservationBatch, state: StreamState
    ) -> tuple[PosePrediction, ViewCamera, StreamState]:
        """One new frame ([B, 1, ...]) of each person, fed with its own last output."""
        inputs = {name: getattr(frame, name).numpy() for name in OBSERVATION_NAMES}
        inputs |= {
            name: tensor.numpy()
            for name, tensor in zip(self._state_names, state.tensors(), strict=True)
        }
        outputs = [torch.from_numpy(value) for value in self._session.run(self._outputs, inputs)]
        prediction = PosePrediction(*outputs[: len(PREDICTION_NAMES)])
        view = ViewCamera(*outputs[len(PREDICTION_NAMES) :][:2])
        return prediction, view, state._from_tensors(outputs[len(PREDICTION_NAMES) + 2 :])
