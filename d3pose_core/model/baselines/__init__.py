"""Networks that D3Pose is compared with, written from the papers: same input, same answer.

`build_peer(name)` makes one; `base.Peer` says what they have in common.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from d3pose_core.errors import InputError
from d3pose_core.model.baselines.base import Peer
from d3pose_core.model.baselines.mps_net import MpsNet
from d3pose_core.model.baselines.per_frame import PerFrame
from d3pose_core.model.baselines.tcmr import Tcmr
from d3pose_core.model.baselines.transformer import TemporalTransformer
from d3pose_core.model.baselines.vibe import Vibe

PEERS: dict[str, Callable[..., Peer]] = {
    "per_frame": PerFrame,
    "vibe": Vibe,
    "tcmr": Tcmr,
    "tcmr_lookahead": partial(Tcmr, future_frames=8, dim=320, hidden=224, feature=320),
    "mps_net": MpsNet,
    "transformer": TemporalTransformer,
}


def build_peer(name: str, **sizes: int) -> Peer:
    """An untrained network, one of `PEERS`; `sizes` are its constructor's."""
    if name not in PEERS:
        raise InputError(f"no network {name!r} to compare with; known are {sorted(PEERS)}")
    peer = PEERS[name](**sizes)
    peer.name, peer.sizes = name, sizes
    return peer
