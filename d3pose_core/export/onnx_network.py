"""The network's streaming step as an ONNX file; `d3pose_core.runtime.onnx_step.OnnxStep` runs it."""

from __future__ import annotations

from pathlib import Path

from d3pose_core.model.d3pose import D3Pose
from d3pose_core.recording import atomic_path
from d3pose_core.runtime.onnx_step import step_as_onnx


def export_step(model: D3Pose, path: Path) -> None:
    """Write one step of `model`, weights included, for any number of people.

    Raises InputError when the file can't be written.
    """
    content = step_as_onnx(model)
    with atomic_path(path) as partial:
        partial.write_bytes(content)
