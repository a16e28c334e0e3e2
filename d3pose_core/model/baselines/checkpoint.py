"""Weights of a compared network as safetensors, with its name and sizes inside."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

from d3pose_core.errors import InputError
from d3pose_core.model.baselines import build_peer
from d3pose_core.model.baselines.base import Peer
from d3pose_core.model.weights_file import read_weights

FORMAT = "d3pose-peer-1"
_LARGEST = 8192  # width, number of layers, and so on, of any network here


def save_peer(peer: Peer, path: Path, notes: dict | None = None) -> None:
    """Write weights (float16, as D3Pose's), name and sizes; `notes` say how they came to be."""
    tensors = {k: t.detach().cpu().half().contiguous() for k, t in peer.state_dict().items()}
    metadata = {
        "format": FORMAT,
        "name": peer.name,
        "sizes": json.dumps(peer.sizes),
        "notes": json.dumps(notes or {}),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".part")
    save_file(tensors, partial, metadata)
    partial.replace(path)


def load_peer(path: Path) -> Peer:
    """A network ready for inference.

    Raises:
        InputError: no such file, not written by `save_peer`, or of other sizes.
    """
    if not path.is_file():
        raise InputError(f"no weights at {path}; `d3pose bench-models` trains them")
    file = read_weights(path, FORMAT, "delete it and train it again")
    sizes, name = file.read_json("sizes"), file.metadata.get("name", "")
    if not isinstance(sizes, dict) or not all(
        isinstance(size, int | float) and 0 <= size <= _LARGEST for size in sizes.values()
    ):
        raise InputError(f"{path}: sizes must be numbers up to {_LARGEST} by name, got {sizes!r}")
    with torch.device("meta"):  # only counted
        sketch = file.build(lambda: build_peer(name, **sizes))
    file.check_size(sum(p.numel() for p in sketch.parameters()), f"a network of sizes {sizes}")
    peer = file.build(lambda: build_peer(name, **sizes))
    file.fill(peer, repr(name))
    return peer.eval()
