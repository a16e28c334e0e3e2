"""The compared networks: no look-ahead, masks, streaming, and that each learns."""

import dataclasses

import pytest
import torch

from d3pose_core.body import load_body
from d3pose_core.data.motions import MotionLibrary
from d3pose_core.data.simulator import Simulator
from d3pose_core.errors import InputError
from d3pose_core.model.baselines import PEERS, build_peer
from d3pose_core.model.baselines.base import Peer
from d3pose_core.model.baselines.checkpoint import load_peer, save_peer
from d3pose_core.model.baselines.one_euro import OneEuroPeer, OneEuroSettings
from d3pose_core.model.decoder import PosePrediction
from d3pose_core.model.tokens import ObservationBatch
from d3pose_core.training.config import TrainConfig
from d3pose_core.training.peers import Trainee
from test.helpers.motion_shard import write_motion_shard
from test.helpers.observations import random_observations

SMALL: dict[str, dict[str, int]] = {
    "per_frame": {"dim": 64, "blocks": 2},
    "vibe": {"dim": 64, "hidden": 48, "regressor": 64},
    "tcmr": {"dim": 64, "hidden": 48, "feature": 64, "regressor": 64},
    "tcmr_lookahead": {"dim": 64, "hidden": 48, "feature": 64, "regressor": 64},
    "mps_net": {"dim": 64, "inner": 32, "narrow": 16, "regressor": 64},
    "transformer": {"dim": 48, "layers": 2, "heads": 4},
}
FRAMES = 40
CAUSAL = [*(name for name in PEERS if name != "tcmr_lookahead"), "one_euro"]
FIELDS = [field.name for field in dataclasses.fields(PosePrediction)]


def make(name: str) -> Peer:
    """In double precision, with larger weights than training starts from, so that every path matters."""
    torch.manual_seed(0)
    if name == "one_euro":
        return OneEuroPeer(make("per_frame"), OneEuroSettings()).double().eval()
    peer = build_peer(name, **SMALL[name]).double().eval()
    for parameter in peer.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.1)
    return peer


def observations(frames: int = FRAMES) -> ObservationBatch:
    batch = random_observations(people=2, frames=frames)
    values = {k: v.double() if v.is_floating_point() else v for k, v in vars(batch).items()}
    return ObservationBatch(**values)


def difference(a: PosePrediction, b: PosePrediction) -> torch.Tensor:
    """[T] largest difference of any output."""
    gaps = [getattr(a, f) - getattr(b, f) for f in FIELDS]
    return torch.stack([g.reshape(*g.shape[:2], -1).abs().amax((0, 2)) for g in gaps]).amax(0)


def replaced(batch: ObservationBatch, frame: int, **changes) -> ObservationBatch:
    values = {k: v.clone() for k, v in vars(batch).items()}
    for name, value in changes.items():
        values[name][:, frame] = value
    return ObservationBatch(**values)


@torch.no_grad()
def stream(peer: Peer, batch: ObservationBatch) -> PosePrediction:
    state, steps = peer.initial_state(len(batch.seen)), []
    for t in range(batch.seen.shape[1]):
        prediction, _, state = peer.step(batch[:, t : t + 1], state)
        steps.append(prediction)
    return PosePrediction(*(torch.cat([getattr(s, f) for s in steps], 1) for f in FIELDS))


@pytest.mark.parametrize("name", CAUSAL)
@torch.no_grad()
def test_no_frame_is_read_before_it_is_taken(name):
    peer, batch = make(name), observations()
    changed = replaced(batch, 25, rays=0.3, landmarks=1.0, presence=1.0, seen=True, step_s=0.2)
    gone = difference(peer(batch).prediction, peer(changed).prediction)
    assert gone[:25].max() == 0
    assert gone[25] > 1e-3


@torch.no_grad()
def test_a_network_that_looks_ahead_reads_as_far_as_it_says():
    peer, batch = make("tcmr_lookahead"), observations()
    changed = replaced(batch, 25, rays=0.3, landmarks=1.0, presence=1.0, seen=True)
    gone = difference(peer(batch).prediction, peer(changed).prediction)
    first = 25 - peer.lookahead_frames
    assert gone[:first].max() == 0
    assert gone[first] > 1e-9


