"""Weights: .safetensors files of the network, of its peers and of the image variant."""

from __future__ import annotations

import json
import struct
from functools import lru_cache

import torch
from safetensors.torch import save

from d3pose_core.model.baselines import PEERS, build_peer
from d3pose_core.model.baselines.checkpoint import FORMAT as PEER
from d3pose_core.model.baselines.checkpoint import load_peer
from d3pose_core.model.checkpoint import FORMAT as NETWORK
from d3pose_core.model.checkpoint import load_model, load_notes
from d3pose_core.model.config import D3PoseConfig
from d3pose_core.model.d3pose import D3Pose
from d3pose_core.model.image.checkpoint import FORMAT as IMAGE
from d3pose_core.model.image.checkpoint import load_image_model
from fuzz.folder import written
from fuzz.target import Target

SMALL = D3PoseConfig(
    embed_dims=(4, 4, 4, 4),
    depths=(1, 1, 1, 1),
    heads=(1, 1, 1, 1),
    decoder_dim=8,
    decoder_heads=2,
    encoder_frames=2,
    decoder_frames=2,
    corrections=False,
    refinement=False,
)


_FILE, _NETWORK, _PEER, _IMAGE = range(4)  # what the first byte says the rest is


def seeds() -> list[bytes]:
    """Whole files; and configurations, to which sound tensors are added."""
    kind, few = bytes([_FILE]), {"x": torch.zeros(2)}
    network, peer = _tensors()
    sizes = json.dumps({"dim": 8, "blocks": 1})
    config = json.dumps(SMALL.to_dict())
    image = {"backbone": "test_vit.r160_in1k", "image_size": 32, "embed_dims": [6, 6, 6, 6]}
    return [
        kind + _file(network, NETWORK, config=config),
        kind + _file(peer, PEER, name="per_frame", sizes=sizes),
        kind + _file(few, IMAGE, config="{}"),
        kind + _file(few, "?"),
        bytes([_NETWORK]) + config.encode(),
        bytes([_NETWORK]) + b'{"variant": "basic", "embed_dims": [4, 4, 4, 4]}',
        bytes([_PEER]) + sizes.encode(),
        bytes([_PEER]) + b'{"layers": 1, "hidden": 4, "dim": 4, "heads": 1, "frames": 3}',
        bytes([_IMAGE]) + json.dumps(image).encode(),
    ]


@lru_cache(maxsize=1)
def _tensors() -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    torch.manual_seed(0)
    return D3Pose(SMALL).state_dict(), build_peer("per_frame", dim=8, blocks=1).state_dict()


def _file(tensors: dict[str, torch.Tensor], form: str, **metadata: str) -> bytes:
    metadata = {"notes": "{}"} | metadata | {"format": form}
    return save({name: t.half().contiguous() for name, t in tensors.items()}, metadata)


def run(data: bytes) -> None:
    """By what the file says it is, as whoever opens it would."""
    kind, content = data[0] % 4 if data else _FILE, data[1:]
    text = content.decode("utf-8", "replace")
    if kind == _NETWORK:
        content = _file(_tensors()[0], NETWORK, config=text)
    elif kind == _PEER:
        name = list(PEERS)[len(text) % len(PEERS)]
        content = _file(_tensors()[1], PEER, name=name, sizes=text)
    elif kind == _IMAGE:
        content = _file(_tensors()[0], IMAGE, config=text)
    path = written("weights.safetensors", content)
    data = content
    header = _header(data)
    load = load_peer if PEER in header else load_image_model if IMAGE in header else load_model
    load(path)
    load_notes(path)


def _header(data: bytes) -> str:
    (length,) = struct.unpack("<Q", data[:8].ljust(8, b"\0"))
    return data[8 : 8 + min(length, 1 << 20)].decode("latin1")


TARGET = Target(
    seeds,
    run,
    (
        *(b"null", b"[]", b"{}", b"1000000000", b"-1", b"0", b'"x"', b"[4]", b"F64", b"BOOL"),
        *(b"variant", b"basic", b"1e99", NETWORK.encode(), PEER.encode(), IMAGE.encode()),
    ),
)
