"""Weights as safetensors with the network's configuration inside; loading never executes code."""

from __future__ import annotations

import json
from importlib import resources
from os.path import isfile  # False for names that the system refuses, too
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from d3pose_core.errors import InputError
from d3pose_core.model.config import D3PoseConfig
from d3pose_core.model.d3pose import D3Pose
from d3pose_core.model.weights_file import read_weights

FORMAT = "d3pose-1"
SHIPPED_WEIGHTS = ("d3pose-landmarks",)


def save_model(model: D3Pose, path: Path, notes: dict | None = None) -> None:
    """Write weights (float16) and configuration; `notes` (JSON values) say how they came to be."""
    tensors = {name: t.detach().half().contiguous() for name, t in model.state_dict().items()}
    metadata = {
        "format": FORMAT,
        "config": json.dumps(model.config.to_dict()),
        "notes": json.dumps(notes or {}),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".part")
    save_file(tensors, partial, metadata)
    partial.replace(path)


def weights_path(name_or_path: str | Path) -> Path:
    """The file of a shipped weight's name, or the path itself."""
    if str(name_or_path) in SHIPPED_WEIGHTS:
        folder = Path(str(resources.files("d3pose_core"))) / "weights"
        return folder / f"{name_or_path}.safetensors"
    return Path(name_or_path).expanduser()


def load_notes(path: Path) -> dict:
    """What `save_model` was told of how the weights came to be. Raises InputError for a damaged file."""
    try:
        with safe_open(path, framework="pt") as file:
            return json.loads((file.metadata() or {}).get("notes", "{}"))
    except (OSError, SafetensorError, ValueError, RecursionError) as error:
        raise InputError(f"{path} is not a safetensors file, or is damaged: {error}") from error


def load_model(name_or_path: str | Path, device: str = "cpu") -> D3Pose:
    """A network ready for inference.

    Args:
        name_or_path: one of `SHIPPED_WEIGHTS`, or a .safetensors file written by `d3pose train`.

    Raises:
        InputError: no such file, not a d3pose checkpoint, or damaged.
    """
    path = weights_path(name_or_path)
    if not isfile(path):
        raise InputError(
            f"no weights at {str(name_or_path)!r}: give a .safetensors file written by `d3pose train`, "
            f"or one of the shipped weights {', '.join(SHIPPED_WEIGHTS)}"
        )
    file = read_weights(path, FORMAT, "fetch or train it again")
    config = file.build(lambda: D3PoseConfig.of_trained(file.read_json("config")))
    file.check_size(config.least_size, "a network as it describes")
    model = file.build(lambda: D3Pose(config))
    file.fill(model, "this version of the network")
    return model.eval().to(torch.device(device))
