"""Matching and scores on made-up people whose errors are known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from d3pose_core.body import load_body
from d3pose_core.cli.main import main
from d3pose_core.errors import InputError
from d3pose_core.evaluation.matching import MatchingRule
from d3pose_core.evaluation.metrics import acceleration_error_m_s2, position_errors_mm
from d3pose_core.evaluation.protocols import PROTOCOLS
from d3pose_core.evaluation.report import report_html
from d3pose_core.evaluation.scores import Evaluation, evaluate, summarize
from d3pose_core.evaluation.tracks import BodyParameters, Tracks, load_tracks
from d3pose_core.skeleton import JOINT_NAMES

FRAMES, RATE_HZ = 30, 25.0
SMPL24 = PROTOCOLS["smpl24"]


def person(track_id: int, x: float, frames: np.ndarray, **changes) -> dict[str, np.ndarray]:
    """Columns of one person who stands `x` m to the right and moves steadily away."""
    times = frames / RATE_HZ
    pose = np.random.default_rng(3).normal(0, 0.4, (24, 3))
    place = np.stack([np.full(len(frames), x), np.zeros(len(frames)), 4 + 0.5 * times], axis=1)
    joints = (pose + place[:, None]).astype(np.float32)
    return {
        "time": times,
        "track_id": np.full(len(frames), track_id, np.int64),
        "joints": joints,
        **changes,
    }


def tracks(*people: dict[str, np.ndarray], **changes) -> Tracks:
    columns = {
        name: np.concatenate([each[name] for each in people])
        for name in ("time", "track_id", "joints")
    }
    every = np.arange(FRAMES) / RATE_HZ
    return Tracks(**columns, **{"joint_names": JOINT_NAMES, "frame_times": every, **changes})


ALL = np.arange(FRAMES)


def test_a_shifted_person_has_a_root_error_only() -> None:
    reference = tracks(person(7, 0.0, ALL))
    e = evaluate(tracks(person(1, 0.1, ALL)), reference, SMPL24)
    assert e.root_error == pytest.approx(np.full(FRAMES, 100), rel=1e-4)
    assert e.mpjpe.max() < 1e-3
    assert e.pa_mpjpe.max() < 1e-3
    numbers = summarize(e)
    assert numbers["tracking"]["recall"] == numbers["tracking"]["precision"] == 1
    assert numbers["per_person"]["7"]["recovered_ids"] == [1]


def test_one_joint_off_is_told_by_joint() -> None:
    off = person(1, 0.0, ALL)
    off["joints"][:, 20, 1] += 0.24
    numbers = summarize(evaluate(tracks(off), tracks(person(7, 0.0, ALL)), SMPL24))
    assert numbers["metrics"]["mpjpe"] == pytest.approx(10, rel=1e-4)
    assert numbers["per_joint"]["left_wrist"]["mpjpe"] == pytest.approx(240, rel=1e-4)
    assert numbers["per_joint"]["right_wrist"]["mpjpe"] == pytest.approx(0, abs=1e-3)


def test_acceleration_in_both_units() -> None:
    shaken = person(1, 0.0, ALL)
    shaken["joints"][1::2, 1:, 1] += 0.01  # not the root: second differences of 20 mm everywhere
    numbers = summarize(evaluate(tracks(shaken), tracks(person(7, 0.0, ALL)), SMPL24))
    per_frame = 20 * 23 / 24
    assert numbers["metrics"]["accel"] == pytest.approx(per_frame, rel=1e-3)
    assert numbers["metrics"]["accel_si"] == pytest.approx(per_frame * 1e-3 * RATE_HZ**2, rel=1e-3)


def test_acceleration_at_unequal_steps() -> None:
    """A difference that grows as t^2 accelerates by 2, however it is sampled."""
    times = torch.tensor([0.0, 0.1, 0.25, 0.3, 0.6], dtype=torch.float64)
    truth = torch.zeros(5, 2, 3, dtype=torch.float64)
    predicted = truth.clone()
    predicted[..., 0] = times[:, None] ** 2
    assert acceleration_error_m_s2(predicted, truth, times).tolist() == pytest.approx([2] * 3)


def test_errors_of_each_point() -> None:
    predicted = torch.tensor([[[0.03, 0.04, 0.0], [0.0, 0.0, 0.0]]])
    assert position_errors_mm(predicted, torch.zeros(1, 2, 3)).tolist() == [[50.0, 0.0]]


def test_two_people_keep_apart_and_a_switch_is_counted() -> None:
    """From frame 20 on the recovered ids have changed places."""
    reference = tracks(person(7, -0.4, ALL), person(8, 0.4, ALL))
    first, later = ALL[:20], ALL[20:]
    recovered = tracks(
        *(person(1, -0.4, first), person(2, 0.4, first)),
        *(person(2, -0.4, later), person(1, 0.4, later)),
    )
    # A pair that still fits is kept: within 1 m the old pairs hold on, within 0.5 m they cannot.
    kept = evaluate(recovered, reference, SMPL24, MatchingRule(max_distance_m=1.0))
    assert len(kept.matching.switches) == 0
    assert kept.root_error[40:] == pytest.approx(np.full(20, 800), rel=1e-3)
    moved = evaluate(recovered, reference, SMPL24, MatchingRule(max_distance_m=0.5))
    switches = {(s.reference_id, s.old_id, s.new_id) for s in moved.matching.switches}
    assert switches == {(7, 1, 2), (8, 2, 1)}
    assert {s.time for s in moved.matching.switches} == {20 / RATE_HZ}
    assert moved.root_error.max() < 1e-3


def test_missed_and_extra_people_are_counted() -> None:
    reference = tracks(person(7, 0.0, ALL))
    recovered = tracks(person(1, 0.0, ALL[5:]), person(2, 3.0, ALL[:4]))
    tracking = summarize(evaluate(recovered, reference, SMPL24))["tracking"]
    assert (tracking["found"], tracking["missed"], tracking["extra"]) == (25, 5, 4)
    assert tracking["recall"] == pytest.approx(25 / 30, abs=1e-4)


def test_a_reference_at_another_rate_is_interpolated() -> None:
    """At 40 Hz a steady walk in a straight line is the same as at 25 Hz."""
    fast = person(7, 0.0, np.arange(0, FRAMES, 25 / 40))
    reference = tracks(fast, frame_times=np.unique(fast["time"]))
    e = evaluate(tracks(person(1, 0.0, ALL)), reference, SMPL24)
    assert len(e.time) >= FRAMES - 1
    assert e.root_error.max() < 0.01
    sparse = person(7, 0.0, np.arange(0, FRAMES, 10))
    reference = tracks(sparse, frame_times=np.unique(sparse["time"]))
    e = evaluate(tracks(person(1, 0.0, ALL)), reference, SMPL24)
    assert len(e.time) == 3, "samples 0.4 s apart say nothing about the time between"


def test_joints_that_only_one_has_are_left_out_and_named() -> None:
    limbs = PROTOCOLS["limbs12"].joints
    columns = [JOINT_NAMES.index(name) for name in limbs]
    full = person(7, 0.0, ALL)
    reference = tracks({**full, "joints": full["joints"][:, columns]}, joint_names=limbs)
    numbers = summarize(evaluate(tracks(person(1, 0.0, ALL)), reference, PROTOCOLS["limbs12"]))
    assert numbers["protocol"]["joints"] == list(limbs)
    with pytest.raises(InputError, match="smpl24 needs pelvis"):
        evaluate(tracks(person(1, 0.0, ALL)), reference, SMPL24)


def test_other_frames_and_other_times_are_refused() -> None:
    ours = tracks(person(1, 0.0, ALL), frame_id="camera")
    with pytest.raises(InputError, match="'camera', the reference in 'map'"):
        evaluate(ours, tracks(person(7, 0.0, ALL), frame_id="map"), SMPL24)
    later = person(7, 0.0, ALL)
    later["time"] = later["time"] + 100
    with pytest.raises(InputError, match=r"no time in common: recovered 0\.000 to 1\.160 s"):
        evaluate(ours, tracks(later, frame_times=later["time"]), SMPL24)


@pytest.mark.parametrize(
    "limits", [(0.0, 0.1), (np.inf, 0.1), (np.nan, 0.1), (1.0, -1.0), (1.0, np.inf)]
)
def test_limits_must_be_numbers(limits: tuple[float, float]) -> None:
    with pytest.raises(InputError, match="both finite"):
        MatchingRule(*limits)


@pytest.mark.parametrize("last", [10**12, -1])
def test_frames_that_no_recording_has_are_refused(tmp_path: Path, last: int) -> None:
    columns = person(1, 0.0, ALL)
    frame = np.arange(len(columns["time"]))
    frame[-1 if last > 0 else 0] = last
    np.savez(tmp_path / "people.npz", **columns, frame=frame)
    with pytest.raises(InputError, match="indices must be 0 to"):
        load_tracks(tmp_path / "people.npz")


def with_bodies(track_id: int, bend: float, body_model: str = "free-mid") -> Tracks:
    """Someone standing with one elbow bent, as a body and its joints."""
    body = load_body("free-low")
    orient = torch.tensor([[np.pi, 0.0, 0.0]]).expand(FRAMES, 3)
    pose = torch.zeros(FRAMES, 23, 3)
    pose[:, JOINT_NAMES.index("left_elbow") - 1, 1] = bend
    betas, transl = torch.zeros(FRAMES, 10), torch.tensor([[0.0, 0.3, 4.0]]).expand(FRAMES, 3)
    joints = body.joints(orient, pose, betas, transl).numpy()
    arrays = (value.numpy().astype(np.float32) for value in (orient, pose, betas, transl))
    parameters = BodyParameters(*arrays, body_model)
    return tracks(person(track_id, 0.0, ALL, joints=joints), parameters=parameters)


def test_vertices_need_bodies_that_correspond() -> None:
    same = evaluate(with_bodies(1, 0.5), with_bodies(7, 0.5, "free-full"), SMPL24)
    assert same.vertex_error is not None
    assert same.vertex_error.max() < 1e-2
    bent = evaluate(with_bodies(1, 0.9), with_bodies(7, 0.5), SMPL24)
    assert bent.vertex_error is not None
    assert 1 < bent.vertex_error.mean() < 50
    other = evaluate(with_bodies(1, 0.5), with_bodies(7, 0.5, "SMPL_NEUTRAL"), SMPL24)
    assert other.vertex_error is None
    assert "do not correspond" in other.no_vertices_because


@pytest.fixture(scope="module")
def page() -> tuple[Evaluation, str]:
    e = evaluate(with_bodies(1, 0.9), with_bodies(7, 0.5), SMPL24)
    return e, report_html(e, "<b>ours</b> & theirs")


def test_report_stands_alone_and_escapes(page: tuple[Evaluation, str]) -> None:
    _, html = page
    assert "&lt;b&gt;ours&lt;/b&gt; &amp; theirs" in html
    assert "<b>ours" not in html
    for outside in ("http://", "https://", "src=", "@import", "url("):
        assert outside not in html, f"{outside}: the page may load nothing"
    assert "@" not in html.partition("<script")[0].replace("@media", "").replace("@title", "@")


def test_report_shows_the_numbers(page: tuple[Evaluation, str]) -> None:
    e, html = page
    assert f"<b>{e.mpjpe.mean():.1f}</b><span>MPJPE, mm</span>" in html
    assert html.count('class="moment"') == 8
    assert html.count("left elbow") == 1


def test_npz_files_and_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reference, ours = person(7, 0.0, ALL), person(1, 0.1, ALL[4:])
    np.savez(tmp_path / "reference.npz", **reference, frame_id="camera")
    np.savez(tmp_path / "people.npz", **ours, frame=ALL[4:])
    arguments = ["--recovered", str(tmp_path / "people.npz")]
    arguments += ["--reference", str(tmp_path / "reference.npz"), "--out", str(tmp_path / "out")]
    assert main(["evaluate", "bag", *arguments]) == 0
    assert "position of the root  100.0 mm" in capsys.readouterr().out
    numbers = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert numbers["protocol"]["frames_evaluated"] == FRAMES, (
        "the first four are known from `frame`"
    )
    assert numbers["tracking"]["missed"] == 4
    assert numbers["pve_missing_because"] == "the recovered people come without SMPL parameters"
    assert main(["evaluate", "bag", *arguments, "--protocol", "other"]) == 2
    assert "no protocol 'other'; there are smpl24, limbs12" in capsys.readouterr().err


def test_npz_files_that_will_not_do(tmp_path: Path) -> None:
    path = tmp_path / "reference.npz"
    np.savez(path, time=np.zeros(2), track_id=np.zeros(2))
    with pytest.raises(InputError, match="lacks 'joints"):
        load_tracks(path)
    np.savez(path, time=np.zeros(2), track_id=np.arange(2), joints=np.zeros((2, 17, 3)))
    with pytest.raises(InputError, match="24 joint names, got"):
        load_tracks(path)
    np.savez(path, time=np.zeros(2), track_id=np.zeros(2), joints=np.zeros((2, 24, 3)))
    with pytest.raises(InputError, match="occurs twice at the same time"):
        load_tracks(path)
    path.write_text("no numbers")
    with pytest.raises(InputError, match=r"not an \.npz file"):
        load_tracks(path)


def confident(joints_right: float, said: float) -> Tracks:
    """A person of whose joints a share is right, the others 200 mm off; all said to be so with `said`."""
    columns = person(1, 0.0, ALL)
    every = FRAMES * 23  # the pelvis is where it belongs
    wrong = np.random.default_rng(0).permutation(
        np.arange(every) < round((1 - joints_right) * every)
    )
    columns["joints"][:, 1:, 0] += 0.2 * wrong.reshape(FRAMES, 23)
    return tracks(columns, joint_confidence=np.full((FRAMES, 24), said, np.float32))


@pytest.mark.parametrize(("right", "said", "error"), [(0.7, 0.7, 0.0), (0.4, 0.9, 0.5)])
def test_reliability_is_what_was_found_against_what_was_said(right, said, error) -> None:
    reference = tracks(person(7, 0.0, ALL))
    e = evaluate(confident(right, said), reference, SMPL24)
    confidence = summarize(e)["confidence"]
    (row,) = confidence["bins"]
    assert row["joints"] == FRAMES * 23  # the pelvis is right by alignment
    assert row["said"] == pytest.approx(said, abs=1e-3)
    assert row["found"] == pytest.approx(right, abs=1e-3)
    assert confidence["expected_calibration_error"] == pytest.approx(error, abs=1e-3)
    page = report_html(e, "x")
    assert "Do the confidences mean what they say?" in page
    assert f"said {100 * said:.0f} %, found {100 * right:.0f} %" in page


def test_without_confidences_there_is_no_reliability() -> None:
    e = evaluate(tracks(person(1, 0.0, ALL)), tracks(person(7, 0.0, ALL)), SMPL24)
    assert summarize(e)["confidence"] is None
    assert "confidences mean" not in report_html(e, "x")


def test_confidences_of_files_are_read_and_checked(tmp_path: Path) -> None:
    columns = person(1, 0.0, ALL)
    confidence = np.random.default_rng(0).uniform(size=(FRAMES, 24))
    np.savez(tmp_path / "a.npz", **columns, joint_confidence=confidence)
    loaded = load_tracks(tmp_path / "a.npz").joint_confidence
    assert loaded is not None
    np.testing.assert_allclose(loaded, confidence, atol=1e-6)
    np.savez(tmp_path / "b.npz", **columns, joint_confidence=confidence[:, :20])
    with pytest.raises(InputError, match=r"joint_confidence must have shape \[30, 24\]"):
        load_tracks(tmp_path / "b.npz")


def test_people_and_tracks_are_called_as_one_asks() -> None:
    e = evaluate(tracks(person(100_003, 0.0, ALL)), tracks(person(7, 0.0, ALL)), SMPL24)
    page = report_html(
        e, "x", lambda pair: f"<i>picture {pair}</i>", {7: "the <tall> one"}, lambda i: i % 10
    )
    assert "the &lt;tall&gt; one" in page
    assert "person 7" not in page
    assert "<td>3</td>" in page
    assert page.count("<i>picture") > 0
