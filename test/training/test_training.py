"""Training learns, resumes where it stopped, and runs in several processes."""

import csv
import os
import socket
import subprocess
import sys

import pytest
import torch
import yaml

from d3pose_core.errors import InputError
from d3pose_core.model.checkpoint import load_model
from d3pose_core.training.config import TrainConfig
from d3pose_core.training.loop import train
from test.helpers.motion_shard import write_motion_shard

SMALL_NETWORK = {
    "embed_dims": [8, 8, 16, 16],
    "heads": [1, 1, 1, 1],
    "decoder_dim": 32,
    "decoder_heads": 2,
    "decoder_frames": 8,
}


@pytest.fixture
def config_file(tmp_path):
    shard = write_motion_shard(tmp_path / "made_up.npz")

    def write(**changes):
        values = {
            "motions": [str(shard)],
            "output": str(tmp_path / "run"),
            "steps": 4,
            "batch": 4,
            "frames": 8,
            "warmup_steps": 1,
            "validate_every": 2,
            "validation_sequences": 3,
            "learning_rate": 0.003,
            "network": SMALL_NETWORK,
        } | changes
        path = tmp_path / "train.yaml"
        path.write_text(yaml.safe_dump(values))
        return path

    return write


def curve(output) -> list[dict[str, float]]:
    with open(output / "curve.csv", newline="") as file:
        return [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]


def test_training_learns_to_recover_made_up_people(config_file, tmp_path):
    config = TrainConfig.load(
        config_file(steps=80, batch=16, validate_every=40, frames=12, average_decay=0.9)
    )
    best = train(config)
    rows = curve(tmp_path / "run")
    assert rows[-1]["held_out_mpjpe"] < 0.7 * 830  # a T-pose in the rest direction scores about 830
    assert rows[-1]["joints"] < rows[0]["joints"]
    load_model(best)


def test_a_resumed_run_equals_an_uninterrupted_one(config_file, tmp_path):
    whole = tmp_path / "whole"
    train(TrainConfig.load(config_file(output=str(whole))))
    parts = tmp_path / "parts"
    # Stop after the checkpoint at step 2 as a kill would: the schedule knows the whole length.
    config = TrainConfig.load(config_file(output=str(parts)))
    with pytest.MonkeyPatch.context() as patch:
        import d3pose_core.training.loop as loop

        save = loop.save_resume

        def save_and_die(*args):
            save(*args)
            raise KeyboardInterrupt

        patch.setattr(loop, "save_resume", save_and_die)
        with pytest.raises(KeyboardInterrupt):
            train(config)
    train(config)
    first = torch.load(whole / "resume.pt", weights_only=True)
    second = torch.load(parts / "resume.pt", weights_only=True)
    assert first["progress"]["step"] == second["progress"]["step"] == 4
    for name, tensor in first["model"].items():
        assert torch.equal(tensor, second["model"][name]), name


def test_two_processes_train_together(config_file, tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    path = config_file()
    environment = os.environ | {
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": "1",
    }
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "d3pose_core.cli.main", "train", str(path)],
            env=environment | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(2)
    ]
    for process in processes:
        output, _ = process.communicate(timeout=120)
        assert process.returncode == 0, output
    together = torch.load(tmp_path / "run" / "resume.pt", weights_only=True)
    assert together["progress"]["step"] == 4

    alone = TrainConfig.load(config_file(output=str(tmp_path / "alone")))
    train(alone)
    single = torch.load(tmp_path / "alone" / "resume.pt", weights_only=True)
    # Both processes' windows count: the result is not that of one process.
    assert any(
        not torch.equal(tensor, single["model"][name])
        for name, tensor in together["model"].items()
        if tensor.is_floating_point()
    )


def test_bad_configurations_say_what_is_wrong(config_file, tmp_path):
    with pytest.raises(InputError, match="no training configuration at"):
        TrainConfig.load(tmp_path / "nothing.yaml")
    with pytest.raises(InputError, match=r"unknown training options \['stepz'\]"):
        TrainConfig.load(config_file(stepz=3))
    with pytest.raises(InputError, match="steps must be at least 1, got 0"):
        TrainConfig.load(config_file(steps=0))
