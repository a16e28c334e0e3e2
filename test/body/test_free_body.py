"""The free bodies that ship: sound as meshes, and standing as the conventions say."""

import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree

import d3pose_core.body
from d3pose_core.body import FREE_BODIES, load_body
from d3pose_core.body.arrays import (
    MARKER_NAMES,
    BodyArrays,
    read_compact,
    write_compact,
)
from d3pose_core.body.load import free_body_arrays, keypoint_matrix
from d3pose_core.errors import InputError
from d3pose_core.skeleton import (
    JOINT_MIRROR,
    JOINT_NAMES,
    LANDMARK_MIRROR,
    LANDMARK_NAMES,
)

ASSETS = Path(d3pose_core.body.__file__).parent / "assets"
MIRROR = np.array([-1, 1, 1])


@pytest.fixture(scope="module", params=FREE_BODIES)
def arrays(request) -> BodyArrays:
    return free_body_arrays(request.param)


def rest_joints(arrays: BodyArrays) -> np.ndarray:
    return arrays.joint_regressor @ arrays.v_template


def test_resolutions():
    counts = [len(free_body_arrays(name).v_template) for name in FREE_BODIES]
    np.testing.assert_allclose(counts, [12500, 7200, 1500], rtol=0.01)
    # Regressors made for SMPL must not fit by accident.
    assert 6890 not in counts
    assert 10475 not in counts


def test_weights_and_regressor_are_partitions_of_unity(arrays):
    for rows in (arrays.weights, arrays.joint_regressor):
        assert rows.min() >= 0
        np.testing.assert_allclose(rows.sum(1), 1, atol=1e-5)
    assert np.isfinite(arrays.posedirs).all()
    assert np.isfinite(arrays.shapedirs).all()


def test_faces_are_a_clean_surface(arrays):
    # Each edge is walked at most once in each direction: no face is turned or doubled.
    edges = np.concatenate(
        [arrays.faces[:, [0, 1]], arrays.faces[:, [1, 2]], arrays.faces[:, [2, 0]]]
    )
    assert max(Counter(map(tuple, edges.tolist())).values()) == 1
    assert len(np.unique(arrays.faces)) == len(arrays.v_template)  # every vertex is used
    a, b, c = arrays.v_template[arrays.faces].transpose(1, 0, 2).astype(np.float64)
    litres = 1000 * (np.cross(a, b) * c).sum() / 6
    assert 50 < litres < 90  # positive: faces look outwards


def test_is_symmetric(arrays):
    joints = rest_joints(arrays)
    np.testing.assert_allclose(joints[list(JOINT_MIRROR)] * MIRROR, joints, atol=2e-4)
    # Decimation tolerates a few vertices without a twin.
    distance, twin = cKDTree(arrays.v_template).query(arrays.v_template * MIRROR)
    paired = distance < 1e-4
    assert paired.mean() > 0.98
    mirrored_weights = arrays.weights[twin][:, list(JOINT_MIRROR)]
    np.testing.assert_allclose(mirrored_weights[paired], arrays.weights[paired], atol=1e-4)
    mirrored_shape = arrays.shapedirs[twin] * MIRROR[:, None]
    np.testing.assert_allclose(mirrored_shape[paired], arrays.shapedirs[paired], atol=1e-4)


def test_rest_pose_is_a_t_with_left_on_x_facing_z(arrays):
    joint = dict(zip(JOINT_NAMES, rest_joints(arrays), strict=True))
    marker = dict(zip(MARKER_NAMES, arrays.v_template[arrays.marker_vertices], strict=True))
    upwards = ["left_ankle", "left_knee", "left_hip", "pelvis", "spine1", "spine2", "spine3"]
    upwards += ["neck", "head"]
    heights = [joint[name][1] for name in upwards]
    assert heights == sorted(heights)
    outwards = ["left_collar", "left_shoulder", "left_elbow", "left_wrist", "left_hand"]
    reach = [joint[name] for name in outwards]
    assert [x for x, _, _ in reach] == sorted(x for x, _, _ in reach)
    assert np.ptp([y for _, y, _ in reach[1:]]) < 0.1
    assert marker["left_middle"][0] > joint["left_hand"][0] > 0 > joint["right_hand"][0]
    assert marker["nose"][2] > joint["head"][2]
    for side in ("left", "right"):
        assert marker[f"{side}_big_toe"][2] > joint[f"{side}_ankle"][2] > marker[f"{side}_heel"][2]
    stature = np.ptp(arrays.v_template[:, 1])
    assert 1.6 < stature < 1.8


