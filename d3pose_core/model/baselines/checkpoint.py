"""Weights of a compared network as safetensors, with its name and sizes inside."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from d3pose_core.errors import InputError
from d3pose_core.model.baselines import build_peer
from d3pose_core.model.baselines.base import Peer

FORMAT = "d3pose-peer-1"


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
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise InputError(f"{path} is damaged ({error}); delete it and train it again") from error
    if metadata.get("format") != FORMAT:
        raise InputError(f"{path} is not a {FORMAT} file (it says {metadata.get('format')!r})")
    peer = build_peer(metadata["name"], **json.loads(metadata["sizes"]))
    missing, unexpected = peer.load_state_dict(tensors, strict=False)
    if missing or unexpected:
        raise InputError(
            f"{path} does not fit {metadata['name']!r}: missing {missing[:3]}, "
            f"unexpected {unexpected[:3]}; delete it and train it again"
        )
    return peer.eval()
