"""Weights of the image variant and of its backbone in one safetensors file; loading never executes code."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

from d3pose_core.errors import InputError
from d3pose_core.model.image.backbone import Backbone
from d3pose_core.model.image.config import ImageConfig
from d3pose_core.model.image.network import ImageD3Pose
from d3pose_core.model.weights_file import read_weights

FORMAT = "d3pose-image-1"


def save_image_model(
    network: ImageD3Pose, backbone: Backbone, path: Path, notes: dict | None = None
) -> None:
    """Write both networks (float16) and the configuration; `notes` (JSON values) say how they came to be."""
    parts = {"network": network, "backbone": backbone}
    tensors = {
        f"{part}.{name}": tensor.detach().half().contiguous()
        for part, module in parts.items()
        for name, tensor in module.state_dict().items()
    }
    metadata = {
        "format": FORMAT,
        "config": json.dumps(network.image_config.to_dict()),
        "notes": json.dumps(notes or {}),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".part")
    save_file(tensors, partial, metadata)
    partial.replace(path)


def load_image_model(path: str | Path) -> tuple[ImageD3Pose, Backbone]:
    """Both networks, ready for inference.

    Raises:
        InputError: no such file, or not a checkpoint of the image variant.
    """
    if not Path(path).is_file():
        raise InputError(f"no weights at {path}: give a file written by `d3pose train`")
    file = read_weights(Path(path), FORMAT, "train it again")
    config = file.build(lambda: ImageConfig.from_dict(file.read_json("config")))
    file.check_size(config.least_size, "a network as it describes")
    with torch.device("meta"):  # only counted
        sketch = file.build(lambda: Backbone(config.backbone, config.image_size))
    file.check_size(sum(p.numel() for p in sketch.parameters()), f"the backbone {config.backbone}")
    network = file.build(lambda: ImageD3Pose(config))
    backbone = file.build(lambda: Backbone(config.backbone, config.image_size))
    for part, module in (("network", network), ("backbone", backbone)):
        file.fill(module, f"this version of the {part}", f"{part}.")
    return network.eval(), backbone.eval()
