"""Files that differ from our fixtures as official ones may: other dtypes, nestings, protocols, releases."""

import json
import pickle

import numpy as np
import pytest
from scipy.io import savemat
from scipy.spatial.transform import Rotation

from d3pose_core.data.datasets import open_dataset
from d3pose_core.errors import InputError
from test.data.datasets.test_readers import assert_seen_by_camera, bodies, posed
from test.helpers import dataset_fixtures as fixtures

SINGLE = 2e-4  # m, where a file has float32


def change_pickle(path, change, protocol=2) -> None:
    """Read a fixture's pickle as its users do, change it, and write it back."""
    with path.open("rb") as file:
        content = pickle.load(file, encoding="latin1")
    change(content)
    path.write_bytes(pickle.dumps(content, protocol=protocol))


def change_json(path, change) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def change_npz(path, change) -> None:
    with np.load(path) as file:
        content = dict(file)
    change(content)
    np.savez(path, **content)


def assert_nearly_seen(smpl, truth, rows=slice(None)) -> None:
    np.testing.assert_allclose(posed(smpl, rows)[1], truth.joints[rows], atol=SINGLE)


def stack_people(content) -> None:
    """Arrays instead of lists over persons."""
    for key in ("poses", "trans", "jointPositions", "poses2d", "campose_valid"):
        content[key] = np.stack(content[key])
    content["betas"] = np.stack([b[:10] for b in content["betas"]])


def single_precision(content) -> None:
    for key in ("poses", "trans", "jointPositions", "poses2d", "betas"):
        content[key] = [np.asarray(each, np.float32) for each in content[key]]
    content["cam_poses"] = content["cam_poses"].astype(np.float32)


def readme_names(content) -> None:
    content["gender"], content["poses2D"] = content.pop("genders"), content.pop("poses2d")


def other_shapes(content) -> None:
    content["betas"] = [np.asarray(b[:10])[None] for b in content["betas"]]  # (1, 10)
    content["poses"] = [p.reshape(-1, 24, 3) for p in content["poses"]]
    content["jointPositions"] = [j.reshape(-1, 24, 3) for j in content["jointPositions"]]
    content["campose_valid"] = [np.asarray(v, bool).tolist() for v in content["campose_valid"]]
    content["cam_poses"] = list(content["cam_poses"])
    content["poses2d"] = [p.transpose(0, 2, 1) for p in content["poses2d"]]


def only_what_is_needed(content) -> None:
    for key in ("poses_60Hz", "trans_60Hz", "betas_clothed", "v_template_clothed", "texture_maps"):
        del content[key]
    content["something_new"] = {"of": ["another", np.float32(1)]}


@pytest.mark.parametrize(
    "change",
    [stack_people, single_precision, readme_names, other_shapes, only_what_is_needed],
)
@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_3dpw(tmp_path, change, protocol):
    people = fixtures.write_3dpw(tmp_path)
    path = tmp_path / "sequenceFiles" / "test" / "downtown_x_00.pkl"
    change_pickle(path, change, protocol)
    (sequence,) = open_dataset("3dpw", tmp_path, "test")
    for person, truth in zip(sequence.people, people, strict=True):
        assert_nearly_seen(person.smpl, truth)
    assert [p.smpl.gender for p in sequence.people] == ["male", "female"]
    np.testing.assert_array_equal(sequence.people[1].valid, [1, 1, 1, 0, 1])
    confidence = sequence.people[0].joints_2d.confidence
    assert confidence.shape == (5, 18)
    assert not confidence[1].any()
    assert confidence[0].min() > 0.3


def test_3dpw_with_other_keypoints_says_so(tmp_path):
    fixtures.write_3dpw(tmp_path)
    path = tmp_path / "sequenceFiles" / "test" / "downtown_x_00.pkl"
    change_pickle(path, lambda c: c.update(poses2d=[p[:, :, :17] for p in c["poses2d"]]))
    with pytest.raises(InputError, match=r"poses2d must be \[N, 3, 18\], got \[5, 3, 17\]"):
        list(open_dataset("3dpw", tmp_path, "test"))


