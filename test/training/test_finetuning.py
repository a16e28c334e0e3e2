"""Fine-tuning with a user's own SMPL file: the free body, written in SMPL's format, stands in."""

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

import d3pose_core.training.loop as loop
from d3pose_core.body.load import free_body_arrays, load_body
from d3pose_core.camera import Intrinsics
from d3pose_core.cli.main import main
from d3pose_core.errors import InputError
from d3pose_core.model.checkpoint import load_model, load_notes, save_model
from d3pose_core.model.config import D3PoseConfig
from d3pose_core.model.d3pose import D3Pose
from d3pose_core.observe.cached import CachedObserver
from d3pose_core.recovery import MeshRecovery
from d3pose_core.training.config import TrainConfig
from test.helpers.motion_shard import write_motion_shard
from test.training.test_training import SMALL_NETWORK

RECIPE = Path(__file__).resolve().parents[2] / "config" / "train" / "finetune_smpl.yaml"


@pytest.fixture
def smpl_file(tmp_path):
    """Somebody else's body: a tenth larger than the free one, in a file as SMPL's are."""
    arrays = free_body_arrays("free-low").smpl_file()
    # smplx's landmark vertices of SMPL go up to 6890: the file needs as many.
    lacking = 6890 - len(arrays["v_template"])
    for name in ("v_template", "shapedirs", "posedirs", "weights"):
        tail = np.repeat(arrays[name][-1:], lacking, axis=0)
        arrays[name] = np.concatenate([arrays[name], tail])
    regressor = arrays["J_regressor"]
    arrays["J_regressor"] = np.concatenate([regressor, np.zeros((24, lacking))], axis=1)
    arrays["v_template"] = 1.1 * arrays["v_template"]
    path = tmp_path / "SMPL_NEUTRAL.npz"
    np.savez(path, **arrays)
    return path


def test_the_recipe_runs_with_a_users_body_and_what_it_leaves_recovers_people(
    smpl_file, tmp_path, monkeypatch
):
    torch.manual_seed(0)
    start = tmp_path / "start.safetensors"
    save_model(D3Pose(D3PoseConfig.from_dict(SMALL_NETWORK)), start)
    shard = write_motion_shard(tmp_path / "amass.npz")
    values = yaml.safe_load(RECIPE.read_text()) | {
        "motions": [str(shard)],
        "body": str(smpl_file),
        "output": str(tmp_path / "run"),
        "initial_weights": str(start),
        "network": SMALL_NETWORK,
        "steps": 1,
        "batch": 2,
        "frames": 8,
        "validate_every": 1,
        "validation_sequences": 2,
    }
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(values))
    performers = []
    simulator = loop.Simulator

    def watched(motions, body, seed, realism):
        performers.append(body)
        return simulator(motions, body, seed, realism)

    monkeypatch.setattr(loop, "Simulator", watched)
    calibrated = []
    # It takes most of a short run's time, and test_training.py runs it.
    monkeypatch.setattr(loop, "calibrate_file", lambda path, clips, body: calibrated.append(body))
    assert main(["train", str(tmp_path / "recipe.yaml")]) == 0
    best = tmp_path / "run" / "best.safetensors"
    assert load_notes(best)["body"] == "SMPL_NEUTRAL"
    assert calibrated == [str(smpl_file)]
    tall, free = (
        performers[0].stature(torch.zeros(10)),
        load_body("free-low").stature(torch.zeros(10)),
    )
    assert float(tall / free) == pytest.approx(1.1, abs=1e-3)
    before, after = load_model(start).state_dict(), load_model(best).state_dict()
    assert any(not torch.equal(before[name], after[name]) for name in before)
    recovery = MeshRecovery.from_pretrained(best, body=smpl_file, observer=CachedObserver())
    assert recovery.recover([], 0.0, Intrinsics.from_hfov(60, 640, 480)) == []
    assert recovery.body.name == "SMPL_NEUTRAL"


def test_recordings_of_the_free_body_do_not_mix_with_another_bodys_shapes():
    with pytest.raises(InputError, match="measured"):
        TrainConfig(motions=(), output="", steps=1, measured=("x.npz",), body="SMPL_NEUTRAL.npz")


def test_the_recipe_names_only_options_that_exist():
    config = TrainConfig.load(RECIPE)
    assert config.initial_weights == "d3pose-landmarks"
    assert config.network == load_model("d3pose-landmarks").config
