"""What a training run can be told: precision, optimizer, recordings, curves."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from d3pose_core.body import load_body
from d3pose_core.data.measured import MeasuredClips
from d3pose_core.data.motions import MotionLibrary
from d3pose_core.data.rendered import RenderedSet
from d3pose_core.data.simulator import Simulator, TrainingBatch
from d3pose_core.errors import InputError
from d3pose_core.model.checkpoint import load_model, load_notes
from d3pose_core.training import loop
from d3pose_core.training.config import TrainConfig
from d3pose_core.training.loop import (
    MOST_MISSING,
    chosen_by,
    train,
    with_landmarks_missing,
    without_rivals,
)
from d3pose_core.training.optimizer import Optimizer
from d3pose_core.training.precision import in_bfloat16
from test.helpers.motion_shard import simulated, write_motion_shard

SMALL_NETWORK = {
    "embed_dims": [8, 8, 16, 16],
    "heads": [1, 1, 1, 1],
    "decoder_dim": 32,
    "decoder_heads": 2,
    "decoder_frames": 8,
}


@pytest.fixture(scope="module")
def shard(tmp_path_factory) -> Path:
    return write_motion_shard(tmp_path_factory.mktemp("shard") / "made_up.npz")


@pytest.fixture(scope="module")
def recording(shard, tmp_path_factory) -> Path:
    """What `tools.measure_landmarks record` would write, of simulated reports."""
    body = load_body("free-low")
    simulator = Simulator(MotionLibrary([shard], "train"), body, seed=2)
    times = torch.arange(12).expand(6, 12) / 30.0
    batch = simulator.observe(simulator.motions.sample(times, simulator.rng), times)
    seen, truth = batch.observations, batch.truth
    eye = torch.eye(3).expand(6, 12, 3, 3).contiguous()
    recorded = RenderedSet(
        rays=seen.rays,
        depth_hint=seen.depth_hint,
        landmarks=seen.landmarks,
        visibility=seen.visibility,
        presence=seen.presence,
        certainty=seen.certainty,
        rival_rays=seen.rival_rays,
        rival_certainty=seen.rival_certainty,
        score=torch.ones(6, 12),
        seen=torch.ones(6, 12, dtype=torch.bool),
        stray=torch.zeros(6, 12, dtype=torch.bool),
        start=torch.zeros(6, 12, dtype=torch.int8),
        sight=torch.zeros(6, 12, 33, dtype=torch.int8),
        times_s=times.clone(),
        true_landmarks=torch.zeros(6, 12, 33, 3),
        rotations=truth.rotations,
        betas=truth.betas,
        pelvis=truth.pelvis,
        joints=truth.joints,
        camera_rotation=eye,
        camera_position=torch.zeros(6, 12, 3),
        camera=torch.ones(6, 6),
        clip=torch.arange(6),
    )
    path = tmp_path_factory.mktemp("recording") / "train.npz"
    recorded.save(path)
    return path


def run(tmp_path, shard, **changes) -> Path:
    values = {
        "motions": [str(shard)],
        "output": str(tmp_path / "run"),
        "steps": 3,
        "batch": 4,
        "frames": 8,
        "validate_every": 3,
        "validation_sequences": 2,
        "network": SMALL_NETWORK,
    }
    path = tmp_path / "train.yaml"
    path.write_text(yaml.safe_dump(values | changes))
    return train(TrainConfig.load(path))


def test_mixed_precision_recordings_and_curves(tmp_path, shard, recording):
    """One short run with everything on; its TensorBoard files are read back."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    best = run(
        tmp_path,
        shard,
        precision="bfloat16",
        measured=[str(recording)],
        measured_share=0.25,
    )
    weights = load_model(best).state_dict().values()
    assert all(bool(torch.isfinite(w).all()) for w in weights if w.is_floating_point())
    assert 0 <= load_notes(best)["calibration_error"] < 1

    events = EventAccumulator(str(best.parent)).Reload()
    (point,) = events.Scalars("held_out/mpjpe")
    assert point.step == 3
    assert point.value == pytest.approx(load_notes(best)["held_out"]["mpjpe"], rel=1e-3)
    assert {"train/loss", "train/acceleration", "train/contact"} <= set(events.Tags()["scalars"])