def test_human36m_lists_and_extra_entries(tmp_path):
    truth = fixtures.write_human36m(tmp_path)
    prefix = tmp_path / "annotations" / "Human36M_subject9"

    def nest(smpl):
        for row in smpl["2"]["1"].values():
            row["pose"] = np.reshape(row["pose"], (24, 3)).tolist()
            row["shape"] = [row["shape"]]
            row["trans"] = [row["trans"]]
            row["fit_3d_error"] = 12.0

    def camera(cameras):
        cameras["4"]["t"] = [[v] for v in cameras["4"]["t"]]
        cameras["1"] = cameras["4"]

    def backslashes(data):
        for image in data["images"]:
            image["file_name"] = image["file_name"].replace("/", "\\")

    change_json(prefix.with_name(prefix.name + "_SMPL_NeuralAnnot.json"), nest)
    change_json(prefix.with_name(prefix.name + "_camera.json"), camera)
    change_json(prefix.with_name(prefix.name + "_data.json"), backslashes)
    (sequence,) = open_dataset("human36m", tmp_path, "test", bodies)
    assert_seen_by_camera(sequence.people[0].smpl, truth, [0, 1, 3, 4])
    folder = "s_09_act_02_subact_01_ca_04"
    assert sequence.image_paths[0] == tmp_path / "images" / folder / f"{folder}_000001.jpg"


def test_human36m_an_action_that_is_not_there_is_named(tmp_path):
    fixtures.write_human36m(tmp_path)
    path = tmp_path / "annotations" / "Human36M_subject9_joint_3d.json"
    change_json(path, lambda joints: joints.update({"3": joints.pop("2")}))
    with pytest.raises(InputError, match=r"joint_3d\.json has no 2 / 1"):
        list(open_dataset("human36m", tmp_path, "test"))


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_emdb(tmp_path, protocol):
    truth = fixtures.write_emdb(tmp_path)

    def change(content):
        content["emdb1"] = np.bool_(True)
        content["good_frames_mask"] = content["good_frames_mask"].astype(np.uint8)
        content["n_frames"] = np.int64(content["n_frames"])
        smpl = content["smpl"]
        smpl["betas"] = np.pad(smpl["betas"], (0, 6))[None]  # (1, 16)
        smpl["poses_body"] = smpl["poses_body"].reshape(-1, 23, 3).astype(np.float32)
        content["bboxes"]["invalid_idxs"] = np.array([], float)
        content["another"] = None

    change_pickle(tmp_path / "P3" / "02_walk" / "P3_02_walk_data.pkl", change, protocol)
    (sequence,) = open_dataset("emdb", tmp_path, "emdb1", bodies)
    (person,) = sequence.people
    assert_nearly_seen(person.smpl, truth)
    np.testing.assert_array_equal(person.valid, [1, 1, 0, 1, 1])
    assert np.isfinite(person.boxes).all()


def smplx_release(truth: fixtures.Truth) -> dict:
    """What AMASS' SMPL-X archives hold, object arrays and all."""
    frames = len(truth.transl)
    poses = np.full((frames, 165), 0.3)
    poses[:, :66] = truth.pose[:, :22].reshape(frames, 66)
    return {
        "gender": np.array("female"),
        "surface_model_type": np.array("smplx"),
        "mocap_frame_rate": np.array(120.0),
        "mocap_time_length": np.array(frames / 120),
        "markers_latent": np.zeros((41, 3)),
        "latent_labels": np.array(["A", "B"]),
        "markers_latent_vids": np.array({"A": 1}, dtype=object),
        "trans": truth.transl,
        "poses": poses,
        "betas": np.concatenate([truth.betas, np.ones(6)]),
        "num_betas": np.array(16),
        "root_orient": poses[:, :3],
        "pose_body": poses[:, 3:66],
        "pose_hand": poses[:, 75:],
        "pose_jaw": poses[:, 66:69],
        "pose_eye": poses[:, 69:75],
    }


@pytest.mark.parametrize("in_pieces", [False, True])
def test_amass_smplx(tmp_path, in_pieces):
    truth = fixtures.make_truth(5, hands=False)
    path = tmp_path / "CMU" / "01" / "01_01_stageii.npz"
    path.parent.mkdir(parents=True)
    content = smplx_release(truth)
    if in_pieces:
        del content["poses"]
    np.savez(path, **content)
    np.savez(path.with_name("female_stagei.npz"), betas=np.ones(16))
    (sequence,) = open_dataset("amass", tmp_path, "train")
    assert sequence.fps == pytest.approx(120)
    smpl = sequence.people[0].smpl
    assert (smpl.model, smpl.gender) == ("smplx", "female")
    np.testing.assert_allclose(posed(smpl)[1], truth.world_joints, atol=2e-5)


@pytest.mark.parametrize("gender", [np.array(b"female"), np.array("female", dtype=object)])
def test_amass_smplh_of_any_spelling_and_depth(tmp_path, gender):
    path = tmp_path / "KIT" / "KIT" / "3" / "walk_poses.npz"
    truth = fixtures.write_amass(path)

    def change(content):
        content["gender"] = gender
        content["poses"] = content["poses"].astype(np.float32)
        content["betas"] = content["betas"][:4]
        del content["dmpls"]

    change_npz(path, change)
    (sequence,) = open_dataset("amass", tmp_path, "train")
    assert sequence.subject == "KIT/3"
    smpl = sequence.people[0].smpl
    assert smpl.gender == "female"
    np.testing.assert_allclose(smpl.betas[0], [*truth.betas[:4], *np.zeros(6)])
    # The folder of one part alone is read, too, and belongs where the part does.
    assert len(open_dataset("amass", tmp_path / "KIT" / "KIT", "train")) == 1


