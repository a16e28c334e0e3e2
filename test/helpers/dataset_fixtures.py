"""Made-up people written to disk exactly as official datasets are laid out, with the truth beside them.

The truth is computed here in plain numpy: SMPL's forward pass (`smpl_reference`) in the world, then
X_camera = R X_world + t for every point. Nothing of the readers is used.
"""

from __future__ import annotations

import io
import json
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from scipy.spatial.transform import Rotation

from d3pose_core.body.load import free_body_arrays
from test.helpers.smpl_reference import reference_forward

FRAMES = 5
BODY = free_body_arrays("free-low")


@dataclass
class Truth:
    """One person and one moving camera over FRAMES frames."""

    pose: np.ndarray  # [F, 24, 3] world
    betas: np.ndarray  # [10]
    transl: np.ndarray  # [F, 3] world
    extrinsics: np.ndarray  # [F, 4, 4] world -> camera
    world_vertices: np.ndarray  # [F, V, 3]
    world_joints: np.ndarray  # [F, 24, 3]

    @property
    def joints(self) -> np.ndarray:
        """[F, 24, 3] camera."""
        return self.into_camera(self.world_joints)

    @property
    def vertices(self) -> np.ndarray:
        """[F, V, 3] camera."""
        return self.into_camera(self.world_vertices)

    def into_camera(self, points: np.ndarray) -> np.ndarray:
        moved = [e[:3, :3] @ p.T + e[:3, 3:] for e, p in zip(self.extrinsics, points, strict=True)]
        return np.stack(moved).transpose(0, 2, 1)


def make_truth(
    seed: int,
    moving_camera: bool = True,
    betas: np.ndarray | None = None,
    hands: bool = True,
    frames: int = FRAMES,
) -> Truth:
    """Random, but the same for a seed; the camera stands 4 m away or so."""
    rng = np.random.default_rng(seed)
    pose = rng.normal(0, 0.4, (1, 24, 3)) + rng.normal(0, 0.05, (frames, 24, 3))
    pose[:, 0] = rng.normal(0, 1.0, 3)
    if not hands:
        pose[:, 22:] = 0
    betas = rng.normal(0, 1, 10) if betas is None else betas
    transl = rng.normal(0, 1, 3) + rng.normal(0, 0.05, (frames, 3))
    posed = [reference_forward(BODY, p, betas, t) for p, t in zip(pose, transl, strict=True)]
    vertices, joints = (np.stack(each) for each in zip(*posed, strict=True))
    extrinsics = np.tile(np.eye(4), (frames, 1, 1))
    turn = rng.normal(0, 0.8, 3)
    for f in range(frames):
        shake = rng.normal(0, 0.05, 3) if moving_camera else 0.0
        extrinsics[f, :3, :3] = Rotation.from_rotvec(turn + shake).as_matrix()
    extrinsics[:, :3, 3] = [0.2, -0.1, 4.0]
    if moving_camera:
        extrinsics[:, :3, 3] += rng.normal(0, 0.1, (frames, 3))
    return Truth(pose, betas, transl, extrinsics, vertices, joints)


class _Python2Pickler(pickle._Pickler):  # type: ignore[misc]
    """Writes what Python 2's cPickle wrote: byte strings, and numpy's modules under their old names."""

    dispatch: ClassVar[dict] = dict(pickle._Pickler.dispatch)

    def _byte_string(self, data: bytes) -> None:
        self.write(b"T" + len(data).to_bytes(4, "little") + data)  # BINSTRING

    def save_text(self, text: str) -> None:
        self._byte_string(text.encode("latin1"))

    def save_raw(self, data: bytes) -> None:
        self._byte_string(data)

    dispatch[str] = save_text
    dispatch[bytes] = save_raw

    def save_global(self, obj: Any, name: str | None = None) -> None:
        module = getattr(obj, "__module__", "numpy") or "numpy"
        module = module.replace("numpy._core", "numpy.core")
        name = name or obj.__name__
        if name == "_reconstruct":
            module = "numpy.core.multiarray"
        self.write(b"c" + f"{module}\n{name}\n".encode())
        self.memoize(obj)

    dispatch[type] = save_global
    dispatch[type(make_truth)] = save_global
    dispatch[type(len)] = save_global


def write_python2_pickle(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    _Python2Pickler(buffer, protocol=2).dump(content)
    path.write_bytes(buffer.getvalue())


def write_pickle(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content))


