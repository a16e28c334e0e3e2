"""Users' own SMPL files, played by the free body written out in their formats."""

import pickle
import sys

import numpy as np
import pytest
import smplx
import torch
from smplx.utils import Struct

from d3pose_core.body import load_body
from d3pose_core.body.load import free_body_arrays
from d3pose_core.errors import InputError
from d3pose_core.skeleton import JOINT_NAMES, JOINT_PARENTS
from test.helpers.random_people import random_people

NUM_FINGER_JOINTS = 15


@pytest.fixture(scope="module")
def smpl_file() -> dict[str, np.ndarray]:
    return free_body_arrays("free-mid").smpl_file()


def with_hand_joints(smpl: dict[str, np.ndarray], face_joints: int) -> dict[str, np.ndarray]:
    """A stand-in for SMPL-H (0 face joints) or SMPL-X (3): more joints, whose weights come from ours."""
    num_joints = 22 + face_joints + 2 * NUM_FINGER_JOINTS
    num_vertices = len(smpl["v_template"])
    random = np.random.default_rng(0)
    parents = [*JOINT_PARENTS[:22], *[JOINT_NAMES.index("head")] * face_joints]
    weights = np.zeros((num_vertices, num_joints))
    weights[:, :22] = smpl["weights"][:, :22]
    regressor = np.zeros((num_joints, num_vertices))
    regressor[:22] = smpl["J_regressor"][:22]
    first = 22 + face_joints
    regressor[22:first] = smpl["J_regressor"][15]
    if face_joints:  # a part of the head hangs on the jaw
        weights[:, 22] = 0.3 * weights[:, 15]
        weights[:, 15] *= 0.7
    for wrist, hand in ((20, 22), (21, 23)):
        shares = random.dirichlet(np.ones(NUM_FINGER_JOINTS))
        weights[:, first : first + NUM_FINGER_JOINTS] = smpl["weights"][:, [hand]] * shares
        for joint in range(NUM_FINGER_JOINTS):
            parents.append(wrist if joint % 3 == 0 else first + joint - 1)
        # The middle finger's first joint is the hand's; the others must not matter.
        regressor[first : first + NUM_FINGER_JOINTS] = smpl["J_regressor"][wrist]
        regressor[first + 3] = smpl["J_regressor"][hand]
        first += NUM_FINGER_JOINTS
    posedirs = random.normal(0, 1e-3, (num_vertices, 3, 9 * (num_joints - 1)))
    posedirs[..., : 9 * 21] = smpl["posedirs"][..., : 9 * 21]
    kintree = np.stack([np.array(parents) % 2**32, np.arange(num_joints)]).astype(np.uint32)
    flat = np.zeros((45, 45)), np.zeros(45)
    return {
        **smpl,
        "weights": weights,
        "J_regressor": regressor,
        "posedirs": posedirs,
        "kintree_table": kintree,
        "hands_componentsl": flat[0],
        "hands_componentsr": flat[0],
        "hands_meanl": flat[1],
        "hands_meanr": flat[1],
    }