def test_an_npz_that_wants_to_run_code_is_refused(tmp_path):
    path = tmp_path / "CMU" / "01" / "01_01_poses.npz"
    fixtures.write_amass(path)
    evil = np.array([np.random.default_rng], dtype=object)  # pickled by its name
    change_npz(path, lambda content: content.update(gender=evil))
    with pytest.raises(InputError, match=r"gender is refused: it asks for numpy\.random"):
        list(open_dataset("amass", tmp_path, "train"))
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(InputError, match=r"01_01_poses\.npz is no \.npz"):
        list(open_dataset("amass", tmp_path, "train"))


def test_3dhp_train_as_other_tools_unpack_it(tmp_path):
    truth = fixtures.write_3dhp(tmp_path)
    take = tmp_path / "S1" / "Seq1"
    (take / "video_5").mkdir()
    text = (take / "camera.calibration").read_text()
    # Windows' line ends, tabs, and a line more a camera.
    text = text.replace("  intrinsic   ", "\tintrinsic\t").replace(
        "  radial      0", "  radial 0\n  k1 0"
    )
    (take / "camera.calibration").write_bytes(text.replace("\n", "\r\n").encode())
    annot2, annot3 = np.empty((1, 14), object), np.empty((1, 14), object)
    points = np.zeros((fixtures.FRAMES, 28, 3), np.float32)
    points[:, :24] = 1000 * (truth.joints + 5)
    for camera in range(14):
        annot2[0, camera] = np.zeros((fixtures.FRAMES, 56), np.float32)
        annot3[0, camera] = points.reshape(-1, 84)
    extra = {"univ_annot3": annot3, "frames": np.arange(5)[:, None], "cameras": np.arange(14)[None]}
    savemat(take / "annot.mat", {"annot2": annot2, "annot3": annot3, **extra})
    sequence = open_dataset("mpi-inf-3dhp", tmp_path, "train").load("S1/Seq1/video_5")
    positions = sequence.people[0].joints.positions
    np.testing.assert_allclose(positions[:, :24], truth.joints + 5, atol=SINGLE)
    np.testing.assert_allclose(
        sequence.into_camera(truth.world_joints), truth.joints + 5, atol=1e-6
    )
    assert sequence.image_paths[0] == take / "video_5" / "000001.jpg"


def test_aist_with_keypoints_of_the_later_release(tmp_path):
    truth, _ = fixtures.write_aist(tmp_path)
    dance = "gBR_sBM_cAll_d04_mBR0_ch01"
    frames = fixtures.FRAMES
    near, far = np.full((133, 3), 7.0), np.full((133, 3), 1.0)
    people = [[far, near] for _ in range(frames)]
    people[2] = []  # nobody was found
    boxes = [[[0, 0, 10, 10, 0.9], [0, 0, 99, 99, 0.8]] for _ in range(frames)]
    boxes[2] = []
    content = {
        "keypoints2d": [people] * 9,
        "bboxes": [boxes] * 9,
        "timestamps": [list(range(frames))] * 9,
    }
    fixtures.write_pickle(tmp_path / "keypoints2d" / f"{dance}.pkl", content)

    def nested(motion):
        motion["smpl_poses"] = motion["smpl_poses"].reshape(-1, 24, 3).astype(np.float32)
        motion["smpl_scaling"] = motion["smpl_scaling"][None]

    change_pickle(tmp_path / "motions" / f"{dance}.pkl", nested, protocol=4)
    change_pickle(
        tmp_path / "keypoints3d" / f"{dance}.pkl",
        lambda c: c.update(keypoints3d_optim=c["keypoints3d_optim"][:4]),
    )
    sequence = open_dataset("aist", tmp_path, "test", bodies).load("gBR_sBM_c01_d04_mBR0_ch01")
    (person,) = sequence.people
    assert_nearly_seen(person.smpl, truth)
    assert person.smpl.gender == "male"
    pixels = person.joints_2d
    assert (pixels.pixels[[0, 1, 3, 4]] == 7).all()
    assert np.isnan(pixels.pixels[2]).all()
    assert not pixels.confidence[2].any()
    np.testing.assert_array_equal(person.valid, [1, 1, 1, 1, 0])  # the last frame has no keypoints


