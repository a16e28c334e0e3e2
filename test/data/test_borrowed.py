"""Errors of recorded people, borrowed by others: the same errors, where the others are."""

from dataclasses import replace

import pytest
import torch

from d3pose_core.body import load_body
from d3pose_core.data import borrowed
from d3pose_core.data.borrowed import BorrowedErrors
from d3pose_core.data.error_statistics import fitted_statistics
from d3pose_core.data.measured import MeasuredClips, rolled
from d3pose_core.data.motions import MotionLibrary
from d3pose_core.data.simulator import Simulator, TrainingBatch
from d3pose_core.data.stance import PERSON_M, Stance
from d3pose_core.data.told_depth import as_told
from d3pose_core.model.view import project
from d3pose_core.skeleton import LANDMARK_MIRROR, LANDMARK_NAMES
from test.helpers.motion_shard import simulated, write_motion_shard
from test.helpers.recordings import exact_recording

FRAMES = 13
OF_REPORTS = ("rays", "depth_hint", "landmarks", "rival_rays")
OF_TRUST = ("visibility", "presence", "certainty", "rival_certainty")
LEGS = [
    i
    for i, name in enumerate(LANDMARK_NAMES)
    if name.split("_", 1)[-1] in ("knee", "ankle", "heel", "foot_index")
]


@pytest.fixture(scope="module")
def body():
    return load_body("free-low")


@pytest.fixture
def recorded(tmp_path) -> TrainingBatch:
    """16 people with simulated errors, some not seen in some frames."""
    return simulated(tmp_path, FRAMES)


@pytest.fixture
def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture
def unvaried(monkeypatch):
    """The most alike lend their errors, as they are."""
    for name, value in (("CANDIDATES", 1), ("SIZE_JITTER", 0.0), ("TRUST_JITTER", 0.0)):
        monkeypatch.setattr(borrowed, name, value)


def only(batch: TrainingBatch, which: list[int]) -> TrainingBatch:
    chosen = torch.tensor(which)
    return batch.windows(chosen, torch.zeros_like(chosen), batch.truth.pelvis.shape[1])


def in_heights(batch: TrainingBatch, rays: torch.Tensor, landmarks: torch.Tensor) -> torch.Tensor:
    """Errors in the image [B, T, 33, 2], person heights."""
    height = PERSON_M / Stance.of(landmarks).distance
    return (rays - project(landmarks)) / height[..., None, None]


def test_the_recorded_are_reported_as_they_were(recorded, body, rng, unvaried):
    lent = BorrowedErrors(recorded, body)
    assert len(lent) == 16
    found = lent.report(recorded.truth.landmarks(body), recorded.observations.step_s, rng)
    seen = recorded.observations.seen
    assert torch.equal(found.seen, seen)
    assert not seen.all()
    for name in OF_REPORTS:
        there, here = getattr(recorded.observations, name), getattr(found, name)
        torch.testing.assert_close(here[seen], there[seen], atol=1e-5, rtol=0)
        assert not here[~seen].any(), name
    for name in OF_TRUST:
        there, here = getattr(recorded.observations, name), getattr(found, name)
        torch.testing.assert_close(here[seen], there[seen], atol=2e-4, rtol=0)


def test_a_rolled_camera_sees_the_same_errors_rolled(recorded, body, rng, unvaried):
    turn = torch.linspace(-1.0, 1.0, 16)
    expected = rolled(recorded, turn)
    lent = BorrowedErrors(recorded, body)
    found = lent.report(expected.truth.landmarks(body), expected.observations.step_s, rng)
    seen = expected.observations.seen
    for name in OF_REPORTS:
        there, here = getattr(expected.observations, name), getattr(found, name)
        torch.testing.assert_close(here[seen], there[seen], atol=1e-4, rtol=0)


