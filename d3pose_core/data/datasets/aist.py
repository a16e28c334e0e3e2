"""AIST++ (Li et al., ICCV 2021): dancers seen by nine cameras, SMPL fitted; annotations CC BY 4.0.

Its world is in centimetres, and its dancers are SMPL bodies times `smpl_scaling` (about 90 where 100 would
be true to size). Everything is divided by that factor here, so that bodies, joints and cameras agree: the
images are the same, and distances are those of a dancer of SMPL's size.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from d3pose_core.camera import Intrinsics
from d3pose_core.data.datasets.dataset import Dataset
from d3pose_core.data.datasets.restricted_pickle import load_arrays
from d3pose_core.data.datasets.sequence import (
    Y_UP,
    DatasetPerson,
    DatasetSequence,
    Joints2D,
    Joints3D,
    SmplTrack,
    pinhole,
)
from d3pose_core.data.datasets.world_to_camera import (
    WHY_BODIES,
    rest_pelvis,
    rotation_matrices,
    smpl_into_camera,
)
from d3pose_core.distortion import Distortion
from d3pose_core.errors import InputError

FPS = 60.0
COCO17 = (
    *("nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder"),
    *("left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip"),
    *("left_knee", "right_knee", "left_ankle", "right_ankle"),
)
_CAMERAS = 9
_GENDER = "male"


class Aist(Dataset):
    """A sequence is a dance and a camera: `gBR_sBM_c01_d04_mBR0_ch01`.

    The splits are the dataset's `pose_...` lists, by dancer; a list that shares a dancer with another is an
    error. Sequences of `ignore_list.txt` are left out. SMPL needs `bodies` (male: the makers fitted SMPL's
    male body of average shape to everybody). Images, if unpacked, lie in `images/SEQUENCE/000000.jpg`.
    """

    key = "aist"
    title = "AIST++"
    where_to_get = "https://google.github.io/aistplusplus_dataset/"
    layout = (
        "motions/*.pkl, keypoints2d/*.pkl, keypoints3d/*.pkl, cameras/{mapping.txt,setting1.json,...}, "
        "splits/pose_{train,val,test}.txt, ignore_list.txt"
    )
    splits = ("train", "val", "test", "all")

    def _find(self) -> list[str]:
        ignored = set()
        if (self.root / "ignore_list.txt").is_file():
            ignored = set((self.root / "ignore_list.txt").read_text().split())
        files = {path.stem for path in (self.root / "motions").glob("*.pkl")} - ignored
        self._settings = dict(
            line.split()[:2]
            for line in self.need(self.root / "cameras" / "mapping.txt").read_text().splitlines()
            if line.strip()
        )
        if self.split != "all":
            files &= {name.replace("_c01_", "_cAll_") for name in self._listed(self.split)}
        return [
            name.replace("_cAll_", f"_c{camera:02d}_")
            for name in files
            for camera in range(1, _CAMERAS + 1)
        ]

    def _listed(self, split: str) -> set[str]:
        """The sequences of a split; no dancer may be in another one."""
        names: dict[str, set[str]] = defaultdict(set)
        for each in self.splits[:3]:
            path = self.need(self.root / "splits" / f"pose_{each}.txt")
            names[each] = {_all_cameras(line) for line in path.read_text().split()}
        ours = {_dancer(name) for name in names[split]}
        for other in set(names) - {split}:
            if shared := ours & {_dancer(name) for name in names[other]}:
                raise InputError(
                    f"{self.root / 'splits'}: dancers {', '.join(sorted(shared))} are in pose_{split} and in "
                    f"pose_{other}; download the lists again"
                )
        return names[split]

    def _load(self, name: str) -> DatasetSequence:
        dance, camera_index = _all_cameras(name), int(name.split("_")[2][1:]) - 1
        path = self.need(self.root / "motions" / f"{dance}.pkl")
        pose, scaling, transl = (
            np.asarray(value, np.float64)
            for value in self.fields(
                path, load_arrays(path), "smpl_poses", "smpl_scaling", "smpl_trans"
            )
        )
        pose, scale = pose.reshape(-1, 24, 3), float(scaling.ravel()[0])
        transl, frames = transl / scale, len(pose)
        camera = self._camera(dance, camera_index)
        turn = rotation_matrices(np.asarray(camera["rotation"], np.float64).ravel())
        rotation = np.broadcast_to(turn, (frames, 3, 3))
        shift = np.asarray(camera["translation"], np.float64).ravel() / scale
        translation = np.broadcast_to(shift, (frames, 3))
        smpl, reason = None, WHY_BODIES
        if self.bodies is not None:
            betas = np.zeros((frames, 10))
            pelvis = rest_pelvis(self.bodies, _GENDER, betas)
            orient, transl = smpl_into_camera(pose[:, 0], transl, pelvis, rotation, translation)
            smpl, reason = SmplTrack("smpl", _GENDER, betas, orient, pose[:, 1:], transl), ""

        joints = self._joints(dance, frames) / scale
        joints = np.einsum("fij,fnj->fni", rotation, joints) + translation[:, None]
        pixels = self._pixels(dance, camera_index, frames)
        images = self.root / "images" / name
        return DatasetSequence(
            dataset=self.key,
            name=name,
            split=self.split,
            subject=_dancer(name),
            frame_ids=np.arange(frames),
            times_s=np.arange(frames) / FPS,
            rotation=rotation,
            translation=translation,
            people=(
                DatasetPerson(
                    person_id=0,
                    valid=np.isfinite(joints).all((1, 2)),
                    smpl=smpl,
                    smpl_missing_because=reason,
                    joints=Joints3D(COCO17, joints),
                    joints_2d=pixels,
                ),
            ),
            intrinsics=_intrinsics(camera),
            image_paths=tuple(images / f"{i:06d}.jpg" for i in range(frames)),
            up=Y_UP,
            action=name.split("_")[0],
        )

    def _camera(self, dance: str, index: int) -> dict[str, Any]:
        if dance not in self._settings:
            raise InputError(f"{self.title}: cameras/mapping.txt does not name {dance}")
        path = self.need(self.root / "cameras" / f"{self._settings[dance]}.json")
        cameras = json.loads(path.read_text())
        wanted = f"c{index + 1:02d}"
        for camera in cameras:
            if camera["name"] == wanted:
                return camera
        raise InputError(f"{path} has no camera {wanted}")

    def _joints(self, dance: str, frames: int) -> np.ndarray:
        path = self.need(self.root / "keypoints3d" / f"{dance}.pkl")
        file = load_arrays(path)
        # The second is what the first was before it was smoothed.
        name = "keypoints3d" if "keypoints3d_optim" not in file else "keypoints3d_optim"
        (joints,) = self.fields(path, file, name)
        return _of_length(np.asarray(joints, np.float64).reshape(-1, 17, 3), frames)

    def _pixels(self, dance: str, camera: int, frames: int) -> Joints2D | None:
        path = self.root / "keypoints2d" / f"{dance}.pkl"
        if not path.is_file():
            return None
        file = load_arrays(path)
        (views,) = self.fields(path, file, "keypoints2d")
        if "bboxes" in file:  # people are many, and have hands and faces
            points = _largest_people(views[camera], file["bboxes"][camera])
        else:
            points = np.asarray(views[camera], np.float64)
        points = _of_length(points, frames)
        return Joints2D(COCO17, points[..., :2], np.nan_to_num(points[..., 2]))


def _largest_people(views: Any, boxes: Any) -> np.ndarray:
    """[F, 17, 3] of keypoints F x (people x (133, 3)) and boxes F x (people x (x0, y0, x1, y1, score)).

    The makers' later release has COCO's 133 whole-body points, of which the first are the body's.
    """
    out = np.full((len(views), 17, 3), np.nan)
    for frame, (people, found) in enumerate(zip(views, boxes, strict=True)):
        if len(people):
            box = np.asarray(found, np.float64).reshape(len(people), -1)
            area = (box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1])
            out[frame] = np.asarray(people[int(area.argmax())], np.float64).reshape(-1, 3)[:17]
    return out


def _of_length(values: np.ndarray, frames: int) -> np.ndarray:
    """Cut, or filled up with nan: keypoints may end a little before or after the motion."""
    missing = max(0, frames - len(values))
    return np.pad(values[:frames], ((0, missing), (0, 0), (0, 0)), constant_values=np.nan)


def _all_cameras(name: str) -> str:
    """gBR_sBM_c01_d04_mBR0_ch01 -> gBR_sBM_cAll_d04_mBR0_ch01."""
    parts = Path(name).name.split("_")
    return "_".join([*parts[:2], "cAll", *parts[3:]])


def _dancer(name: str) -> str:
    return name.split("_")[3]


def _intrinsics(camera: dict[str, Any]) -> Intrinsics:
    matrix = camera["matrix"]
    width, height = camera["size"]
    distortion = np.asarray(camera["distortions"], np.float64).ravel()
    lens = Distortion("plumb_bob", tuple(distortion.tolist())) if distortion.any() else None
    return pinhole(np.array(matrix), width, height, lens)