@pytest.mark.parametrize("name", CAUSAL)
@torch.no_grad()
def test_one_frame_after_the_other_equals_all_at_once(name):
    peer, batch = make(name), observations(70)
    gone = difference(peer(batch).prediction, stream(peer, batch))
    assert gone.max() < 1e-9


@torch.no_grad()
def test_a_stream_that_looks_ahead_answers_later():
    peer, batch = make("tcmr_lookahead"), observations()
    wait = peer.lookahead_frames
    late, whole = stream(peer, batch), peer(batch).prediction
    answered = PosePrediction(*(getattr(late, f)[:, wait:] for f in FIELDS))
    known = PosePrediction(*(getattr(whole, f)[:, :-wait] for f in FIELDS))
    assert difference(answered, known).max() < 1e-9


@pytest.mark.parametrize("name", [*PEERS, "one_euro"])
@torch.no_grad()
def test_hidden_landmarks_and_unseen_frames_are_not_read(name):
    peer, batch = make(name), observations()
    batch.presence[:, 10, 15] = 0.0  # an elbow hidden
    batch.seen[:, 20] = False
    plain = peer(batch).prediction
    changed = replaced(batch, 20, rays=7.0, landmarks=9.0, visibility=0.5, depth_hint=3.0)
    changed.landmarks[:, 10, 15] = 4.0
    changed.depth_hint[:, 10, 15] = -3.0
    assert difference(plain, peer(changed).prediction).max() == 0


@pytest.mark.parametrize("name", ["vibe", "tcmr", "tcmr_lookahead", "mps_net", "transformer"])
@torch.no_grad()
def test_temporal_networks_remember(name):
    peer, batch = make(name), observations()
    batch.seen[:] = True
    changed = replaced(batch, 20, landmarks=1.0)
    assert difference(peer(batch).prediction, peer(changed).prediction)[21] > 1e-6


@torch.no_grad()
def test_tcmr_s_forecasts_do_not_see_the_frame_that_they_answer_for():
    peer, batch = make("tcmr_lookahead").train(), observations()
    changed = replaced(batch, 25, landmarks=1.0, presence=1.0, seen=True)
    forecasts = zip(peer(batch).more_poses, peer(changed).more_poses, strict=True)
    past, future = ((a[0] - b[0]).abs().amax((0, 2, 3, 4)) for a, b in forecasts)
    assert past[:26].max() == 0
    assert past[26] > 1e-6
    assert future[25:].max() == 0
    assert future[24] > 1e-6


@pytest.mark.parametrize("name", list(PEERS))
def test_each_learns_a_small_batch(name, tmp_path):
    body = load_body("free-low")
    shard = write_motion_shard(tmp_path / "made_up.npz")
    batch = Simulator(MotionLibrary([shard], "train"), body, 0).sample(4, 12)
    config = TrainConfig(motions=(), output="", steps=1)
    torch.manual_seed(0)
    trainee = Trainee(name, SMALL[name])
    optimizer = torch.optim.AdamW(trainee.parameters(), lr=3e-3)
    totals = []
    for _ in range(30):
        losses = trainee.losses(batch, body, mixed_precision=name == "vibe")
        optimizer.zero_grad()
        trainee.total(losses, config).backward()
        optimizer.step()
        totals.append(float(losses["joints"].detach()))
    assert totals[-1] < 0.6 * totals[0]
    unused = [n for n, p in trainee.named_parameters() if p.grad is None]
    assert not unused


def test_a_checkpoint_brings_the_network_back(tmp_path):
    peer = build_peer("mps_net", **SMALL["mps_net"]).eval()
    save_peer(peer, tmp_path / "best.safetensors", {"step": 3})
    loaded = load_peer(tmp_path / "best.safetensors")
    assert (loaded.name, loaded.sizes) == ("mps_net", SMALL["mps_net"])
    for name, tensor in peer.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name], tensor, atol=1e-3, rtol=1e-3)


def test_bad_checkpoints_and_names_say_what_is_wrong(tmp_path):
    with pytest.raises(InputError, match="no network 'gru' to compare with; known are"):
        build_peer("gru")
    with pytest.raises(InputError, match="no weights at"):
        load_peer(tmp_path / "nothing.safetensors")
    (tmp_path / "text.safetensors").write_text("not weights")
    with pytest.raises(InputError, match="is damaged"):
        load_peer(tmp_path / "text.safetensors")
