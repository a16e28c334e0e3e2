"""Every reader against a fixture in the official layout, whose camera-frame joints are known."""

import numpy as np
import pytest
import torch

from d3pose_core.body import load_body
from d3pose_core.data.datasets import DATASETS, SmplTrack, open_dataset
from d3pose_core.data.datasets.human36m import SUBJECTS
from d3pose_core.errors import InputError
from test.helpers import dataset_fixtures as fixtures

FREE_BODY = load_body("free-low")


def bodies(gender: str):
    return FREE_BODY


def posed(smpl: SmplTrack, rows=slice(None)):
    """Vertices and joints of the recovered parameters, by our body model."""
    tensors = (
        torch.tensor(np.array(a[rows]), dtype=torch.float32)
        for a in (smpl.global_orient, smpl.body_pose, smpl.betas, smpl.transl)
    )
    output = FREE_BODY(*tensors)
    return output.vertices.numpy(), output.joints.numpy()


def assert_seen_by_camera(smpl: SmplTrack, truth: fixtures.Truth, rows=slice(None)) -> None:
    vertices, joints = posed(smpl, rows)
    np.testing.assert_allclose(joints, truth.joints[rows], atol=2e-5)
    np.testing.assert_allclose(vertices, truth.vertices[rows], atol=2e-5)


def test_3dpw(tmp_path):
    people = fixtures.write_3dpw(tmp_path)
    (sequence,) = open_dataset("3dpw", tmp_path, "test")
    assert (sequence.name, sequence.split, len(sequence)) == ("downtown_x_00", "test", 5)
    assert sequence.fps == pytest.approx(30)
    camera = sequence.intrinsics
    assert (camera.fx, camera.fy, camera.width, camera.height) == (1961.1, 1969.2, 1080, 1920)
    assert sequence.image_paths[3] == tmp_path / "imageFiles" / "downtown_x_00" / "image_00003.jpg"
    assert [p.smpl.gender for p in sequence.people] == ["male", "female"]
    for person, truth in zip(sequence.people, people, strict=True):
        assert person.smpl.betas.shape == (5, 10)
        assert_seen_by_camera(person.smpl, truth)
        np.testing.assert_allclose(person.joints.positions, truth.joints, atol=1e-9)
    np.testing.assert_array_equal(sequence.people[1].valid, [1, 1, 1, 0, 1])
    confidence = sequence.people[0].joints_2d.confidence
    assert confidence.shape == (5, 18)
    assert not confidence[1].any()
    assert confidence[0].min() > 0.3


def test_human36m(tmp_path):
    truth = fixtures.write_human36m(tmp_path)
    dataset = open_dataset("human36m", tmp_path, "test", bodies)
    assert dataset.names == ("s_09_act_02_subact_01_ca_04",)
    (sequence,) = dataset
    assert (sequence.subject, sequence.action) == ("S9", "Directions")
    np.testing.assert_array_equal(sequence.frame_ids, range(5))
    assert sequence.image_paths[0].name == "s_09_act_02_subact_01_ca_04_000001.jpg"
    (person,) = sequence.people
    there = [0, 1, 3, 4]
    assert_seen_by_camera(person.smpl, truth, there)
    assert np.isnan(person.smpl.transl[2]).all()
    assert np.isnan(person.smpl.global_orient[2]).all()
    np.testing.assert_allclose(person.joints.positions, truth.joints[:, :17], atol=1e-9)
    assert person.valid.all()


def test_human36m_without_a_body_has_joints_and_says_why_no_smpl(tmp_path):
    fixtures.write_human36m(tmp_path)
    (sequence,) = open_dataset("human36m", tmp_path, "test")
    assert sequence.people[0].joints is not None
    with pytest.raises(InputError, match="bodies_in"):
        sequence.people[0].need_smpl()


def test_emdb(tmp_path):
    truth = fixtures.write_emdb(tmp_path)
    (sequence,) = open_dataset("emdb", tmp_path, "emdb1", bodies)
    assert (sequence.name, sequence.subject) == ("P3/02_walk", "P3")
    assert (sequence.intrinsics.width, sequence.intrinsics.height) == (1440, 1920)
    (person,) = sequence.people
    assert person.smpl.gender == "female"
    assert_seen_by_camera(person.smpl, truth)
    np.testing.assert_array_equal(person.valid, [1, 1, 0, 1, 1])
    np.testing.assert_array_equal(np.isnan(person.boxes[:, 0]), [0, 0, 1, 0, 0])
    with pytest.raises(InputError, match="emdb2"):
        open_dataset("emdb", tmp_path, "emdb2")


def test_amass(tmp_path):
    truth = fixtures.write_amass(tmp_path / "CMU" / "01" / "01_01_poses.npz")
    np.savez(tmp_path / "CMU" / "01" / "shape.npz", betas=np.ones(16))
    (sequence,) = open_dataset("amass", tmp_path, "train")
    assert (sequence.subject, sequence.intrinsics) == ("CMU/01", None)
    assert sequence.fps == pytest.approx(120)
    smpl = sequence.people[0].smpl
    assert (smpl.model, smpl.gender) == ("smplh", "female")
    _, joints = posed(smpl)
    np.testing.assert_allclose(joints, truth.world_joints, atol=2e-5)


