"""Hard conditions are what they say, and the shipped network bears them."""

import pytest
import torch

from d3pose_core.body import load_body
from d3pose_core.data.measured import rolled
from d3pose_core.evaluation.held_out import score
from d3pose_core.evaluation.robustness import every_second, facing, in_runs, lost, sides_mistaken
from d3pose_core.model.checkpoint import load_model
from test.helpers.motion_shard import simulated

ROLL = torch.full((16,), 0.349066)  # 20 degrees


@pytest.fixture(scope="module")
def body():
    return load_body("free-low")


@pytest.fixture(scope="module")
def batch(tmp_path_factory):
    return simulated(tmp_path_factory.mktemp("shard"), 45)


def test_a_rolled_camera_turns_people_and_their_picture_alike(batch, body):
    turned = rolled(batch, ROLL)
    truth = turned.truth
    betas = truth.betas.repeat_interleave(45, 0)
    transl = truth.pelvis.flatten(0, 1) - body.joints_rest(betas)[:, 0]
    joints = body.joints_matrices(truth.rotations.flatten(0, 1), betas, transl)
    assert torch.allclose(joints.unflatten(0, (16, 45)), truth.joints, atol=1e-4)
    # x towards y by 20 degrees, in the picture as in space.
    for name in ("rays", "rival_rays"):
        before, after = getattr(batch.observations, name), getattr(turned.observations, name)
        assert torch.allclose(after.norm(dim=-1), before.norm(dim=-1), atol=1e-5), name
        cosine = (before * after).sum(-1) / before.square().sum(-1)
        assert torch.allclose(cosine, torch.full_like(cosine, 0.9397), atol=1e-3), name
    back = rolled(turned, -ROLL)
    assert torch.allclose(back.observations.landmarks, batch.observations.landmarks, atol=1e-5)


def test_mistaking_sides_twice_changes_nothing(batch):
    when = in_runs(batch, 0.4, 0.5, torch.Generator().manual_seed(0))
    assert 0.25 < when.float().mean() < 0.55
    once = sides_mistaken(batch, when)
    assert not torch.equal(once.observations.rays, batch.observations.rays)
    assert torch.equal(once.observations.rays[~when], batch.observations.rays[~when])
    twice = sides_mistaken(once, when)
    for name, value in vars(batch.observations).items():
        assert torch.equal(getattr(twice.observations, name), value), name


@pytest.mark.parametrize("frames", [44, 45])
def test_every_second_frame_is_there_at_its_time(batch, frames):
    observed = batch.observations
    observed = type(observed)(**vars(observed) | {"step_s": torch.rand(16, 45) + 0.01})
    when = torch.arange(frames).expand(16, frames)
    timed = type(batch)(observed, batch.truth).frames(torch.arange(16), when)
    half = every_second(timed)
    assert torch.equal(half.truth.joints, timed.truth.joints[:, ::2])
    assert torch.equal(half.observations.rays, timed.observations.rays[:, ::2])
    elapsed, of_half = (b.observations.step_s[:, 1:].cumsum(1) for b in (timed, half))
    assert torch.allclose(of_half, elapsed[:, 1::2])


def test_facing_knows_front_from_back(batch):
    angle = facing(batch)
    assert 0 <= angle.min() < angle.max() <= 180
    # Turned by half a turn about its own upright axis, a body shows its back.
    half = torch.diag(torch.tensor([-1.0, 1.0, -1.0]))
    truth = batch.truth.rotations.clone()
    truth[:, :, 0] = truth[:, :, 0] @ half
    behind = type(batch)(
        batch.observations, type(batch.truth)(**vars(batch.truth) | {"rotations": truth})
    )
    assert torch.allclose(facing(behind), 180 - angle, atol=0.1)


def test_the_shipped_network_bears_roll_gaps_and_mistaken_sides(batch, body):
    model, rng = load_model("d3pose-landmarks"), torch.Generator().manual_seed(1)

    def mpjpe(changed):
        return score(model, [changed], body)["mpjpe"]

    plain = mpjpe(batch)
    assert mpjpe(rolled(batch, ROLL)) < 1.15 * plain
    assert mpjpe(rolled(batch, -ROLL)) < 1.15 * plain
    assert mpjpe(lost(batch, in_runs(batch, 0.2, 0.2, rng))) < 1.3 * plain
    # A network that believed every frame would be off by half a body in a third of them.
    assert mpjpe(sides_mistaken(batch, in_runs(batch, 0.35, 0.3, rng))) < 1.9 * plain
