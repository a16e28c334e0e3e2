"""The network as it is, layer by layer: the reference of the other runtimes."""

from __future__ import annotations

from d3pose_core.model.d3pose import D3Pose, StreamState
from d3pose_core.model.decoder import PosePrediction
from d3pose_core.model.tokens import ObservationBatch
from d3pose_core.model.view import ViewCamera


class TorchStep:
    """`D3Pose.step` on any device."""

    runtime = "torch"

    def __init__(self, model: D3Pose) -> None:
        self._model = model
        self.initial_state = model.initial_state
        self.stack = StreamState.stack

    def step(
        self, frame: ObservationBatch, state: StreamState
    ) -> tuple[PosePrediction, ViewCamera, StreamState]:
        return self._model.step(frame, state)