def test_a_run_starts_from_given_weights(tmp_path, shard):
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    first = run(tmp_path / "first", shard)
    second = run(
        tmp_path / "second",
        shard,
        initial_weights=str(first),
        learning_rate=0.0,
        muon_rate=0.0,
        weight_decay=0.0,
    )
    before, after = load_model(first), load_model(second)
    for (name, a), b in zip(before.state_dict().items(), after.state_dict().values(), strict=True):
        if "variance_head" not in name:  # which is calibrated again
            assert torch.allclose(a, b, atol=1e-6), name


def test_weights_of_other_sizes_are_refused_by_name(tmp_path, shard):
    first = run(tmp_path, shard)
    other = {"output": str(tmp_path / "other"), "network": SMALL_NETWORK | {"decoder_dim": 48}}
    with pytest.raises(InputError, match="give `network` the sizes that the weights have"):
        run(tmp_path, shard, initial_weights=str(first), **other)
    with pytest.raises(InputError, match="is of a run with another network"):
        run(tmp_path, shard, network=other["network"], steps=5)


def test_muon_moves_the_inner_matrices_and_adamw_the_rest():
    model = torch.nn.ModuleDict(
        {"embed": torch.nn.Linear(4, 4), "inner": torch.nn.Linear(4, 4), "head": torch.nn.Linear(4, 4)}
    )  # fmt: skip
    optimizer = Optimizer(model, "muon", 1e-3, 2e-3, 0.0)
    adamw, muon = (
        {id(p) for group in part.param_groups for p in group["params"]} for part in optimizer.parts
    )
    assert muon == {id(model["inner"].weight)}
    assert len(adamw) == 5
    optimizer.set_rate(0.5)
    assert [part.param_groups[0]["lr"] for part in optimizer.parts] == [5e-4, 1e-3]
    assert len(Optimizer(model, "adamw", 1e-3, 2e-3, 0.0).parts) == 1


def test_mixed_precision_answers_in_float32():
    layer = torch.nn.Linear(64, 64)
    x = torch.randn(8, 64)
    exact = layer(x)
    rounded, (again,) = in_bfloat16(lambda y: (layer(y), [layer(y)]), torch.device("cpu"))(x)
    assert rounded.dtype == again.dtype == torch.float32
    assert not torch.equal(rounded, exact)
    assert torch.allclose(rounded, exact, atol=0.05)


def test_measured_windows_are_consistent_bodies(recording):
    """Mirrored, rolled and paced, their joints are still those of their rotations."""
    body = load_body("free-low")
    clips = MeasuredClips([recording], body)
    batch = clips.sample(16, 8, torch.Generator().manual_seed(0))
    truth = batch.truth
    betas = truth.betas.repeat_interleave(8, 0)
    transl = truth.pelvis.flatten(0, 1) - body.joints_rest(betas)[:, 0]
    joints = body.joints_matrices(truth.rotations.flatten(0, 1), betas, transl)
    np.testing.assert_allclose(joints.unflatten(0, (16, 8)), truth.joints, atol=1e-4)
    assert batch.observations.rays.shape == (16, 8, 33, 2)


def test_a_window_that_is_longer_than_the_recordings_ends_with_nobody_seen(recording):
    clips = MeasuredClips([recording], load_body("free-low"))
    short, long = (clips.sample(4, n, torch.Generator().manual_seed(0)) for n in (12, 20))
    for name, value in vars(long.observations).items():
        assert torch.equal(value[:, :12], getattr(short.observations, name)), name
    assert (short.observations.rays[:, 10] != short.observations.rays[:, 11]).any((1, 2)).all()
    assert not long.observations.seen[:, 12:].any()
    assert short.observations.seen.any()
    for name in ("rotations", "pelvis", "joints", "contact", "up"):
        value = getattr(long.truth, name)
        assert value.shape[1] == 20, name
        assert torch.equal(value[:, :12], getattr(short.truth, name)), name


def test_windows_begin_anywhere_in_the_recordings(recording):
    """Told by the pelvis' depth, which neither mirror nor roll changes."""
    clips = MeasuredClips([recording], load_body("free-low"))
    first = clips.sample(64, 11, torch.Generator().manual_seed(0)).truth.pelvis[:, 0, 2]
    recorded = torch.from_numpy(np.load(recording)["pelvis"][:, :2, 2]).flatten()
    assert torch.isclose(first[:, None], recorded, rtol=1e-6).any(0).all()


