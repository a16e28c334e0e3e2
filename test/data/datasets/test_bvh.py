"""BVH: the retargeted SMPL skeleton's bones point where the source's bones point."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from d3pose_core.body import load_body
from d3pose_core.data.datasets import open_dataset
from d3pose_core.data.datasets.bvh import read_bvh
from d3pose_core.data.datasets.retarget import find_joints
from d3pose_core.errors import InputError
from d3pose_core.skeleton import JOINT_NAMES
from test.helpers.dataset_fixtures import BVH_JOINTS, write_bvh

NAMES = [name for name, *_ in BVH_JOINTS]
BONES = {
    ("hip", "knee"): ("UpLeg", "Leg"),
    ("knee", "ankle"): ("Leg", "Foot"),
    ("shoulder", "elbow"): ("Arm", "ForeArm"),
    ("elbow", "wrist"): ("ForeArm", "Hand"),
}


def source_positions(degrees: np.ndarray, lift: float) -> np.ndarray:
    """Independent forward kinematics: [F, J, 3] cm."""
    out = []
    for frame in degrees:
        turns, points = {}, {}
        for index, (name, parent, offset) in enumerate(BVH_JOINTS):
            local = Rotation.from_euler("ZXY", frame[index], degrees=True)
            if parent is None:
                turns[name], points[name] = local, np.array([0, lift, 0])
            else:
                turns[name] = turns[parent] * local
                points[name] = points[parent] + turns[parent].apply(offset)
        out.append([points[name] for name in NAMES])
    return np.array(out)


def recovered_joints(sequence) -> np.ndarray:
    smpl = sequence.people[0].smpl
    tensors = (
        torch.tensor(np.array(a), dtype=torch.float32)
        for a in (smpl.global_orient, smpl.body_pose, smpl.betas, smpl.transl)
    )
    return load_body("free-low").joints(*tensors).numpy()


def test_limbs_point_where_the_source_points_and_the_hips_are_where_its_hips_are(tmp_path):
    degrees = np.random.default_rng(0).uniform(-50, 50, (4, len(NAMES), 3))
    write_bvh(tmp_path / "ann" / "walk.bvh", degrees)
    (sequence,) = open_dataset("bvh", tmp_path, "all")
    assert sequence.fps == pytest.approx(120, rel=1e-4)
    ours, theirs = recovered_joints(sequence), source_positions(degrees, 90.0)
    for (a, b), (source_a, source_b) in BONES.items():
        for side in ("left", "right"):
            bone = ours[:, JOINT_NAMES.index(f"{side}_{b}")]
            bone = bone - ours[:, JOINT_NAMES.index(f"{side}_{a}")]
            wanted = theirs[:, NAMES.index(side.title() + source_b)]
            wanted = wanted - theirs[:, NAMES.index(side.title() + source_a)]
            cosine = (bone * wanted).sum(-1)
            cosine /= np.linalg.norm(bone, axis=-1) * np.linalg.norm(wanted, axis=-1)
            np.testing.assert_allclose(cosine, 1, atol=1e-6, err_msg=f"{side} {a}")
    hips = [JOINT_NAMES.index(f"{side}_hip") for side in ("left", "right")]
    legs = [NAMES.index(f"{side}UpLeg") for side in ("Left", "Right")]
    body = load_body("free-low").joint_template.numpy()
    leg = np.linalg.norm(body[4] - body[1]) + np.linalg.norm(body[7] - body[4])
    np.testing.assert_allclose(
        ours[:, hips].mean(1), theirs[:, legs].mean(1) * leg / 80.0, atol=1e-5
    )


def test_a_t_pose_that_faces_x_becomes_smpls_t_pose_facing_x(tmp_path):
    write_bvh(tmp_path / "ann" / "still.bvh", np.zeros((2, len(NAMES), 3)))
    (sequence,) = open_dataset("bvh", tmp_path, "all")
    smpl = sequence.people[0].smpl
    facing = Rotation.from_rotvec(smpl.global_orient[0]).apply([0, 0, 1])
    np.testing.assert_allclose(facing, [1, 0, 0], atol=1e-6)
    spine = [i - 1 for i, name in enumerate(JOINT_NAMES) if "spine" in name or "collar" in name]
    np.testing.assert_allclose(smpl.body_pose[0, spine], 0, atol=1e-6)


def test_many_naming_habits_are_understood():
    parts = ("UpLeg", "Leg", "Foot", "Arm", "ForeArm", "Hand")
    habits = {"l{}": "r{}", "{}_L": "{}_R", "left_{}": "right_{}", "m:Left{}": "m:Right{}"}
    for style, other in habits.items():
        left, right = ([s.format(part) for part in parts] for s in (style, other))
        found = find_joints(("Hips", *left, *right), style)
        assert found["left_knee"] == 2
        assert found["right_wrist"] == 12


def test_smpls_own_names_are_smpls_joints():
    found = find_joints(JOINT_NAMES, "SMPL")
    assert {JOINT_NAMES[index] for index in found.values()} == set(found)
    assert all(JOINT_NAMES[index] == name for name, index in found.items())


def test_a_skeleton_without_legs_is_an_error_that_names_them():
    with pytest.raises(InputError, match="left_knee"):
        find_joints(("Hips", "LeftArm"), "x.bvh")


def test_a_cut_off_file_is_an_error(tmp_path):
    path = tmp_path / "ann" / "walk.bvh"
    write_bvh(path, np.zeros((4, len(NAMES), 3)))
    path.write_text(path.read_text()[:-200])
    with pytest.raises(InputError, match="announced"):
        read_bvh(path)
