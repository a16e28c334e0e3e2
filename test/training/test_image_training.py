"""The image variant learns, is scored in the original's three modes, and survives a round trip to disk."""

import csv
import json
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from d3pose_core.body import load_body
from d3pose_core.cli.main import main
from d3pose_core.data.image_clips import ImageClips
from d3pose_core.data.mean_pose import mean_pose
from d3pose_core.errors import InputError
from d3pose_core.evaluation.image_evaluation import MEAN_POSE
from d3pose_core.evaluation.image_modes import MODES, predict, scores
from d3pose_core.model.decoder import PosePrediction
from d3pose_core.model.image import ImageConfig, ImageD3Pose
from d3pose_core.model.image.backbone import Backbone
from d3pose_core.model.view import into_view, place_of
from d3pose_core.training import image_loop
from d3pose_core.training.image_config import ImageTrainConfig, is_image_config

pytestmark = pytest.mark.skipif(find_spec("timm") is None, reason="timm is not installed")
NETWORK = {
    "backbone": "test_vit",
    "image_size": 112,
    "width": 64,
    "embed_dims": [8, 16, 16, 16],
    "depths": [1, 2, 1, 1],
    "heads": [2, 2, 2, 2],
    "decoder_dim": 24,
    "decoder_heads": 2,
}


def made_up_clips(clips: int = 2, frames: int = 6, seed: int = 0) -> ImageClips:
    """People who stand and swing their arms, each before a picture of its own."""
    rng = np.random.default_rng(seed)
    body = load_body("free-low")
    turn = 0.4 * rng.normal(size=(clips, 1, 24, 3)) * np.linspace(0, 1, frames)[None, :, None, None]
    turn[:, :, 0] += [np.pi, 0, 0]  # y up -> y down
    pelvis = np.tile([0.1, 0.0, 3.0], (clips, frames, 1))
    betas = rng.normal(size=(clips, 10))
    pose = torch.from_numpy(turn).float().flatten(0, 1)
    shape = torch.from_numpy(betas).float().repeat_interleave(frames, 0)
    transl = torch.from_numpy(pelvis).float().flatten(0, 1) - body.joints_rest(shape)[:, 0]
    joints = body.joints(pose[:, 0], pose[:, 1:], shape, transl).numpy()
    rotations = body._rotations(pose[:, 0], pose[:, 1:]).numpy()
    picture = rng.integers(0, 256, (clips, 1, 112, 112, 3), dtype=np.uint8)
    joints = joints.reshape(clips, frames, 24, 3)
    return ImageClips(
        images=np.repeat(picture, frames, 1),
        center=np.zeros((clips, frames, 2), np.float32),
        size=np.full((clips, frames), 0.6, np.float32),
        seen=np.ones((clips, frames), bool),
        times_s=np.tile(np.arange(frames, dtype=np.float32) / 30, (clips, 1)),
        rotations=rotations.reshape(clips, frames, 24, 3, 3),
        betas=betas.astype(np.float32),
        pelvis=pelvis.astype(np.float32),
        joints=joints,
        world_joints=joints,
    )


