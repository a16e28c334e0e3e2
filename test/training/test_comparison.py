"""`d3pose bench-models`: trains the peers, goes on where it stopped, and compares."""

import json

import pytest
import torch
import yaml

from d3pose_core.body import load_body
from d3pose_core.cli.main import main
from d3pose_core.data.motions import MotionLibrary
from d3pose_core.errors import InputError
from d3pose_core.evaluation.compare import jerk, streaming_cost
from d3pose_core.evaluation.held_out import held_out_batches
from d3pose_core.evaluation.tune_one_euro import tune_one_euro
from d3pose_core.model.baselines import build_peer
from d3pose_core.model.baselines.one_euro import OneEuroSettings
from d3pose_core.skeleton import RIVALS
from d3pose_core.training.comparison import ComparisonConfig
from d3pose_core.training.peers import train_peer
from test.helpers.motion_shard import write_motion_shard
from test.helpers.observations import random_observations

SIZES = {
    "per_frame": {"dim": 32, "blocks": 1},
    "vibe": {"dim": 32, "hidden": 16, "regressor": 32},
}


@pytest.fixture
def config_file(tmp_path):
    shard = write_motion_shard(tmp_path / "made_up.npz")
    training = {
        "motions": [str(shard)],
        "output": "not used",
        "steps": 100,
        "batch": 4,
        "frames": 8,
        "warmup_steps": 1,
        "validate_every": 2,
        "validation_sequences": 2,
        "optimizer": "adamw",
    }
    (tmp_path / "train.yaml").write_text(yaml.safe_dump(training))

    def write(**changes):
        values = {
            "training": str(tmp_path / "train.yaml"),
            "output": str(tmp_path / "peers"),
            "networks": ["per_frame", "one_euro", "vibe"],
            "weights": ["d3pose-landmarks"],
            "both_ways": ["vibe", "d3pose-landmarks"],
            "changes": {"steps": 4},
            "sizes": SIZES,
            "sequences": 2,
            "foreign": [str(shard)],
        } | changes
        path = tmp_path / "compare.yaml"
        path.write_text(yaml.safe_dump(values))
        return path

    return write


def test_everything_is_trained_and_compared(config_file, tmp_path, capsys):
    settings = tmp_path / "peers" / "one_euro" / "settings.json"
    settings.parent.mkdir(parents=True)
    settings.write_text('{"min_cutoff_hz": 0.5, "speed_gain": 0.0}')  # as if chosen before
    assert main(["bench-models", str(config_file())]) == 0
    assert "| one_euro |" in capsys.readouterr().out
    written = json.loads((tmp_path / "peers" / "comparison.json").read_text())
    assert set(written["tables"]) == {"Held-out people", "Foreign: made_up"}
    for rows in written["tables"].values():
        names = ["per_frame", "one_euro", "vibe", "vibe, both ways"]
        assert list(rows) == [*names, "d3pose-landmarks", "d3pose-landmarks, both ways"]
        for name in ("vibe", "d3pose-landmarks"):
            alone, both = rows[name], rows[f"{name}, both ways"]
            assert both["mflop"] == pytest.approx(2 * alone["mflop"], rel=0.01)
            assert both["mpjpe"] != alone["mpjpe"]
        assert rows["one_euro"]["jitter"] < rows["per_frame"]["jitter"]
        assert rows["d3pose-landmarks"]["mpjpe"] < rows["vibe"]["mpjpe"]  # trained, 4 steps
        assert all(row["lookahead_ms"] == 0 for row in rows.values())
    # What is trained is not trained again.
    before = (tmp_path / "peers" / "vibe" / "best.safetensors").stat().st_mtime_ns
    assert main(["bench-models", str(config_file()), "--only", "vibe"]) == 0
    assert (tmp_path / "peers" / "vibe" / "best.safetensors").stat().st_mtime_ns == before


