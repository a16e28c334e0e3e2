"""Files that `d3pose export onnx` did not write, given to the one that runs them."""

from __future__ import annotations

import torch

from d3pose_core.model.d3pose import D3Pose
from d3pose_core.runtime.onnx_step import OnnxStep, step_as_onnx
from fuzz.folder import written
from fuzz.target import MOST_BYTES, Target
from fuzz.targets.checkpoint import SMALL


def seeds() -> list[bytes]:
    torch.manual_seed(0)
    return [step_as_onnx(D3Pose(SMALL))]


def run(data: bytes) -> None:
    OnnxStep(written("step.onnx", data))


TARGET = Target(
    seeds,
    run,
    (b"null", b"[]", b"-1", b"variant", b"external_data", b"location", b"../../etc/passwd"),
    max_length=MOST_BYTES,
)