def test_mpi_inf_3dhp_train(tmp_path):
    truth = fixtures.write_3dhp(tmp_path)
    dataset = open_dataset("mpi-inf-3dhp", tmp_path, "train")
    assert len(dataset) == 8
    assert "S1/Seq1/video_3" not in dataset.names
    sequence = dataset.load("S1/Seq1/video_5")
    positions = sequence.people[0].joints.positions
    np.testing.assert_allclose(positions[:, :24], truth.joints + 5, atol=1e-9)
    assert (sequence.people[0].joints_2d.pixels == 5).all()
    # Camera 5 sees the world's people where its own annotation says.
    np.testing.assert_allclose(
        sequence.into_camera(truth.world_joints), truth.joints + 5, atol=1e-6
    )
    assert sequence.intrinsics.cx == 1024.704
    assert sequence.image_paths[0].parts[-3:] == ("imageFrames", "video_5", "frame_000001.jpg")


def test_mpi_inf_3dhp_test(tmp_path):
    truth = fixtures.write_3dhp(tmp_path)
    (sequence,) = open_dataset("mpi-inf-3dhp", tmp_path, "test")
    (person,) = sequence.people
    np.testing.assert_allclose(person.joints.positions, truth.joints[:, :17], atol=1e-9)
    assert person.joints.names[14] == "pelvis"
    np.testing.assert_array_equal(person.valid, [1, 1, 0, 1, 1])


def test_aist(tmp_path):
    truth, _ = fixtures.write_aist(tmp_path)
    dataset = open_dataset("aist", tmp_path, "test", bodies)
    assert len(dataset) == 9
    sequence = dataset.load("gBR_sBM_c02_d04_mBR0_ch01")
    assert sequence.subject == "d04"
    truth.extrinsics[:, 2, 3] += 1  # camera 2 stands a metre farther
    assert_seen_by_camera(sequence.people[0].smpl, truth)
    np.testing.assert_allclose(sequence.people[0].joints.positions, truth.joints[:, :17], atol=1e-6)
    assert (sequence.people[0].joints_2d.pixels == 1).all()
    assert sequence.intrinsics.distortion.coefficients[0] == 0.01


def test_bedlam(tmp_path):
    people = fixtures.write_bedlam(tmp_path)
    (sequence,) = open_dataset("bedlam", tmp_path, "train")
    np.testing.assert_array_equal(sequence.frame_ids, [0, 5, 10, 15, 20])
    assert sequence.name == "20221010_scene/seq_000007"
    assert (sequence.intrinsics.width, sequence.intrinsics.height) == (1280, 720)
    assert_seen_by_camera(sequence.people[0].smpl, people[0])
    assert_seen_by_camera(sequence.people[1].smpl, people[1], [0, 1, 3, 4])
    np.testing.assert_array_equal(sequence.people[1].valid, [1, 1, 0, 1, 1])
    images = tmp_path / "training_images" / "20221010_scene" / "png"
    assert sequence.image_paths[1] == images / "seq_000007" / "seq_000007_0005.png"
    with pytest.raises(InputError, match="validation_labels is missing"):
        open_dataset("bedlam", tmp_path, "validation")


def test_missing_folders_are_named_with_where_to_get_the_dataset(tmp_path):
    for name, reader in DATASETS.items():
        with pytest.raises(InputError) as caught:
            open_dataset(name, tmp_path / "nothing", reader.splits[0])
        assert str(tmp_path / "nothing") in str(caught.value)
        assert reader.where_to_get in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    fixtures.write_human36m(tmp_path)
    (tmp_path / "annotations" / "Human36M_subject9_camera.json").unlink()
    with pytest.raises(InputError, match=r"Human36M_subject9_camera\.json"):
        list(open_dataset("human36m", tmp_path, "test"))


def test_a_file_of_another_release_says_what_it_lacks(tmp_path):
    path = tmp_path / "CMU" / "01" / "01_01_poses.npz"
    path.parent.mkdir(parents=True)
    np.savez(path, pose_body=np.zeros((3, 63)))
    with pytest.raises(InputError, match=r"lacks poses, trans"):
        list(open_dataset("amass", tmp_path, "train"))


def test_no_subject_is_in_two_splits(tmp_path):
    fixtures.write_human36m(tmp_path / "h36m")
    fixtures.write_3dhp(tmp_path / "3dhp")
    fixtures.write_aist(tmp_path / "aist")
    for part in ("CMU", "SFU", "SSM_synced"):
        fixtures.write_amass(tmp_path / "amass" / part / "1" / "a_poses.npz")
    for subject in range(40):
        still = np.zeros((2, len(fixtures.BVH_JOINTS), 3))
        fixtures.write_bvh(tmp_path / "bvh" / f"s{subject}" / "walk.bvh", still)
    folders = {
        "human36m": "h36m",
        "mpi-inf-3dhp": "3dhp",
        "aist": "aist",
        "amass": "amass",
        "bvh": "bvh",
    }
    for name, folder in folders.items():
        found: dict[str, set[str]] = {}
        for split in [s for s in DATASETS[name].splits if s != "all"]:
            try:
                dataset = open_dataset(name, tmp_path / folder, split)
            except InputError:
                continue  # AIST's fixture has no dance for train and val
            if name == "bvh":
                found[split] = {n.split("/")[0] for n in dataset.names}
            else:
                found[split] = {sequence.subject for sequence in dataset}
        assert found.get("test"), name
        everybody = [subject for subjects in found.values() for subject in subjects]
        assert len(everybody) == len(set(everybody)), (name, found)
    assert not set(SUBJECTS["train"]) & set(SUBJECTS["test"])


def test_aist_lists_that_share_a_dancer_are_refused(tmp_path):
    fixtures.write_aist(tmp_path, leak=True)
    with pytest.raises(InputError, match="d04"):
        open_dataset("aist", tmp_path, "test")


def test_unknown_names_are_errors(tmp_path):
    with pytest.raises(InputError, match="3dpw, human36m"):
        open_dataset("coco", tmp_path, "test")
    with pytest.raises(InputError, match="not 'validation'"):
        open_dataset("human36m", tmp_path, "validation")
