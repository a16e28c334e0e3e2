"""The mean of two networks is that of their weights, and of nothing that does not belong together."""

import sys
from dataclasses import replace

import pytest
import torch

from d3pose_core.model.checkpoint import load_model, load_notes, save_model
from d3pose_core.model.d3pose import D3Pose
from test.helpers.motion_shard import write_motion_shard
from test.helpers.networks import SMALL
from tools import mean_of_weights


def saved(path, seed, **changes):
    torch.manual_seed(seed)
    save_model(D3Pose(replace(SMALL, **changes)), path, {"seed": seed})
    return str(path)


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["mean_of_weights", *map(str, arguments)])
    mean_of_weights.main()


def test_half_way_between_both(tmp_path, monkeypatch):
    paths = [saved(tmp_path / f"{seed}.safetensors", seed) for seed in (1, 2)]
    run(monkeypatch, *paths, "--out", tmp_path / "mean.safetensors")
    first, second, mean = (
        load_model(p).state_dict() for p in (*paths, tmp_path / "mean.safetensors")
    )
    for name, value in mean.items():
        assert torch.allclose(value, (first[name] + second[name]) / 2, atol=1e-3), name
    assert not all(torch.equal(mean[name], second[name]) for name in mean)
    assert load_notes(tmp_path / "mean.safetensors")["seed"] == 2


def test_networks_of_two_kinds_have_none(tmp_path, monkeypatch, capsys):
    paths = [
        saved(tmp_path / "1.safetensors", 1),
        saved(tmp_path / "2.safetensors", 2, refinement=False),
    ]
    with pytest.raises(SystemExit):
        run(monkeypatch, *paths, "--out", tmp_path / "mean.safetensors")
    assert "not of one configuration" in capsys.readouterr().err


def test_a_validated_mean_has_scores_and_confidences_of_its_own(tmp_path, monkeypatch):
    paths = [saved(tmp_path / f"{seed}.safetensors", seed) for seed in (1, 2)]
    shard = write_motion_shard(tmp_path / "shard.npz")
    plain, validated = tmp_path / "plain.safetensors", tmp_path / "validated.safetensors"
    run(monkeypatch, *paths, "--out", plain)
    run(monkeypatch, *paths, "--out", validated, "--validate", shard, "--sequences", 2)
    before, after = (load_model(path).state_dict() for path in (plain, validated))
    changed = [name for name, value in before.items() if not torch.equal(value, after[name])]
    assert changed
    assert all("variance" in name for name in changed), changed
    notes = load_notes(validated)
    assert notes["held_out"]["mpjpe"] > 0
    assert 0 <= notes["calibration_error"] < 0.5
    assert "held_out" not in load_notes(plain)
