"""The network's streaming step as an ONNX file; `d3pose_core.model.onnx_step.OnnxStep` runs it."""

from __future__ import annotations

import json
import logging
import warnings
from dataclasses import fields
from pathlib import Path

import torch
from torch import Tensor, nn

from d3pose_core.errors import InputError
from d3pose_core.model.d3pose import D3Pose
from d3pose_core.model.onnx_step import (
    FORMAT,
    OBSERVATION_NAMES,
    PREDICTION_NAMES,
    VIEW_NAMES,
    empty_state,
    state_names,
)
from d3pose_core.model.tokens import ObservationBatch
from d3pose_core.recording import atomic_path
from d3pose_core.skeleton import NUM_LANDMARKS

OPSET = 18


class _FlatStep(nn.Module):
    """`D3Pose.step` as a function of tensors, which is all that ONNX knows."""

    def __init__(self, model: D3Pose) -> None:
        super().__init__()
        self.model = model

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        frame = ObservationBatch(*inputs[: len(OBSERVATION_NAMES)])
        state = self.model.initial_state(1)._from_tensors(list(inputs[len(OBSERVATION_NAMES) :]))
        output = self.model(frame, state.past[:, None], state)
        prediction = (getattr(output.prediction, field.name) for field in fields(output.prediction))
        return (*prediction, output.view.rotation, output.view.size, *output.state.tensors())


def export_step(model: D3Pose, path: Path) -> None:
    """Write one step of `model`, for any number of people.

    Needs torch 2.6 or later and the packages onnx and onnxscript; running the file needs neither.

    Raises:
        InputError: a package is missing, or the file can't be written.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401  (torch's exporter imports it)
    except ImportError as error:
        raise InputError(
            f"{error}: the export needs it; pip install 'd3pose_ros[export]'"
        ) from error
    model = model.eval().cpu()
    example_people = 2  # with one, the exporter would take the number for a constant
    names = state_names(model.config)
    inputs = (*_example(example_people), *empty_state(model.config, example_people).tensors())
    people = torch.export.Dim("people", min=1, max=1024)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # of what it does without torchvision
    with atomic_path(path) as partial, torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch's own
        program = torch.onnx.export(
            _FlatStep(model).eval(),
            inputs,
            input_names=[*OBSERVATION_NAMES, *names],
            output_names=[*PREDICTION_NAMES, *VIEW_NAMES, *(f"new_{name}" for name in names)],
            dynamic_shapes={"inputs": tuple({0: people} for _ in inputs)},
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
        assert program is not None  # as it would be for the older exporter
        graph = program.model_proto
        for key, value in (("format", FORMAT), ("config", json.dumps(model.config.to_dict()))):
            entry = graph.metadata_props.add()
            entry.key, entry.value = key, value
        onnx.checker.check_model(graph, full_check=True)
        onnx.save(graph, str(partial))


def _example(people: int) -> list[Tensor]:
    """One frame of `people` who are seen, in the order of `OBSERVATION_NAMES`."""
    frame = ObservationBatch(
        rays=0.1 * torch.randn(people, 1, NUM_LANDMARKS, 2),
        depth_hint=torch.zeros(people, 1, NUM_LANDMARKS),
        landmarks=torch.randn(people, 1, NUM_LANDMARKS, 3),
        visibility=torch.ones(people, 1, NUM_LANDMARKS),
        presence=torch.ones(people, 1, NUM_LANDMARKS),
        seen=torch.ones(people, 1, dtype=torch.bool),
        step_s=torch.full((people, 1), 1 / 30),
    )
    return [getattr(frame, name) for name in OBSERVATION_NAMES]
