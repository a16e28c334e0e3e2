"""Datasets scored by their protocols, the free body standing in for SMPL; numbers against plain numpy."""

import base64
import json
import pickle

import cv2
import numpy as np
import pytest
import torch
from scipy.linalg import orthogonal_procrustes
from scipy.spatial import procrustes
from scipy.spatial.transform import Rotation

from d3pose_core.body import load_body
from d3pose_core.camera import Intrinsics
from d3pose_core.cli import evaluate_dataset as evaluate_dataset_command
from d3pose_core.cli.main import main
from d3pose_core.data.datasets import open_dataset
from d3pose_core.errors import InputError
from d3pose_core.evaluation import clip_pictures
from d3pose_core.evaluation.body_points import load_regressor
from d3pose_core.evaluation.clip_pictures import HEIGHT
from d3pose_core.evaluation.dataset_evaluation import counted_frames, evaluate_dataset
from d3pose_core.evaluation.dataset_protocols import DATASET_PROTOCOLS, H36M_TO_LSP14
from d3pose_core.evaluation.dataset_report import save_dataset_results
from d3pose_core.recording import PeopleTable
from d3pose_core.skeleton import JOINT_PARENTS
from test.helpers import dataset_fixtures as fixtures
from test.helpers.smpl_reference import reference_forward

FREE_BODY = load_body("free-low")
REGRESSOR = np.random.default_rng(0).dirichlet(np.full(FREE_BODY.num_vertices, 0.02), 17)
REGRESSOR = REGRESSOR.astype(np.float32)
CAMERA = Intrinsics(1000.0, 1000.0, 500.0, 500.0, 1001, 1001)


def bodies(gender: str):
    return FREE_BODY


def camera_pose(truth: fixtures.Truth) -> tuple[np.ndarray, np.ndarray]:
    """The true pose [F, 24, 3] and transl [F, 3] in the camera, by scipy."""
    pose = truth.pose.copy()
    for f, e in enumerate(truth.extrinsics):
        pose[f, 0] = (
            Rotation.from_matrix(e[:3, :3]) * Rotation.from_rotvec(pose[f, 0])
        ).as_rotvec()
    rest = truth.world_joints[:, 0] - truth.transl
    return pose, truth.joints[:, 0] - rest


def answer(people: list[fixtures.Truth], seed: int = 0, error: float = 0.05) -> PeopleTable:
    """A system that errs a little in everything; ids 7, 8, ..., one row a person and frame."""
    rng = np.random.default_rng(seed)
    rows: dict[str, list] = {}
    for number, truth in enumerate(people):
        pose, transl = camera_pose(truth)
        pose = pose + rng.normal(0, error, pose.shape)
        transl = transl + rng.normal(0, error, transl.shape)
        betas = truth.betas + rng.normal(0, 5 * error, 10)
        for frame in range(len(pose)):
            row = {
                "frame": frame,
                "time": frame / 30,
                "track_id": 7 + number,
                "global_orient": pose[frame, 0],
                "body_pose": pose[frame, 1:],
                "betas": betas,
                "transl": transl[frame],
                "joints_2d": np.zeros((24, 2)),
                "joint_confidence": np.ones(24),
                "confidence": 1.0,
            }
            for name, value in row.items():
                rows.setdefault(name, []).append(value)
    columns = {
        name: np.array(values, dtype=np.float32)
        for name, values in rows.items()
        if name not in ("frame", "track_id", "time")
    }
    parameters = (columns[name] for name in ("global_orient", "body_pose", "betas", "transl"))
    columns["joints"] = FREE_BODY.joints(*map(torch.from_numpy, parameters)).numpy()
    return PeopleTable(
        frame=np.array(rows["frame"]),
        time=np.array(rows["time"]),
        track_id=np.array(rows["track_id"]),
        intrinsics=CAMERA,
        **columns,
    )


def forward(table: PeopleTable, row: int) -> tuple[np.ndarray, np.ndarray]:
    pose = np.concatenate([table.global_orient[row][None], table.body_pose[row]])
    return reference_forward(fixtures.BODY, pose, table.betas[row], table.transl[row])


