"""Weights of the image variant and of its backbone in one safetensors file; loading never executes code."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from d3pose_core.errors import InputError
from d3pose_core.model.image.backbone import Backbone
from d3pose_core.model.image.config import ImageConfig
from d3pose_core.model.image.network import ImageD3Pose

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
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise InputError(f"{path} is not a safetensors file or is damaged ({error})") from error
    if metadata.get("format") != FORMAT:
        raise InputError(
            f"{path} is not a {FORMAT} checkpoint (its format says {metadata.get('format')!r})"
        )
    config = ImageConfig.from_dict(json.loads(metadata["config"]))
    network, backbone = ImageD3Pose(config), Backbone(config.backbone, config.image_size)
    for part, module in (("network", network), ("backbone", backbone)):
        start = f"{part}."
        own = {n.removeprefix(start): t for n, t in tensors.items() if n.startswith(start)}
        missing, unexpected = module.load_state_dict(own, strict=False)
        if missing or unexpected:
            raise InputError(
                f"{path} does not fit this version of the {part}: missing {missing[:3]}, "
                f"unexpected {unexpected[:3]}"
            )
    return network.eval(), backbone.eval()