def test_a_batch_has_windows_of_each_kind(shard, recording):
    """A quarter measured; the rest are what they would be without."""
    values = {"output": "", "steps": 1, "batch": 8, "measured": (str(recording),)}
    config = TrainConfig(motions=(str(shard),), frames=8, measured_share=0.25, **values)
    body, motions = load_body("free-low"), MotionLibrary([shard], "train")
    measured = loop.recordings(config, body)
    drawn = [loop.draw(Simulator(motions, body, 3), measured, config) for _ in range(2)]
    assert torch.equal(drawn[0].observations.rays, drawn[1].observations.rays)
    assert len(drawn[0].truth.betas) == 8
    simulated_alone = Simulator(motions, body, 3).sample(6, 8)
    assert torch.equal(drawn[0].observations.rays[:6], simulated_alone.observations.rays)
    recorded = np.load(recording)["betas"]
    apart = np.abs(drawn[0].truth.betas.numpy()[:, None] - recorded).max(-1).min(-1)
    assert [bool(near) for near in apart < 1e-6] == [False] * 6 + [True] * 2


def test_rendered_people_are_validated_too(tmp_path, shard, recording):
    best = run(tmp_path, shard, rendered=[str(recording)], steps=3)
    with open(best.parent / "curve.csv", newline="") as file:
        (row,) = csv.DictReader(file)
    assert float(row["held_out_rendered_mpjpe"]) > 0
    notes = load_notes(best)["held_out"]
    assert notes["rendered_mpjpe"] == pytest.approx(float(row["held_out_rendered_mpjpe"]), abs=0.01)
    assert chosen_by({"mpjpe": 90.0, "rendered_mpjpe": 150.0}) == 120.0


def test_a_run_can_go_on_from_between_validations(tmp_path, shard, monkeypatch):
    monkeypatch.setattr(loop, "RESUMABLE_EVERY", 2)
    saved: list[int] = []
    real = loop.save_resume

    def note(path, model, averaged, optimizer, progress):
        saved.append(progress["step"])
        real(path, model, averaged, optimizer, progress)

    monkeypatch.setattr(loop, "save_resume", note)
    run(tmp_path, shard, steps=5, validate_every=5)
    assert saved == [2, 4, 5]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"measured_share": 1.5}, "measured_share is a share"),
        ({"measured_share": 0.999}, "must leave at least one measured and one simulated"),
        ({"warmup_steps": 0}, "warmup_steps must be at least 1"),
        ({"hidden": -0.1}, "hidden is a share"),
    ],
)
def test_what_would_fail_later_is_refused_at_once(tmp_path, shard, recording, wrong, said):
    with pytest.raises(InputError, match=said):
        run(tmp_path, shard, **{"measured": [str(recording)], **wrong})


def test_landmarks_go_missing_at_random(tmp_path):
    batch = simulated(tmp_path, frames=20)
    present = torch.ones_like(batch.observations.presence)
    batch = TrainingBatch(replace(batch.observations, presence=present), batch.truth)
    found = with_landmarks_missing(batch, 0.5, torch.Generator().manual_seed(0))
    missing = (found.observations.presence == 0).float().mean((1, 2))
    assert 0.2 < (missing > 0).float().mean() < 0.8
    assert 0.1 < missing.max() < MOST_MISSING
    assert torch.equal(found.observations.rays, batch.observations.rays)
    assert with_landmarks_missing(batch, 0.0, torch.Generator()) is batch


def test_some_windows_have_no_rivals(tmp_path):
    batch = simulated(tmp_path, frames=20)
    had = (batch.observations.rival_certainty > 0).any((1, 2, 3))
    assert had.all()
    found = without_rivals(batch, 0.5, torch.Generator().manual_seed(0)).observations
    has = (found.rival_certainty > 0).flatten(1).any(1)
    assert 0.2 < has.float().mean() < 0.8
    assert torch.equal(found.rival_certainty[has], batch.observations.rival_certainty[has])
    assert torch.equal(found.rays, batch.observations.rays)


def test_unknown_choices_are_refused(tmp_path, shard):
    with pytest.raises(InputError, match=r"optimizer must be one of .* got 'sgd'"):
        run(tmp_path, shard, optimizer="sgd")
    with pytest.raises(InputError, match=r"precision must be one of .* got 'float8'"):
        run(tmp_path, shard, precision="float8")