def pa_errors(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    a, b, _ = procrustes(truth, predicted)
    return 1000 * np.linalg.norm(a - b, axis=1) * np.linalg.norm(truth - truth.mean(0))


def expected_3dpw(people, table, counted, regressor, roots, canonical):
    """MPJPE, PA-MPJPE and PVE, mm, one pair after the other."""
    out = []
    for row in range(len(table)):
        person, frame = int(table.track_id[row] - 7), int(table.frame[row])
        if not counted[person][frame]:
            continue
        truth = people[person]
        vertices, joints = forward(table, row)
        true_vertices, true_joints = truth.vertices[frame], truth.joints[frame]
        if regressor is not None:
            joints, true_joints = (
                regressor[list(H36M_TO_LSP14)] @ v for v in (vertices, true_vertices)
            )
        p, t = (j - j[roots].mean(0) for j in (joints, true_joints))
        if canonical:
            shift, true_shift = table.transl[row], camera_pose(truth)[1][frame]
        else:
            shift, true_shift = joints[roots].mean(0), true_joints[roots].mean(0)
        pve = np.linalg.norm((vertices - shift) - (true_vertices - true_shift), axis=1)
        out.append(
            (1000 * np.linalg.norm(p - t, axis=1).mean(), pa_errors(p, t).mean(), 1000 * pve.mean())
        )
    return np.mean(out, axis=0), len(out)


@pytest.mark.parametrize("name", ["3dpw-official", "3dpw-vibe", "3dpw-wham"])
def test_3dpw_by_each_of_its_protocols(tmp_path, name):
    people = fixtures.write_3dpw(tmp_path)
    for split in ("train", "validation"):
        (tmp_path / "sequenceFiles" / split).mkdir()
    table = answer(people)
    protocol = DATASET_PROTOCOLS[name]
    dataset = open_dataset("3dpw", tmp_path, protocol.split, bodies)
    regressor = None if name == "3dpw-official" else REGRESSOR
    result = evaluate_dataset(dataset, protocol, lambda s: table, FREE_BODY, bodies, regressor)
    # Person 0 has no 2D joints in frame 1, which WHAM's protocol does not mind; person 1 no camera in 3.
    counted = np.ones((2, 5), bool)
    counted[1, 3] = False
    counted[0, 1] = name == "3dpw-wham"
    roots = [0] if regressor is None else [2, 3]
    expected, pairs = expected_3dpw(
        people, table, counted, regressor, roots, canonical=name == "3dpw-vibe"
    )
    metrics, block = result.numbers["metrics"], result.numbers["protocol"]
    assert block["pairs_evaluated"] == pairs
    assert metrics["mpjpe"] == pytest.approx(expected[0], abs=0.02)
    assert metrics["pa_mpjpe"] == pytest.approx(expected[1], abs=0.02)
    if name == "3dpw-official":
        assert "pve" not in metrics
        assert 0 < metrics["mpjae"] < 60
        assert 0 < metrics["pck"] <= 100
    else:
        assert metrics["pve"] == pytest.approx(expected[2], abs=0.02)
        assert metrics["pa_pve"] < metrics["pve"]
    assert result.numbers["tracking"]["recall"] == 1


def test_a_perfect_answer_scores_zero_and_a_turned_one_the_angle(tmp_path):
    people = fixtures.write_3dpw(tmp_path)
    for split in ("train", "validation"):
        (tmp_path / "sequenceFiles" / split).mkdir()
    protocol = DATASET_PROTOCOLS["3dpw-official"]
    dataset = open_dataset("3dpw", tmp_path, "all", bodies)
    table = answer(people, error=0.0)
    numbers = evaluate_dataset(dataset, protocol, lambda s: table, FREE_BODY, bodies).numbers
    assert numbers["metrics"]["mpjpe"] < 0.02
    assert numbers["metrics"]["mpjae"] < 0.01
    assert numbers["metrics"]["pck"] == 100
    turn = Rotation.from_euler("y", 20, degrees=True)
    turned = (turn * Rotation.from_rotvec(table.global_orient)).as_rotvec().astype(np.float32)
    object.__setattr__(table, "global_orient", turned)
    metrics = evaluate_dataset(dataset, protocol, lambda s: table, FREE_BODY, bodies).numbers
    assert metrics["metrics"]["mpjae"] == pytest.approx(20, abs=0.01)
    assert metrics["metrics"]["pa_mpjae"] < 0.1  # Procrustes undoes the turn
    assert metrics["metrics"]["pa_mpjpe"] < 0.1


def test_human36m_protocol_2_compares_with_the_datasets_own_joints(tmp_path):
    truth = fixtures.write_human36m(tmp_path)
    table = answer([truth])
    protocol = DATASET_PROTOCOLS["human36m-p2"]
    dataset = open_dataset("human36m", tmp_path, "test")
    result = evaluate_dataset(dataset, protocol, lambda s: table, FREE_BODY, None, REGRESSOR)
    rows = (4, 5, 6, 1, 2, 3, 8, 10, 11, 12, 13, 14, 15, 16)  # the regressor's legs are swapped
    predicted = REGRESSOR[list(rows)] @ forward(table, 0)[0]
    reference = truth.joints[0, [1, 2, 3, 4, 5, 6, 8, 10, 11, 12, 13, 14, 15, 16]]
    numbers = result.numbers
    assert numbers["protocol"]["pairs_evaluated"] == 1  # every 64th frame of 5
    expected = pa_errors(predicted, reference).mean()
    assert numbers["metrics"]["pa_mpjpe"] == pytest.approx(expected, abs=0.02)
    assert list(numbers["per_action"]) == ["Directions"]


def test_human36m_counts_every_64th_frame_by_its_number(tmp_path):
    fixtures.write_human36m(tmp_path)
    path = tmp_path / "annotations" / "Human36M_subject9_data.json"
    data = json.loads(path.read_text())
    joints_path = path.with_name("Human36M_subject9_joint_3d.json")
    joints = json.loads(joints_path.read_text())["2"]["1"]
    for image in data["images"]:  # a file that begins at frame 62
        image["frame_idx"] += 62
    path.write_text(json.dumps(data))
    shifted = {"2": {"1": {str(int(f) + 62): j for f, j in joints.items()}}}
    joints_path.write_text(json.dumps(shifted))
    (sequence,) = open_dataset("human36m", tmp_path, "test")
    protocol = DATASET_PROTOCOLS["human36m-p2"]
    counted = counted_frames(protocol, sequence, sequence.people[0])
    np.testing.assert_array_equal(counted, [0, 0, 1, 0, 0])


def emdb_with_all_frames(root, name: str) -> fixtures.Truth:
    """The fixture with every frame good, in the list that is asked for."""
    truth = fixtures.write_emdb(root)
    path = next(root.rglob("*.pkl"))
    content = pickle.loads(path.read_bytes()) | {"emdb1": False, "emdb2": False, name: True}
    fixtures.write_pickle(path, content | {"good_frames_mask": np.ones(5, bool)})
    return truth


def test_emdb_1_is_scored_as_its_makers_do(tmp_path, monkeypatch):
    monkeypatch.setattr("d3pose_core.evaluation.extra_scores._LEAST_RUN", 2)
    truth = emdb_with_all_frames(tmp_path, "emdb1")
    protocol = DATASET_PROTOCOLS["emdb-1"]
    dataset = open_dataset("emdb", tmp_path, "emdb1", bodies)
    table = answer([truth])
    metrics = evaluate_dataset(dataset, protocol, lambda s: table, FREE_BODY, bodies).numbers
    metrics = metrics["metrics"]

    pve, mpjae, joints = [], [], []
    for frame in range(5):
        p_vertices, p_joints = forward(table, frame)
        t_vertices, t_joints = truth.vertices[frame], truth.joints[frame]
        joints.append(p_joints)
        # scipy's Procrustes gives the transform of the joints; it is applied to the vertices.
        turn, scale = orthogonal_procrustes(*(j - j.mean(0) for j in (p_joints, t_joints)))
        scale /= np.square(p_joints - p_joints.mean(0)).sum()
        moved = scale * (p_vertices - p_joints.mean(0)) @ turn + t_joints.mean(0)
        pve.append(1000 * np.linalg.norm(moved - t_vertices, axis=1).mean())
        true_pose = camera_pose(truth)[0][frame]
        pose = np.concatenate([table.global_orient[frame][None], table.body_pose[frame]])
        ours, theirs = chain(pose), chain(true_pose)
        mpjae.append(
            np.mean(
                [(ours[j].inv() * theirs[j]).magnitude() for j in (0, 1, 2, 4, 5, 16, 17, 18, 19)]
            )
        )
    assert metrics["pa_pve"] == pytest.approx(np.mean(pve), abs=0.02)
    assert metrics["mpjae"] == pytest.approx(np.degrees(np.mean(mpjae)), abs=0.01)
    still = np.array(joints)
    still[:, [0, 7, 8, 10, 11, 20, 21, 22, 23]] = 0
    jerk = np.linalg.norm(np.diff(still, 3, axis=0) * 30**3, axis=-1).mean() / 10
    assert metrics["jitter"] == pytest.approx(jerk, rel=1e-3)


def chain(pose: np.ndarray) -> list[Rotation]:
    """Global rotations of SMPL's joints, by scipy."""
    out: list[Rotation] = []
    for joint, parent in enumerate(JOINT_PARENTS):
        local = Rotation.from_rotvec(pose[joint])
        out.append(local if parent < 0 else out[parent] * local)
    return out


def test_emdb_2_feet_are_smpls_vertices_where_both_bodies_have_them(tmp_path, monkeypatch):
    monkeypatch.setattr("d3pose_core.evaluation.extra_scores._LEAST_RUN", 2)
    truth = emdb_with_all_frames(tmp_path, "emdb2")
    # The truth stands in the world, the answer slides by 3 mm a frame in it.
    for name in ("pose", "transl", "world_vertices", "world_joints"):
        getattr(truth, name)[:] = getattr(truth, name)[0]
    path = next(tmp_path.rglob("*.pkl"))
    content = pickle.loads(path.read_bytes())
    content["smpl"] |= {
        "poses_root": truth.pose[:, 0],
        "poses_body": truth.pose[:, 1:].reshape(5, 69),
        "trans": truth.transl,
    }
    fixtures.write_pickle(path, content)
    table = answer([truth], error=0.0)
    slide = (
        np.einsum("fij,j->fi", truth.extrinsics[:, :3, :3], [0.003, 0, 0]) * np.arange(5)[:, None]
    )
    object.__setattr__(table, "transl", (table.transl + slide).astype(np.float32))
    dataset = open_dataset("emdb", tmp_path, "emdb2", bodies)

    def score():
        protocol = DATASET_PROTOCOLS["emdb-2"]
        return evaluate_dataset(dataset, protocol, lambda s: table, FREE_BODY, bodies).numbers

    numbers = score()
    assert numbers["metrics"]["foot_sliding"] == pytest.approx(3, abs=0.02)
    assert "joints" in numbers["protocol"]["feet"]
    monkeypatch.setattr("d3pose_core.evaluation.extra_scores.SMPL_VERTICES", FREE_BODY.num_vertices)
    monkeypatch.setattr("d3pose_core.evaluation.extra_scores.FOOT_VERTICES", (3, 400))
    numbers = score()
    assert numbers["metrics"]["foot_sliding"] == pytest.approx(3, abs=0.02)
    assert "vertices 3, 400" in numbers["protocol"]["feet"]


def test_emdb_2_is_scored_in_the_world(tmp_path, monkeypatch):
    monkeypatch.setattr("d3pose_core.evaluation.extra_scores._LEAST_RUN", 2)
    truth = emdb_with_all_frames(tmp_path, "emdb2")
    protocol = DATASET_PROTOCOLS["emdb-2"]
    dataset = open_dataset("emdb", tmp_path, "emdb2", bodies)
    table = answer([truth], error=0.0)
    metrics = evaluate_dataset(dataset, protocol, lambda s: table, FREE_BODY, bodies).numbers
    assert metrics["metrics"]["wa_mpjpe"] < 0.1
    assert metrics["metrics"]["w_mpjpe"] < 0.1
    # The camera moves: what stands still in its frame moves in the world.
    frozen = table.transl.copy()
    frozen[:] = frozen[0]
    object.__setattr__(table, "transl", frozen)
    metrics = evaluate_dataset(dataset, protocol, lambda s: table, FREE_BODY, bodies).numbers
    assert metrics["metrics"]["w_mpjpe"] > 20


def test_metrics_json_and_report_have_the_protocol_and_published_results_beside_the_numbers(
    tmp_path,
):
    people = fixtures.write_3dpw(tmp_path / "3DPW")
    answer(people).save(tmp_path / "recovered" / "downtown_x_00.npz")
    np.save(tmp_path / "J_regressor_h36m.npy", REGRESSOR)
    argv = ["evaluate", "3dpw", "--protocol", "3dpw-vibe", "--smpl", "free-low"]
    argv += ["--root", str(tmp_path / "3DPW"), "--recovered", str(tmp_path / "recovered")]
    argv += ["--regressor", str(tmp_path / "J_regressor_h36m.npy"), "--out", str(tmp_path / "out")]
    assert main(argv) == 0
    numbers = json.loads((tmp_path / "out" / "metrics.json").read_text())
    protocol = numbers["protocol"]
    for entry in ("joint_set", "regressor", "alignment", "units", "gt_body", "frames", "fps"):
        assert protocol[entry]
    assert protocol["frames_evaluated"] == 5
    published = {(p["system"], p["metrics"]["pa_mpjpe"]) for p in numbers["published"]}
    assert {("VIBE", 56.5), ("MEVA", 54.7), ("TCMR", 52.7), ("MPS-Net", 52.1)} <= published
    assert all(p["source"] and p["year"] for p in numbers["published"])
    page = (tmp_path / "out" / "report.html").read_text()
    assert "VIBE" in page
    assert 'class="tiles"' not in page
    assert page.count("What these numbers mean") == 0
    assert page.count("<section") == page.count("</section>")
    assert "neutral SMPL (free-low)" in page
    assert protocol["recovered_joints"].startswith("the regressor")
    assert f"{numbers['metrics']['mpjpe']:.1f}" in page
    assert "http://" not in page.replace("http://www.w3.org", "")


def test_people_of_another_body_are_not_scored_as_ours(tmp_path, capsys):
    people = fixtures.write_3dpw(tmp_path / "3DPW")
    table = answer(people)
    object.__setattr__(table, "betas", table.betas + 2)  # as another model's shapes would be
    table.save(tmp_path / "recovered" / "downtown_x_00.npz")
    np.save(tmp_path / "J_regressor_h36m.npy", REGRESSOR)
    argv = ["evaluate", "3dpw", "--protocol", "3dpw-vibe", "--smpl", "free-low"]
    argv += ["--root", str(tmp_path / "3DPW"), "--recovered", str(tmp_path / "recovered")]
    argv += ["--regressor", str(tmp_path / "J_regressor_h36m.npy"), "--out", str(tmp_path / "out")]
    assert main(argv) == 2
    assert "give the body that they belong to by --body" in capsys.readouterr().err
    assert main([*argv, "--max-people", "2"]) == 2
    assert "--max-people changes nothing with --recovered" in capsys.readouterr().err


def test_joints_behind_the_camera_are_left_out_of_pictures():
    camera = Intrinsics(600, 600, 320, 240, 640, 480)
    points = np.array([[100.0, 100.0], [np.nan, np.nan], [200.0, 300.0]])
    window = clip_pictures._window([points], camera)
    assert window == clip_pictures._window([points[[0, 2]]], camera)
    assert clip_pictures._window([points[[1]]], camera) == (0, 0, 640, 480)


def test_what_a_protocol_needs_is_named(tmp_path, capsys):
    fixtures.write_3dpw(tmp_path)
    with pytest.raises(InputError, match="--regressor"):
        load_regressor(None, DATASET_PROTOCOLS["3dpw-vibe"])
    assert main(["evaluate", "3dpw", "--root", str(tmp_path)]) == 2
    assert "3dpw-official, 3dpw-vibe, 3dpw-wham" in capsys.readouterr().err
    dataset = open_dataset("3dpw", tmp_path, "test")
    with pytest.raises(InputError, match="--smpl"):
        evaluate_dataset(
            dataset, DATASET_PROTOCOLS["3dpw-wham"], lambda s: None, FREE_BODY, None, REGRESSOR
        )


def test_the_free_body_says_that_its_vertices_and_regressor_are_its_own(tmp_path):
    people = fixtures.write_3dpw(tmp_path)
    table = answer(people)
    mid = load_body("free-mid")
    protocol = DATASET_PROTOCOLS["3dpw-wham"]
    dataset = open_dataset("3dpw", tmp_path, "test", bodies)
    result = evaluate_dataset(dataset, protocol, lambda s: table, mid, bodies, REGRESSOR)
    assert result.numbers["metrics"]["pve"] is None
    assert "do not correspond" in result.numbers["metrics_missing_because"]
    assert "not the official regressor" in result.numbers["protocol"]["recovered_joints"]
    assert "do not correspond" in save_dataset_results(result, tmp_path / "out", "weights")


def test_the_report_shows_the_images_with_both_skeletons(tmp_path):
    truth = emdb_with_all_frames(tmp_path, "emdb1")
    folder = next(tmp_path.rglob("*_data.pkl")).parent / "images"
    folder.mkdir()
    for frame in range(5):
        image = np.full((1920, 1440, 3), [40 * frame, 0, 30], np.uint8)
        image[..., 1] = np.arange(1440) * 255 // 1440  # says which part is shown
        cv2.imwrite(str(folder / f"{frame:05d}.jpg"), image)
    protocol = DATASET_PROTOCOLS["emdb-1"]
    table = answer([truth], error=0.0)
    dataset = open_dataset("emdb", tmp_path, "emdb1", bodies)
    result = evaluate_dataset(dataset, protocol, lambda s: table, FREE_BODY, bodies)
    text = result.pictures(2)
    picture = cv2.imdecode(
        np.frombuffer(base64.b64decode(text.split("base64,")[1].rstrip('">')), np.uint8),
        cv2.IMREAD_COLOR,
    )
    assert len(picture) == HEIGHT
    # Five frames at 30 fps: a third of a second before and after there is nothing, so one picture.
    assert abs(int(np.median(picture[:, :5, 0])) - 80) < 4  # of frame 2
    # The recovered skeleton lies over the true one, blue.
    blue = (picture[..., 0].astype(int) > 180) & (picture[..., 2] < 110)
    assert blue.sum() > 200
    # Where it is drawn: about the middle of both knees, by the pinhole formula.
    joints = truth.joints[2]
    pixels = 1436.4 * joints[:, :2] / joints[:, 2:] + [723.3, 964.0]
    room = 0.25 * np.ptp(pixels, axis=0).max()
    low = np.clip(pixels.min(0) - room, 0, [1440, 1920]).astype(int)
    high = np.clip(pixels.max(0) + room, 0, [1440, 1920]).astype(int)
    assert abs(int(np.median(picture[:, :3, 1])) - low[0] * 255 // 1440) < 6
    for knee in (4, 5):
        x, y = np.round((pixels[knee] - low) * HEIGHT / (high - low)[1]).astype(int)
        assert blue[y - 2 : y + 3, x - 2 : x + 3].any(), (x, y)
    outside = np.ones(blue.shape, bool)
    drawn = np.round((pixels - low) * HEIGHT / (high - low)[1]).astype(int)
    outside[
        drawn[:, 1].min() - 4 : drawn[:, 1].max() + 5, drawn[:, 0].min() - 4 : drawn[:, 0].max() + 5
    ] = False
    assert not blue[outside].any()
    save_dataset_results(result, tmp_path / "out", "weights")
    page = (tmp_path / "out" / "report.html").read_text()
    assert page.count("data:image/jpeg;base64,") > 0
    assert "on EMDB, protocol emdb-1" in page
    assert "Do the confidences mean what they say?" in page
    assert "100000" not in page.split("<script")[0].split("Person by person")[1]
    (folder / "00002.jpg").unlink()
    assert result.pictures(2) == ""


def test_regressed_joints_have_no_confidences(tmp_path):
    people = fixtures.write_3dpw(tmp_path)
    protocol = DATASET_PROTOCOLS["3dpw-wham"]
    dataset = open_dataset("3dpw", tmp_path, "test", bodies)
    table = answer(people)
    result = evaluate_dataset(dataset, protocol, lambda s: table, FREE_BODY, bodies, REGRESSOR)
    assert result.numbers["confidence"] is None
    assert result.people == {0: "downtown_x_00, 0", 1: "downtown_x_00, 1"}


def test_an_interrupted_evaluation_goes_on(tmp_path, monkeypatch):
    """By the command: the same numbers, and no sequence recovered twice."""
    people = fixtures.write_3dpw(tmp_path / "3DPW", sequence="a")
    fixtures.write_3dpw(tmp_path / "3DPW", sequence="b")
    table, asked = answer(people), []

    def recover(sequence):
        asked.append(sequence.name)
        if asked == ["a", "b"]:
            raise KeyboardInterrupt
        return table

    monkeypatch.setattr(evaluate_dataset_command, "_recover", lambda args, progress: recover)
    np.save(tmp_path / "J_regressor_h36m.npy", REGRESSOR)
    argv = ["evaluate", "3dpw", "--protocol", "3dpw-vibe", "--smpl", "free-low"]
    argv += ["--regressor", str(tmp_path / "J_regressor_h36m.npy")]
    argv += ["--root", str(tmp_path / "3DPW"), "--out"]
    assert main([*argv, str(tmp_path / "out")]) == 130
    assert main([*argv, str(tmp_path / "out"), "--resume"]) == 0
    assert asked == ["a", "b", "b"]
    assert main([*argv, str(tmp_path / "whole")]) == 0
    first, second = (tmp_path / out / "metrics.json" for out in ("out", "whole"))
    assert first.read_text() == second.read_text()
    assert {path.name for path in first.parent.iterdir()} == {"metrics.json", "report.html"}