def own_worlds(content) -> None:
    """As the makers' script writes them: `cam_ext` has each person's own place."""
    shift = np.array([[0.1, 0, 0] if sub.endswith("1") else [0, 0, 0] for sub in content["sub"]])
    content["cam_ext"] = content["cam_ext"].copy()
    content["cam_ext"][:, :3, 3] += shift
    content["trans_cam"] = content["trans_cam"] - shift


def bedlam2(content) -> None:
    """Sixteen betas and no subjects, one person after the other; Windows' paths."""
    order = np.lexsort((content["imgname"], content["sub"]))
    for key in content:
        content[key] = content[key][order]
    del content["sub"]
    content["shape"] = np.pad(content["shape"], ((0, 0), (0, 6)), constant_values=0.5)
    content["imgname"] = np.array([name.replace("/", "\\") for name in content["imgname"]])
    content["pose_cam"] = np.pad(content["pose_cam"], ((0, 0), (0, 93)), constant_values=0.5)
    content["motion_info"] = np.array([{"babel": "walk"}] * len(order), dtype=object)


def other_containers(content) -> None:
    content["trans_cam"] = content["trans_cam"][:, None]
    content["gender"] = content["gender"].astype(object)
    content["imgname"] = content["imgname"].astype(bytes)


@pytest.mark.parametrize("change", [own_worlds, bedlam2, other_containers])
def test_bedlam(tmp_path, change):
    people = fixtures.write_bedlam(tmp_path)
    change_npz(tmp_path / "all_npz_12_training" / "20221010_scene.npz", change)
    (sequence,) = open_dataset("bedlam", tmp_path, "train")
    assert len(sequence.people) == 2
    for person, truth, rows in zip(
        sequence.people, people, ([0, 1, 2, 3, 4], [0, 1, 3, 4]), strict=True
    ):
        _, joints = posed(person.smpl, rows)
        np.testing.assert_allclose(joints[:, :22], truth.joints[rows][:, :22], atol=SINGLE)
        assert person.smpl.gender == "female"
        np.testing.assert_array_equal(np.flatnonzero(person.valid), rows)
    images = tmp_path / "training_images" / "20221010_scene" / "png"
    assert sequence.image_paths[1] == images / "seq_000007" / "seq_000007_0005.png"
    camera = people[0].extrinsics[0]
    np.testing.assert_allclose(sequence.rotation[0], camera[:3, :3], atol=1e-9)
    # Where everybody has a world of their own, only the camera's can be everybody's.
    np.testing.assert_allclose(
        sequence.translation[0], 0 if change is own_worlds else camera[:3, 3], atol=1e-9
    )


def test_bedlam_eleven_betas_are_the_neutral_bodys(tmp_path):
    fixtures.write_bedlam(tmp_path)
    path = tmp_path / "all_npz_12_training" / "20221010_scene.npz"
    change_npz(path, lambda c: c.update(shape=np.pad(c["shape"], ((0, 0), (0, 1)))))
    (sequence,) = open_dataset("bedlam", tmp_path, "train")
    assert {person.smpl.gender for person in sequence.people} == {"neutral"}


def test_bedlam_in_the_makers_own_folders(tmp_path):
    """data/training_labels/all_npz_12_training, with labels of AGORA beside BEDLAM's."""
    people = fixtures.write_bedlam(tmp_path / "tree")
    labels = tmp_path / "tree" / "training_labels"
    labels.mkdir()
    folder = (tmp_path / "tree" / "all_npz_12_training").rename(labels / "all_npz_12_training")
    np.savez(folder / "agora-body.npz", imgname=np.array(["ag_trainset.png"]))
    decoy = tmp_path / "tree" / "training_images" / "thumbnails.npz"
    np.savez(decoy, nothing=np.zeros(1))
    (sequence,) = open_dataset("bedlam", tmp_path / "tree", "train")
    np.testing.assert_allclose(posed(sequence.people[0].smpl)[1], people[0].joints, atol=2e-5)


def test_rotation_of_a_camera_may_be_a_column(tmp_path):
    truth, scaling = fixtures.write_aist(tmp_path)

    def columns(cameras):
        for camera in cameras:
            camera["rotation"] = [[v] for v in camera["rotation"]]
            camera["translation"] = [[v] for v in camera["translation"]]

    change_json(tmp_path / "cameras" / "setting1.json", columns)
    sequence = open_dataset("aist", tmp_path, "test", bodies).load("gBR_sBM_c01_d04_mBR0_ch01")
    turn = Rotation.from_matrix(truth.extrinsics[0, :3, :3])
    np.testing.assert_allclose(sequence.rotation[0], turn.as_matrix(), atol=1e-9)
    assert scaling == 93.0