def test_first_beta_is_tall(arrays):
    def stature(beta0: float) -> float:
        return np.ptp((arrays.v_template + beta0 * arrays.shapedirs[..., 0])[:, 1])

    assert 0.05 < stature(1) - stature(0) < 0.12
    assert stature(-2) < stature(0) < stature(2)


def test_resolutions_are_one_body():
    people = [torch.zeros(2, 3), torch.zeros(2, 23, 3), torch.zeros(2, 10), torch.zeros(2, 3)]
    people[1][1] = 0.2
    people[2][1] = 1.0
    full, mid, low = (load_body(name).landmarks(*people) for name in FREE_BODIES)
    assert (full - mid).norm(dim=-1).max() < 0.002
    assert (full - low).norm(dim=-1).max() < 0.004


def test_landmarks_lie_where_their_names_say():
    people = torch.zeros(1, 3), torch.zeros(1, 23, 3), torch.zeros(1, 10), torch.zeros(1, 3)
    landmarks = load_body("free-full").landmarks(*people)[0].numpy()
    np.testing.assert_allclose(landmarks[list(LANDMARK_MIRROR)] * MIRROR, landmarks, atol=5e-4)
    at = dict(zip(LANDMARK_NAMES, landmarks, strict=True))
    assert (
        at["left_ear"][0]
        > at["left_eye_outer"][0]
        > at["left_eye"][0]
        > at["left_eye_inner"][0]
        > 0
    )
    assert at["nose"][1] > at["mouth_left"][1]
    assert at["nose"][2] > at["left_eye"][2] > at["left_ear"][2]
    assert at["left_index"][0] > at["left_wrist"][0] > at["left_elbow"][0]
    assert at["left_index"][2] > at["left_pinky"][2]  # palms down, thumbs forward
    assert at["left_foot_index"][2] > at["left_ankle"][2] > at["left_heel"][2]
    surface = free_body_arrays("free-full").v_template
    face = landmarks[: LANDMARK_NAMES.index("left_shoulder")]
    assert cKDTree(surface).query(face)[0].max() < 0.005


@pytest.mark.parametrize(
    ("convention", "count"), [("blazepose33", 33), ("coco17", 17), ("h36m17", 17), ("lsp14", 14)]
)
def test_keypoints_move_with_the_body(convention, count):
    matrix = keypoint_matrix(convention)
    assert matrix.shape == (count, 45)
    np.testing.assert_allclose(matrix.sum(1), 1, atol=1e-6)


def test_compact_file_keeps_the_arrays(tmp_path):
    body = free_body_arrays("free-low")
    write_compact(tmp_path / "body.npz", body)
    again = read_compact(tmp_path / "body.npz")
    for name in body.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(again, name), getattr(body, name))


def test_inconsistent_arrays_are_named():
    body = free_body_arrays("free-low")
    with pytest.raises(InputError, match="weights must have shape"):
        BodyArrays(**{**vars(body), "weights": body.weights[:, :23]})
    with pytest.raises(InputError, match="faces names vertex"):
        BodyArrays(**{**vars(body), "faces": body.faces + len(body.v_template)})


def test_another_npz_is_no_compact_file(tmp_path):
    np.savez(tmp_path / "other.npz", v_template=np.zeros((3, 3)))
    with pytest.raises(InputError, match=r"lacks shapedirs, .*; it has v_template"):
        read_compact(tmp_path / "other.npz")


def test_licence_ships_with_the_data():
    assert re.search("CC0 1.0", (ASSETS / "LICENSE").read_text())