def straight_hands(people: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    people[1][:, 21:] = 0
    return people


def test_smpl_npz(tmp_path, smpl_file):
    np.savez(tmp_path / "SMPL_FEMALE.npz", **smpl_file)
    body = load_body(tmp_path / "SMPL_FEMALE.npz")
    assert (body.name, body.gender, body.num_betas) == ("SMPL_FEMALE", "female", 10)
    np.testing.assert_array_equal(body.faces, free_body_arrays("free-mid").faces)
    people = random_people(4)
    free = load_body("free-mid")
    torch.testing.assert_close(body(*people).vertices, free(*people).vertices)
    torch.testing.assert_close(body.landmarks(*people), free.landmarks(*people))


def test_only_ten_of_many_betas(tmp_path, smpl_file):
    many = np.concatenate([smpl_file["shapedirs"]] * 30, axis=-1)
    np.savez(tmp_path / "SMPL_NEUTRAL.npz", **{**smpl_file, "shapedirs": many})
    body = load_body(tmp_path / "SMPL_NEUTRAL.npz")
    people = random_people(2)
    torch.testing.assert_close(body.joints(*people), load_body("free-mid").joints(*people))


def test_smplh_npz_equals_smplx_with_straight_fingers(tmp_path, smpl_file):
    smplh_file = with_hand_joints(smpl_file, face_joints=0)
    np.savez(tmp_path / "SMPLH_MALE.npz", **smplh_file)
    body = load_body(tmp_path / "SMPLH_MALE.npz")
    assert body.gender == "male"
    oracle = smplx.SMPLH(
        model_path="", data_struct=Struct(**smplh_file), use_pca=False, batch_size=4
    )
    global_orient, body_pose, betas, transl = straight_hands(random_people(4))
    expected = oracle(
        global_orient=global_orient,
        body_pose=body_pose[:, :21].flatten(1),
        betas=betas,
        transl=transl,
    )
    vertices, joints = body(global_orient, body_pose, betas, transl)
    torch.testing.assert_close(vertices, expected.vertices, atol=1e-5, rtol=0)
    torch.testing.assert_close(joints[:, :22], expected.joints[:, :22], atol=1e-5, rtol=0)
    middle_fingers = expected.joints[:, [25, 40]]
    torch.testing.assert_close(joints[:, 22:], middle_fingers, atol=1e-5, rtol=0)


def test_smplx_npz_equals_smplx_with_straight_fingers(tmp_path, smpl_file):
    # smplx reads landmarks up to vertex 9929, so the stand-in is the full body.
    smplx_file = with_hand_joints(free_body_arrays("free-full").smpl_file(), face_joints=3)
    expression = np.zeros((*smplx_file["v_template"].shape, 10))
    smplx_file["shapedirs"] = np.concatenate([smplx_file["shapedirs"], expression], axis=-1)
    smplx_file |= {"lmk_faces_idx": np.zeros(51, int), "lmk_bary_coords": np.zeros((51, 3))}
    path = tmp_path / "SMPLX_NEUTRAL.npz"
    np.savez(path, **smplx_file)
    oracle = smplx.SMPLX(model_path=str(path), use_pca=False, batch_size=4)
    # Real SMPL-X files also hold pickled dictionaries, which must stay shut.
    np.savez(path, **smplx_file, part2num=np.array({"pelvis": 0}, dtype=object))
    body = load_body(path)
    global_orient, body_pose, betas, transl = straight_hands(random_people(4))
    expected = oracle(
        global_orient=global_orient,
        body_pose=body_pose[:, :21].flatten(1),
        betas=betas,
        transl=transl,
    )
    vertices, joints = body(global_orient, body_pose, betas, transl)
    torch.testing.assert_close(vertices, expected.vertices, atol=1e-5, rtol=0)
    torch.testing.assert_close(joints[:, :22], expected.joints[:, :22], atol=1e-5, rtol=0)
    torch.testing.assert_close(joints[:, 22:], expected.joints[:, [28, 43]], atol=1e-5, rtol=0)


class Bomb:
    """Unpickling this marks the module: what a malicious file could do."""

    went_off = False

    @staticmethod
    def go_off() -> dict:
        Bomb.went_off = True
        return {}

    def __reduce__(self):
        return Bomb.go_off, ()


def test_pickles_stay_shut_unless_allowed(tmp_path, smpl_file):
    path = tmp_path / "basicModel_f_lbs_10_207_0_v1.0.0.pkl"
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(InputError, match="allow_pickle=True"):
        load_body(path)
    assert not Bomb.went_off
    np.savez(tmp_path / "bomb.npz", **{**smpl_file, "weights": np.array(Bomb(), dtype=object)})
    with pytest.raises(InputError, match=r"cannot read .*bomb\.npz"):
        load_body(tmp_path / "bomb.npz")
    assert not Bomb.went_off

    path.write_bytes(pickle.dumps(smpl_file, protocol=2))
    body = load_body(path, allow_pickle=True)
    assert body.gender == "female"
    people = random_people(2)
    torch.testing.assert_close(body.joints(*people), load_body("free-mid").joints(*people))


def test_missing_and_unknown(tmp_path):
    with pytest.raises(InputError, match=r"no body model file at .*SMPL\.npz.*smpl\.is\.tue"):
        load_body(tmp_path / "SMPL.npz")
    with pytest.raises(InputError, match=r"no body called .free-huge.: .*free-low"):
        load_body("free-huge")


@pytest.mark.parametrize("suffix", [".npz", ".pkl"])
def test_damaged(tmp_path, suffix):
    path = tmp_path / f"SMPL{suffix}"
    path.write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(InputError, match="cannot read"):
        load_body(path, allow_pickle=True)


def test_other_contents(tmp_path, smpl_file):
    def load(**changed):
        np.savez(tmp_path / "other.npz", **{**smpl_file, **changed})
        return load_body(tmp_path / "other.npz")

    np.savez(tmp_path / "motion.npz", poses=np.zeros((10, 72)))
    with pytest.raises(InputError, match="lacks v_template, shapedirs"):
        load_body(tmp_path / "motion.npz")
    with pytest.raises(InputError, match=r"16 joints; known are 24 \(SMPL\), 52"):
        load(weights=smpl_file["weights"][:, :16])
    with pytest.raises(InputError, match="posedirs must have shape"):
        load(posedirs=smpl_file["posedirs"][..., :200])
    low = free_body_arrays("free-low").smpl_file()
    with pytest.raises(InputError, match="landmarks include vertex 6787"):
        load(**low)
    (tmp_path / "body.obj").write_text("v 0 0 0")
    with pytest.raises(InputError, match=r"ends in \.npz or \.pkl"):
        load_body(tmp_path / "body.obj")


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("v_template", lambda a: np.where(a == a.max(), np.nan, a), "damaged: v_template holds"),
        ("v_template", lambda a: 100 * a, r"person in metres, got one of 17\d\.\d+ m"),
        (
            "v_template",
            lambda a: a.astype(str),
            "v_template must be numbers in 2 dimensions, got <U",
        ),
        ("shapedirs", lambda a: a[..., :4], "10 shape directions or more, got 4"),
        ("shapedirs", lambda a: 0.0, r"shapedirs must be numbers in 3 dimensions, .* shape \(\)"),
        (
            "posedirs",
            lambda a: a.astype(float) * 1e300,
            "posedirs holds numbers that are not finite",
        ),
        ("weights", lambda a: 0 * a, "row of body array weights must sum to 1, got 0 to 0"),
        ("J_regressor", lambda a: 2 * a, "row of body array joint_regressor must sum to 1, got 2"),
        ("f", lambda a: a.astype(int) - 10, "faces names vertex -10"),
    ],
)
def test_numbers_that_make_no_body(tmp_path, smpl_file, name, change, words):
    with np.errstate(over="ignore"):
        np.savez(tmp_path / "odd.npz", **{**smpl_file, name: change(smpl_file[name])})
        with pytest.raises(InputError, match=words):
            load_body(tmp_path / "odd.npz")


@pytest.mark.parametrize("name", ["x" * 300, "x" * 300 + ".npz", "~nobody-of-that-name/body.npz"])
def test_a_name_that_the_system_refuses(name):
    with pytest.raises(InputError, match=r"no body .*free-low"):
        load_body(name)


def test_smplx_is_optional(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "smplx", None)
    load_body("free-low")
    with pytest.raises(InputError, match=r"pip install smplx.*non-commercial"):
        load_body(tmp_path / "SMPL.npz")