def test_the_most_alike_lend_theirs(recorded, body, rng, unvaried):
    """To people like themselves, who came nearer: the same errors, in person heights."""
    lent = BorrowedErrors(recorded, body)
    nearer = replace(recorded.truth, pelvis=recorded.truth.pelvis * 0.9)
    found = lent.report(nearer.landmarks(body), recorded.observations.step_s, rng)
    seen = recorded.observations.seen & (nearer.pelvis[..., 2] > 1)
    assert seen.float().mean() > 0.5
    errors = [
        in_heights(recorded, rays, people.landmarks(body))[seen]
        for rays, people in (
            (recorded.observations.rays, recorded.truth),
            (found.rays, nearer),
        )
    ]
    assert errors[0].norm(dim=-1).quantile(0.9) > 0.05
    # Not quite the same where a landmark was put on the other side's, which perspective moves otherwise.
    torch.testing.assert_close(*errors, atol=3e-3, rtol=0)
    assert torch.equal(
        found.visibility[seen].argmax(-1), recorded.observations.visibility[seen].argmax(-1)
    )


def test_sides_taken_wrongly_are_so_of_others(recorded, body, rng, unvaried):
    """Where all sides were exchanged, or those of the legs, others have theirs exchanged."""
    facing = Stance.of(recorded.truth.landmarks(body)).facing.abs().amin(1)
    people = only(recorded, facing.topk(3).indices.tolist())
    mirror, as_is = torch.tensor(LANDMARK_MIRROR), torch.arange(33)
    legs = as_is.clone()
    legs[LEGS] = mirror[LEGS]

    def reports(landmarks: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Without error but in the sides; the second person's near is taken for far."""
        stance, rays = Stance.of(landmarks), project(landmarks)
        upright = borrowed._turned(stance.relative, borrowed._upright(stance))
        told = as_told(upright, stance.facing, fitted_statistics())
        told[1, ..., 2] *= -1
        metric = borrowed._turned(told, borrowed._upright(stance).transpose(-1, -2))
        orders = list(enumerate((as_is, mirror, legs)))
        return (
            torch.stack([rays[k][:, order] for k, order in orders]),
            torch.stack([metric[k][:, order] for k, order in orders]),
        )

    rays, metric = reports(people.truth.landmarks(body))
    seen = torch.ones_like(people.observations.seen)
    observations = replace(people.observations, rays=rays, landmarks=metric, seen=seen)
    lent = BorrowedErrors(TrainingBatch(observations, people.truth), body)
    others = replace(people.truth, betas=-people.truth.betas, pelvis=people.truth.pelvis * 1.1)
    theirs = others.landmarks(body)
    assert (theirs - 1.1 * people.truth.landmarks(body)).norm(dim=-1).median() > 0.02
    found = lent.report(theirs, people.observations.step_s, rng)
    rays, metric = reports(theirs)
    torch.testing.assert_close(found.rays, rays, atol=1e-4, rtol=0)
    torch.testing.assert_close(found.landmarks, metric, atol=1e-3, rtol=0)


def test_what_is_lent_varies(recorded, body):
    """In size as a whole, and in what is trusted; who is not there has no certain rivals either."""
    lent = BorrowedErrors(only(recorded, [0]), body)
    landmarks = recorded.truth.landmarks(body)
    steps = recorded.observations.step_s
    rng = torch.Generator().manual_seed(1)
    first, second = (lent.report(landmarks, steps, rng) for _ in range(2))
    seen = first.seen
    errors = [in_heights(recorded, each.rays, landmarks)[seen] for each in (first, second)]
    ratio = errors[0].norm(dim=-1).sum(-1) / errors[1].norm(dim=-1).sum(-1)
    assert 0.1 < ratio.log().std() < 0.6
    of_lender = recorded.observations.rival_certainty[:1] > 0
    assert not of_lender.all()
    assert torch.equal(first.rival_certainty > 0, of_lender.expand_as(first.rival_certainty))
    assert not torch.allclose(first.certainty[seen], second.certainty[seen], atol=0.01)
    for name in OF_TRUST:
        values = getattr(first, name)
        assert values.min() >= 0, name
        assert values.max() <= 1, name


def test_who_came_too_near_lends_nothing(recorded, body):
    near = recorded.truth.pelvis.clone()
    near[3, 2, 2] = 0.4
    seen = recorded.observations.seen.clone()
    seen[3, 2] = True
    batch = TrainingBatch(
        replace(recorded.observations, seen=seen), replace(recorded.truth, pelvis=near)
    )
    assert len(BorrowedErrors(batch, body)) == 15


def test_those_at_the_same_distance_lend_theirs(recorded, body, rng, unvaried):
    """Of two who stand alike, though in build the other one is more alike; each is off by another amount."""
    both = only(recorded, [0, 0])
    pelvis = (
        both.truth.pelvis * torch.tensor([2.0, 6.0])[:, None, None] / both.truth.pelvis[..., 2:]
    )
    other_build = both.truth.betas[0].clone()
    other_build[0] += 1
    truth = replace(
        both.truth, pelvis=pelvis, betas=torch.stack([both.truth.betas[0], other_build])
    )
    landmarks = truth.landmarks(body)
    height = PERSON_M / Stance.of(landmarks).distance
    off = torch.tensor([0.01, 0.02])[:, None] * height
    seen = replace(
        both.observations,
        rays=project(landmarks) + off[..., None, None],
        seen=torch.ones_like(both.observations.seen),
    )
    lent = BorrowedErrors(TrainingBatch(seen, truth), body)
    others = replace(truth, pelvis=pelvis.flip(0) * torch.tensor([0.9, 1.2])[:, None, None])
    theirs = others.landmarks(body)
    found = lent.report(theirs, seen.step_s, rng)
    errors = in_heights(both, found.rays, theirs).mean((1, 2, 3))
    assert errors.tolist() == pytest.approx([0.02, 0.01], abs=1e-4)


def test_how_much_of_people_is_in_the_picture(tmp_path, body):
    motions = MotionLibrary([write_motion_shard(tmp_path / "made_up.npz")], "train")
    times = torch.arange(4).expand(3, 4) / 30
    simulator = Simulator(motions, body, 1)
    people = simulator.perform(simulator.motion(times), times)
    ahead = people.landmarks - people.landmarks.mean((1, 2), keepdim=True)
    ahead = ahead + torch.tensor([0.0, 0.0, 30.0])
    half_out, near = ahead.clone(), ahead.clone()
    half_out[:, ::2, :, 0] += 1e4
    near[:, 1, 5] = torch.tensor([0.0, 0.0, 0.2])
    people.landmarks = torch.stack([ahead[0], half_out[0], near[0]])
    assert borrowed.in_view(people).tolist() == [1.0, 0.5, -1.0]


def test_windows_are_of_the_simulators_people(tmp_path, body):
    """And the same for the same seed."""
    exact_recording(clips=4, frames=FRAMES).save(tmp_path / "recording.npz")
    lent = MeasuredClips([tmp_path / "recording.npz"], body).lent(FRAMES - 1)
    assert len(lent) == 8, "as recorded, and mirrored"
    motions = MotionLibrary([write_motion_shard(tmp_path / "made_up.npz")], "train")
    batches = [lent.sample(3, Simulator(motions, body, seed)) for seed in (5, 5, 6)]
    seen = batches[0].observations
    assert seen.rays.shape == (3, FRAMES - 1, 33, 2)
    torch.testing.assert_close(seen.step_s[:, 1:], torch.full((3, FRAMES - 2), 1 / 30))
    assert torch.equal(seen.rays, batches[1].observations.rays)
    # Of twice as many, those who are best in view.
    simulator = Simulator(motions, body, 5)
    times = torch.arange(FRAMES - 1).expand(6, -1) / 30
    people = simulator.perform(simulator.motion(times), times)
    best = borrowed.in_view(people).topk(3).indices
    torch.testing.assert_close(batches[0].truth.pelvis, people.truth.pelvis[best])
    assert not torch.equal(seen.rays, batches[2].observations.rays)
    # Reported almost without error, since the recorded were, but for where BlazePose puts landmarks.
    landmarks = batches[0].truth.landmarks(body)
    clear = landmarks[..., 2].amin(-1) > 1
    off = in_heights(batches[0], seen.rays, landmarks)[clear].norm(dim=-1)
    assert off.median() < 0.02