def write_config(folder: Path, **changes) -> Path:
    """A run of 30 steps on two clips, into `folder`/run."""
    made_up_clips().save(folder / "clips.npz")
    config = {
        "variant": "image",
        "clips": str(folder / "clips.npz"),
        "held_out": str(folder / "clips.npz"),
        "output": str(folder / "run"),
        "steps": 30,
        "batch": 2,
        "learning_rate": 3e-3,
        "warmup_steps": 3,
        "validate_every": 15,
        "own_outputs": 0.5,
        "frames": 5,
        "network": NETWORK,
    }
    (folder / "image.yaml").write_text(yaml.safe_dump(config | changes))
    return folder / "image.yaml"


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A finished run of the command."""
    folder = tmp_path_factory.mktemp("image")
    assert main(["train", str(write_config(folder))]) == 0
    return folder / "run"


def test_the_error_falls_and_all_three_modes_are_reported(run):
    with open(run / "curve.csv", newline="") as file:
        rows = [{name: float(v) for name, v in row.items()} for row in csv.DictReader(file)]
    assert [row["step"] for row in rows] == [15, 30]
    assert rows[1]["loss"] < 0.8 * rows[0]["loss"]
    for mode in MODES:
        assert rows[1][f"{mode}_mpjpe"] < rows[0][f"{mode}_mpjpe"]
        assert rows[1][f"{mode}_mse"] > 0
    # A mask and the order of events are the same function.
    for name in ("mse", "mpjpe", "pa_mpjpe", "pve"):
        a, b = (rows[1][f"{mode}_{name}"] for mode in ("complete_truth", "truth_in_loop"))
        assert a == pytest.approx(b, rel=1e-4)
    assert rows[1]["free_mpjpe"] != pytest.approx(rows[1]["truth_in_loop_mpjpe"], rel=1e-6)


class Stopped(Exception):
    """Somebody pulled the plug."""


def test_a_stopped_run_goes_on_as_if_it_never_was(tmp_path, monkeypatch):
    short = {"steps": 6, "validate_every": 2}
    for name in ("whole", "halves"):
        (tmp_path / name).mkdir()
    write_config(tmp_path / "whole", **short)
    write_config(tmp_path / "halves", **short)
    assert main(["train", str(tmp_path / "whole" / "image.yaml")]) == 0

    true_losses, calls = image_loop.training_losses, []

    def losses_until_it_stops(*args):
        calls.append(1)
        if len(calls) == 4:  # after the validation of step 2, before that of step 4
            raise Stopped
        return true_losses(*args)

    monkeypatch.setattr(image_loop, "training_losses", losses_until_it_stops)
    config = ImageTrainConfig.load(tmp_path / "halves" / "image.yaml")
    with pytest.raises(Stopped):
        image_loop.train_image(config)
    monkeypatch.undo()
    image_loop.train_image(config)
    curves = [(tmp_path / name / "run" / "curve.csv").read_text() for name in ("whole", "halves")]
    assert curves[0] == curves[1]
    assert len(curves[0].splitlines()) == 4

    write_config(tmp_path / "halves", **short, network=NETWORK | {"decoder_dim": 48})
    other = ImageTrainConfig.load(tmp_path / "halves" / "image.yaml")
    with pytest.raises(InputError, match="of a run with other networks"):
        image_loop.train_image(other)


def test_the_checkpoint_holds_both_networks(run):
    from d3pose_core.model.image.checkpoint import load_image_model

    network, backbone = load_image_model(run / "best.safetensors")
    assert network.image_config == ImageConfig.from_dict(NETWORK)
    clips = made_up_clips()
    everyone = torch.arange(len(clips))
    with torch.inference_mode():
        frames = clips.frames(everyone, backbone(clips.pixels(everyone)))
    truth = clips.truth(everyone)
    got = scores(predict(network, frames, truth, "free"), frames, truth, load_body("free-low"))
    with open(run / "curve.csv", newline="") as file:
        lowest = min(float(row["free_mpjpe"]) for row in csv.DictReader(file))
    assert got["mpjpe"] == pytest.approx(lowest, rel=0.02)  # float16 on disk


def test_the_evaluation_command_reports_the_modes_beside_the_mean_pose(run, tmp_path, capsys):
    clips = str(run.parent / "clips.npz")
    argv = ["evaluate", "image", "--root", clips, "--weights", str(run / "best.safetensors")]
    assert main([*argv, "--mean-of", clips, "--out", str(tmp_path)]) == 0
    numbers = json.loads((tmp_path / "metrics.json").read_text())
    with open(run / "curve.csv", newline="") as file:
        lowest = min(csv.DictReader(file), key=lambda row: float(row["free_mpjpe"]))
    for mode in MODES:
        for name in ("mse", "mpjpe", "pa_mpjpe", "pve"):
            expected = float(lowest[f"{mode}_{name}"])
            assert numbers["modes"][mode][name] == pytest.approx(expected, rel=0.03), (mode, name)
    # The same numbers by the way that all other evaluations go.
    free = numbers["modes"]["free"]
    for name in ("mpjpe", "pa_mpjpe", "pve"):
        assert numbers["metrics"][name] == pytest.approx(free[name], rel=1e-3)
    assert numbers["tracking"]["recall"] == 1
    assert free["pa_mpjpe"] < numbers["modes"][MEAN_POSE]["pa_mpjpe"]  # it learned them by heart
    page = (tmp_path / "report.html").read_text()
    assert "ground truth in loop" in page
    assert page.count("data:image/jpeg") == 8
    assert "Do the confidences mean what they say?" in page
    assert f"{free['mse']:.4f}" in capsys.readouterr().out


def test_training_starts_at_the_mean_pose():
    clips = made_up_clips()
    torch.manual_seed(0)
    network = ImageD3Pose(ImageConfig.from_dict(NETWORK)).eval()
    mean = mean_pose(clips)
    image_loop.start_at(network, mean)
    frames = clips.frames(torch.arange(2), torch.randn(2, 6, 50, 64))
    with torch.inference_mode():
        said = predict(network, frames, clips.truth(torch.arange(2)), "free")
        stages = network.stage_poses(network.encode(frames, network.initial_state(2)))
    everywhere = mean.rotations.expand(2, 6, 24, 3, 3)
    for rotations, place, _ in (*stages, (said.rotations, said.place, None)):
        # All that is left is the heads' small random weights.
        assert float((rotations - everywhere).abs().mean()) < 0.1
        assert float((place - mean.place).abs().mean()) < 0.3


def test_the_mean_of_one_pose_is_that_pose():
    clips = made_up_clips()
    still = {"rotations": clips.rotations[:1, :1], "betas": clips.betas[:1]}
    one = replace(
        clips,
        rotations=np.broadcast_to(still["rotations"], clips.rotations.shape).copy(),
        betas=np.broadcast_to(still["betas"], clips.betas.shape).copy(),
    )
    mean = mean_pose(one)
    view = one.frames(torch.arange(2), torch.zeros(2, 6, 0, 0)).view()
    true = into_view(torch.from_numpy(one.rotations), view)[0, 0]
    torch.testing.assert_close(mean.rotations, true, atol=1e-5, rtol=0)
    torch.testing.assert_close(mean.betas, torch.from_numpy(one.betas[0]))


def test_the_truth_scores_nothing():
    clips = made_up_clips()
    everyone = torch.arange(len(clips))
    frames, truth = clips.frames(everyone, torch.zeros(2, 6, 50, 64)), clips.truth(everyone)
    view = frames.view()
    perfect = PosePrediction(
        into_view(truth.rotations, view),
        place_of(truth.pelvis, view),
        torch.zeros(2, 6, 24),
        truth.betas[:, None].expand(-1, 6, -1),
        torch.zeros(2, 6),
    )
    body = load_body("free-low")
    assert max(scores(perfect, frames, truth, body).values()) < 0.01
    # Betas that are off by one: the mean over 82 numbers of ten ones.
    wrong = replace(perfect, betas=perfect.betas + 1)
    assert scores(wrong, frames, truth, body)["mse"] == pytest.approx(10 / 82, rel=1e-4)


def test_a_window_of_a_clip_is_what_was_there():
    clips = made_up_clips()
    unequal = np.cumsum(np.random.default_rng(0).uniform(0.02, 0.06, clips.times_s.shape), 1)
    clips = replace(clips, times_s=unequal.astype(np.float32))
    source = image_loop.FeatureSource(clips, lambda pixels: pixels.flatten(3)[:, :, :50], False)
    everyone, window = torch.arange(2), slice(2, 5)
    whole, truth = source.batch(everyone)
    part, part_truth = source.batch(everyone, window)
    for name, value in vars(whole).items():
        torch.testing.assert_close(getattr(part, name), value[:, window], msg=name)
    for name, value in vars(truth).items():
        expected = value if name == "betas" else value[:, window]
        torch.testing.assert_close(getattr(part_truth, name), expected, msg=name)
    frozen = image_loop.FeatureSource(clips, lambda pixels: pixels.flatten(3)[:, :, :50], True)
    kept, _ = frozen.batch(everyone, window)
    torch.testing.assert_close(kept.features, part.features, atol=1e-3, rtol=0)


def test_frames_say_when_they_were_taken():
    clips = made_up_clips()
    frames = clips.frames(torch.tensor([1]), torch.zeros(1, 6, 50, 64))
    torch.testing.assert_close(frames.step_s, torch.full((1, 6), 1 / 30), atol=1e-6, rtol=0)
    pixels = clips.pixels(torch.tensor([1]))
    assert pixels.shape == (1, 6, 3, 112, 112)
    assert float(pixels[0, 0, 2, 5, 7]) == pytest.approx(clips.images[1, 0, 5, 7, 2] / 255)


def test_clips_round_trip_and_wrong_files_are_said(tmp_path):
    clips = made_up_clips()
    clips.save(tmp_path / "clips.npz")
    loaded = ImageClips.load(tmp_path / "clips.npz")
    for name in vars(clips):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(clips, name))
    with pytest.raises(InputError, match="no image clips at"):
        ImageClips.load(tmp_path / "none.npz")
    np.savez(tmp_path / "other.npz", images=clips.images)
    with pytest.raises(InputError, match="does not hold image clips"):
        ImageClips.load(tmp_path / "other.npz")
    with pytest.raises(InputError, match=r"center must be \[2, 6, 2\], got \[2, 5, 2\]"):
        replace(clips, center=clips.center[:, :5])


def test_the_example_configuration_is_valid():
    path = Path("config/train/image_small.yaml")
    assert is_image_config(path)
    config = ImageTrainConfig.load(path).network
    backbone = Backbone(config.backbone, config.image_size).eval()
    with torch.inference_mode():
        tokens = backbone(torch.rand(1, 3, config.image_size, config.image_size))
    assert tokens.shape == (1, config.tokens, config.width)
    ImageD3Pose(config)
    assert not is_image_config("config/train/landmarks.yaml")


def test_mistakes_in_a_configuration_are_named(tmp_path):
    (tmp_path / "a.yaml").write_text("variant: image\nstep: 3\n")
    with pytest.raises(InputError, match=r"unknown training options \['step'\]"):
        ImageTrainConfig.load(tmp_path / "a.yaml")
    (tmp_path / "b.yaml").write_text("variant: image\nsteps: 3\n")
    with pytest.raises(InputError, match="missing 3 required"):
        ImageTrainConfig.load(tmp_path / "b.yaml")