def test_a_resumed_training_equals_an_uninterrupted_one(config_file, tmp_path):
    def resume_file(output):
        return torch.load(tmp_path / output / "vibe" / "resume.pt", weights_only=True)

    def training(output):
        return ComparisonConfig.load(config_file(output=str(tmp_path / output))).training_of("vibe")

    train_peer("vibe", training("whole"), SIZES["vibe"])
    with pytest.MonkeyPatch.context() as patch:
        import d3pose_core.training.peers as peers

        save = peers.save_resume

        def save_and_die(*args):
            save(*args)
            raise KeyboardInterrupt

        patch.setattr(peers, "save_resume", save_and_die)
        with pytest.raises(KeyboardInterrupt):
            train_peer("vibe", training("parts"), SIZES["vibe"])
    assert resume_file("parts")["progress"]["step"] == 2
    train_peer("vibe", training("parts"), SIZES["vibe"])
    whole, parts = resume_file("whole"), resume_file("parts")
    assert any(name.startswith("discriminator") for name in whole["model"])
    for name, tensor in whole["model"].items():
        assert torch.equal(tensor, parts["model"][name]), name


def test_jerk_of_a_cubic_is_its_third_derivative():
    step_s = torch.tensor(0.1, dtype=torch.float64)
    t = step_s * torch.arange(8)
    points = torch.stack([2 * t**3 + t**2, 0 * t, 5 * t], -1)[:, None]  # 12 m/s^3
    torch.testing.assert_close(jerk(points, step_s), torch.full((5,), 12.0, dtype=torch.float64))


def test_a_step_costs_what_its_products_cost():
    peer = build_peer("per_frame", dim=32, blocks=1).eval()
    cost = streaming_cost(peer, random_observations(1, 10))
    products = sum(p.numel() for p in peer.parameters() if p.ndim == 2)
    # The rest is turning the rays of 33 landmarks and their rivals into the view camera.
    assert 2e-6 * products < cost["mflop"] < 2e-6 * (products + 33 * (1 + RIVALS) * 9 * 2)
    assert cost["parameters"] == pytest.approx(sum(p.numel() for p in peer.parameters()) / 1e6)
    assert cost["ms"] > 0


def test_the_filter_is_smooth_where_that_costs_nothing(tmp_path):
    shard = write_motion_shard(tmp_path / "made_up.npz")
    body = load_body("free-low")
    batches = held_out_batches(MotionLibrary([shard], "val"), body, 2)
    # A network that trembles about one answer: every filter is as accurate, the slower one smoother.
    torch.manual_seed(0)
    peer = build_peer("per_frame", dim=32, blocks=1).eval()
    torch.nn.init.normal_(peer.regressor.head.linear.weight, std=0.05)
    chosen = tune_one_euro(peer, batches, body, (0.3, 20.0), (0.0,))
    assert chosen == OneEuroSettings(min_cutoff_hz=0.3, speed_gain=0.0)


def test_bad_comparisons_say_what_is_wrong(config_file, tmp_path):
    with pytest.raises(InputError, match="no comparison at"):
        ComparisonConfig.load(tmp_path / "nothing.yaml")
    with pytest.raises(InputError, match=r"unknown options \['sequencez'\]"):
        ComparisonConfig.load(config_file(sequencez=3))
    with pytest.raises(InputError, match=r"unknown networks \['gru'\]"):
        ComparisonConfig.load(config_file(networks=["gru"]))
    with pytest.raises(
        InputError, match=r"both_ways names \['tcmr'\]; the table has \['per_frame'"
    ):
        ComparisonConfig.load(config_file(both_ways=["tcmr"]))
    with pytest.raises(InputError, match="one_euro filters per_frame"):
        ComparisonConfig.load(config_file(networks=["one_euro"]))
    with pytest.raises(InputError, match=r"unknown training options \['stepz'\]"):
        ComparisonConfig.load(config_file(changes={"stepz": 3})).training_of("vibe")