def _json(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


INTRINSICS = np.array([[1961.1, 0, 540.0], [0, 1969.2, 960.0], [0, 0, 1.0]])


def write_3dpw(root: Path, split: str = "test", sequence: str = "downtown_x_00") -> list[Truth]:
    """Two people; frame 3 of the second has no camera, frame 1 of the first no 2D joints."""
    people = [make_truth(1), make_truth(2)]
    people[1].extrinsics = people[0].extrinsics
    frames = FRAMES
    poses2d = []
    for _ in people:
        seen = np.random.default_rng(0).uniform(0.4, 0.9, (frames, 3, 18))
        seen[:, :2] *= 1000
        poses2d.append(seen)
    poses2d[0][1] = 0
    valid = [np.ones(frames), np.ones(frames)]
    valid[1][3] = 0
    content = {
        "sequence": sequence,
        # Some files have 300 betas.
        "betas": [people[0].betas, np.concatenate([people[1].betas, np.ones(290)])],
        "poses": [p.pose.reshape(frames, 72) for p in people],
        "trans": [p.transl for p in people],
        "poses_60Hz": [np.repeat(p.pose.reshape(frames, 72), 2, 0) for p in people],
        "trans_60Hz": [np.repeat(p.transl, 2, 0) for p in people],
        "betas_clothed": [p.betas for p in people],
        "v_template_clothed": [np.zeros((6890, 3))] * 2,
        "genders": ["m", "f"],
        "texture_maps": [],
        "poses2d": poses2d,
        "jointPositions": [p.world_joints.reshape(frames, 72) for p in people],
        "img_frame_ids": np.arange(frames) * 2,
        "cam_poses": people[0].extrinsics,
        "campose_valid": valid,
        "cam_intrinsics": INTRINSICS,
    }
    write_python2_pickle(root / "sequenceFiles" / split / f"{sequence}.pkl", content)
    return people


def write_human36m(root: Path) -> Truth:
    """S9, action 2 (Directions), take 1, camera 4, of which NeuralAnnot lacks frame 2; and S1."""
    truth = make_truth(3, moving_camera=False)
    e = truth.extrinsics[0]
    for subject in (1, 9):
        prefix = root / "annotations" / f"Human36M_subject{subject}"
        name = f"s_{subject:02d}_act_02_subact_01_ca_04"
        images = [
            {
                "id": 100 + f,
                "file_name": f"{name}/{name}_{f + 1:06d}.jpg",
                "width": 1000,
                "height": 1002,
                "subject": subject,
                "action_name": "Directions",
                "action_idx": 2,
                "subaction_idx": 1,
                "cam_idx": 4,
                "frame_idx": f,
            }
            for f in reversed(range(FRAMES))
        ]
        boxes = [{"id": i["id"], "image_id": i["id"], "bbox": [1, 2, 3, 4]} for i in images]
        _json(Path(f"{prefix}_data.json"), {"images": images, "annotations": boxes})
        camera = {
            "R": e[:3, :3].tolist(),
            "t": (1000 * e[:3, 3]).tolist(),
            "f": [1145.0, 1143.8],
            "c": [512.5, 515.4],
        }
        _json(Path(f"{prefix}_camera.json"), {"4": camera})
        joints = {str(f): (1000 * truth.world_joints[f, :17]).tolist() for f in range(FRAMES)}
        _json(Path(f"{prefix}_joint_3d.json"), {"2": {"1": joints}})
        smpl = {
            str(f): {
                "pose": truth.pose[f].ravel().tolist(),
                "shape": truth.betas.tolist(),
                "trans": truth.transl[f].tolist(),
            }
            for f in range(FRAMES)
            if f != 2
        }
        _json(Path(f"{prefix}_SMPL_NeuralAnnot.json"), {"2": {"1": smpl}})
    return truth


def write_emdb(root: Path) -> Truth:
    truth = make_truth(4)
    content = {
        "gender": "female",
        "name": "P3_02_walk",
        "emdb1": True,
        "emdb2": False,
        "n_frames": FRAMES,
        "good_frames_mask": np.array([True, True, False, True, True]),
        "camera": {
            "intrinsics": np.array([[1436.4, 0, 723.3], [0, 1436.4, 964.0], [0, 0, 1]]),
            "extrinsics": truth.extrinsics,
            "width": 1440,
            "height": 1920,
        },
        "smpl": {
            "poses_root": truth.pose[:, 0],
            "poses_body": truth.pose[:, 1:].reshape(FRAMES, 69),
            "trans": truth.transl,
            "betas": truth.betas,
        },
        "kp2d": np.ones((FRAMES, 24, 2)),
        "bboxes": {"bboxes": np.ones((FRAMES, 4)), "invalid_idxs": np.array([2])},
    }
    write_pickle(root / "P3" / "02_walk" / "P3_02_walk_data.pkl", content)
    return truth


def write_amass(path: Path, seed: int = 5) -> Truth:
    """A take of the SMPL-H release, with bent fingers."""
    truth = make_truth(seed, hands=False)
    poses = np.full((FRAMES, 156), 0.3)
    poses[:, :66] = truth.pose[:, :22].reshape(FRAMES, 66)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(
        path,
        trans=truth.transl,
        gender=np.array("female"),
        mocap_framerate=np.array(120.0),
        betas=np.concatenate([truth.betas, np.ones(6)]),
        dmpls=np.zeros((FRAMES, 8)),
        poses=poses,
    )
    return truth


def write_3dhp(root: Path) -> Truth:
    """S1/Seq1 as MATLAB 5 with 14 cameras, and TS1 as HDF5 with frame 2 not valid."""
    import h5py
    from scipy.io import savemat

    truth = make_truth(6, moving_camera=False)
    take = root / "S1" / "Seq1"
    take.mkdir(parents=True)
    annot2, annot3 = np.empty((14, 1), object), np.empty((14, 1), object)
    lines = ["Skeletool Camera Calibration File V1.0"]
    for camera in range(14):
        extrinsic = truth.extrinsics[0].copy()
        extrinsic[:3, 3] += camera
        points = np.zeros((FRAMES, 28, 3))
        points[:, :24] = truth.joints + camera
        annot2[camera, 0] = np.full((FRAMES, 56), float(camera))
        annot3[camera, 0] = 1000 * points.reshape(FRAMES, 84)
        extrinsic[:3, 3] *= 1000
        k = [1497.693, 0, 1024.704, 0, 0, 1497.103, 1051.394, 0, 0, 0, 1, 0, 0, 0, 0, 1]
        lines += [
            f"name          {camera}",
            "  sensor      10 10",
            "  size        2048 2048",
            "  animated    0",
            "  intrinsic   " + " ".join(map(str, k)),
            "  extrinsic   " + " ".join(repr(float(v)) for v in extrinsic.ravel()),
            "  radial      0",
        ]
    savemat(take / "annot.mat", {"annot2": annot2, "annot3": annot3})
    (take / "camera.calibration").write_text("\n".join(lines) + "\n")
    test = root / "mpi_inf_3dhp_test_set" / "TS1"
    test.mkdir(parents=True)
    with h5py.File(test / "annot_data.mat", "w") as file:
        file["annot2"] = np.ones((FRAMES, 1, 17, 2))
        file["univ_annot3"] = 1000 * truth.joints[:, None, :17]
        file["valid_frame"] = np.array([[1, 1, 0, 1, 1]]).T
    return truth


def write_aist(root: Path, leak: bool = False) -> tuple[Truth, float]:
    """One dance by d04 (test), others listed for train and val; the scaling is 93."""
    truth = make_truth(7, moving_camera=False, betas=np.zeros(10))
    scaling, dance = 93.0, "gBR_sBM_cAll_d04_mBR0_ch01"
    motion = {
        "smpl_loss": 1.0,
        "smpl_poses": truth.pose.reshape(FRAMES, 72),
        "smpl_scaling": np.array([scaling]),
        "smpl_trans": truth.transl * scaling,
    }
    write_pickle(root / "motions" / f"{dance}.pkl", motion)
    joints = truth.world_joints[:, :17] * scaling
    write_pickle(
        root / "keypoints3d" / f"{dance}.pkl",
        {"keypoints3d": joints, "keypoints3d_optim": joints},
    )
    points = np.arange(9.0)[:, None, None, None] * np.ones((9, FRAMES, 17, 3))
    write_pickle(root / "keypoints2d" / f"{dance}.pkl", {"keypoints2d": points})
    e = truth.extrinsics[0]
    cameras = [
        {
            "name": f"c{number:02d}",
            "size": [1920, 1080],
            "matrix": [[1400.0, 0, 960.0], [0, 1401.0, 540.0], [0, 0, 1]],
            "rotation": Rotation.from_matrix(e[:3, :3]).as_rotvec().tolist(),
            "translation": (scaling * (e[:3, 3] + [0, 0, number - 1])).tolist(),
            "distortions": [0.01, 0, 0, 0, 0],
        }
        for number in range(1, 10)
    ]
    _json(root / "cameras" / "setting1.json", cameras)
    (root / "cameras" / "mapping.txt").write_text(f"{dance} setting1\n")
    (root / "splits").mkdir()
    other = dance.replace("d04", "d04" if leak else "d07").replace("ch01", "ch02")
    for split, name in (("train", other), ("val", dance.replace("d04", "d08")), ("test", dance)):
        (root / "splits" / f"pose_{split}.txt").write_text(name + "\n")
    return truth, scaling


def write_bedlam(root: Path) -> list[Truth]:
    """Two people in one sequence, rows mixed up; the second is missing in frame 2."""
    people = [make_truth(8, moving_camera=False), make_truth(9, moving_camera=False)]
    people[1].extrinsics = people[0].extrinsics
    rows: dict[str, list[Any]] = {}
    for frame in reversed(range(FRAMES)):
        for number, truth in enumerate(people):
            if (number, frame) == (1, 2):
                continue
            e = truth.extrinsics[frame]
            turn = Rotation.from_matrix(e[:3, :3])
            # The pelvis of the unposed body, which the root turns about.
            rest = truth.world_joints[frame, 0] - truth.transl[frame]
            pose = truth.pose[frame].copy()
            pose[0] = (turn * Rotation.from_rotvec(pose[0])).as_rotvec()
            trans_cam = e[:3, :3] @ truth.world_joints[frame, 0] - rest
            row = {
                "imgname": f"seq_000007/seq_000007_{5 * frame:04d}.png",
                "pose_cam": pose.ravel(),
                "shape": truth.betas,
                "trans_cam": trans_cam,
                "cam_int": np.array([[1500.0, 0, 640], [0, 1500, 360], [0, 0, 1]]),
                "cam_ext": e,
                "gender": "female",
                "sub": f"rp_person_{number}",
            }
            for key, value in row.items():
                rows.setdefault(key, []).append(value)
    folder = root / "all_npz_12_training"
    folder.mkdir(parents=True)
    (root / "training_images" / "20221010_scene" / "png").mkdir(parents=True)
    np.savez(folder / "20221010_scene.npz", **{key: np.array(v) for key, v in rows.items()})
    return people


def write_bvh(path: Path, rotations: np.ndarray, lift: float = 90.0) -> None:
    """A T-posed skeleton in cm, facing +x; `rotations` [F, J, 3] degrees about z, x, y of each joint."""
    joints = BVH_JOINTS
    children = {name: [j for j in joints if j[1] == name] for name, *_ in joints}

    def block(joint: tuple, indent: int) -> list[str]:
        name, parent, offset = joint
        pad = "  " * indent
        channels = "Zrotation Xrotation Yrotation"
        if parent is None:
            channels = "Xposition Yposition Zposition " + channels
        out = [
            f"{pad}{'ROOT' if parent is None else 'JOINT'} {name}",
            f"{pad}{{",
            f"{pad}  OFFSET {offset[0]} {offset[1]} {offset[2]}",
            f"{pad}  CHANNELS {len(channels.split())} {channels}",
        ]
        for child in children[name]:
            out += block(child, indent + 1)
        if not children[name]:
            out += [f"{pad}  End Site", f"{pad}  {{", f"{pad}    OFFSET 0 0 0", f"{pad}  }}"]
        return [*out, f"{pad}}}"]

    lines = ["HIERARCHY", *block(joints[0], 0), "MOTION", f"Frames: {len(rotations)}"]
    lines.append("Frame Time: 0.0083333")
    for frame in rotations:
        values = [0.0, lift, 0.0, *frame.ravel()]
        lines.append(" ".join(f"{v:.9f}" for v in values))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


# Depth first, as a BVH file lists them; the left side is at -z, so that the figure faces +x.
BVH_JOINTS: list[tuple[str, str | None, tuple[float, float, float]]] = [
    ("Hips", None, (0, 0, 0)),
    ("LeftUpLeg", "Hips", (0, -5, -8)),
    ("LeftLeg", "LeftUpLeg", (0, -40, 0)),
    ("LeftFoot", "LeftLeg", (0, -40, 0)),
    ("RightUpLeg", "Hips", (0, -5, 8)),
    ("RightLeg", "RightUpLeg", (0, -40, 0)),
    ("RightFoot", "RightLeg", (0, -40, 0)),
    ("Spine", "Hips", (0, 20, 0)),
    ("Spine1", "Spine", (0, 20, 0)),
    ("LeftShoulder", "Spine1", (0, 10, -5)),
    ("LeftArm", "LeftShoulder", (0, 0, -12)),
    ("LeftForeArm", "LeftArm", (0, 0, -28)),
    ("LeftHand", "LeftForeArm", (0, 0, -25)),
    ("RightShoulder", "Spine1", (0, 10, 5)),
    ("RightArm", "RightShoulder", (0, 0, 12)),
    ("RightForeArm", "RightArm", (0, 0, 28)),
    ("RightHand", "RightForeArm", (0, 0, 25)),
    ("Head", "Spine1", (0, 20, 0)),
]
