"""Weights: .safetensors files of the network, of its peers and of the image variant."""

from __future__ import annotations

import json
import struct

import torch
from safetensors.torch import save

from d3pose_core.model.baselines import build_peer
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
)


def seeds() -> list[bytes]:
    """Of the network and a peer; of others a few tensors, which are too few."""
    torch.manual_seed(0)
    network = _file(D3Pose(SMALL).state_dict(), NETWORK, config=json.dumps(SMALL.to_dict()))
    peer = build_peer("per_frame", dim=8, blocks=1)
    sizes = json.dumps(peer.sizes)
    few = {"x": torch.zeros(2)}
    return [
        network,
        _file(peer.state_dict(), PEER, name=peer.name, sizes=sizes),
        _file(few, NETWORK, config=json.dumps({"embed_dims": [4, 4]})),
        _file(few, IMAGE, config="{}"),
        _file(few, "?"),
    ]


def _file(tensors: dict[str, torch.Tensor], form: str, **metadata: str) -> bytes:
    metadata |= {"format": form, "notes": "{}"}
    return save({name: t.half().contiguous() for name, t in tensors.items()}, metadata)


def run(data: bytes) -> None:
    """By what the file says it is, as whoever opens it would."""
    path = written("weights.safetensors", data)
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
