"""3DPW (von Marcard et al., ECCV 2018): people outdoors, a hand-held camera, IMU-aided SMPL.

`sequenceFiles/{train,validation,test}/*.pkl` are pickles of Python 2 with lists over persons.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from d3pose_core.camera import Intrinsics
from d3pose_core.data.datasets.dataset import Dataset, first_betas, full_gender
from d3pose_core.data.datasets.restricted_pickle import load_arrays
from d3pose_core.data.datasets.sequence import (
    DatasetPerson,
    DatasetSequence,
    Joints2D,
    Joints3D,
    SmplTrack,
    pinhole,
)
from d3pose_core.data.datasets.world_to_camera import smpl_into_camera
from d3pose_core.errors import InputError
from d3pose_core.skeleton import JOINT_NAMES

FPS = 30.0
# The dataset's readme calls some entries otherwise than its files do.
_SPELLINGS = {"gender": "genders", "poses2D": "poses2d"}
# OpenPose's order of 18, with its left and right.
COCO18 = (
    *("nose", "neck", "right_shoulder", "right_elbow", "right_wrist"),
    *("left_shoulder", "left_elbow", "left_wrist", "right_hip", "right_knee", "right_ankle"),
    *("left_hip", "left_knee", "left_ankle", "right_eye", "left_eye", "right_ear", "left_ear"),
)


class ThreeDPW(Dataset):
    """Betas are of the person's own gender's SMPL body. `subject` is empty: the files don't name people.

    A frame is `valid` where `campose_valid` says that the camera fits. `joints_2d` are all zero where
    fewer than six joints were seen; protocols filter by them.
    """

    key = "3dpw"
    title = "3DPW"
    where_to_get = "https://virtualhumans.mpi-inf.mpg.de/3DPW/"
    layout = "sequenceFiles/{train,validation,test}/*.pkl and imageFiles/SEQUENCE/image_00000.jpg"
    splits = ("train", "validation", "test", "all")

    def _folders(self) -> list[Path]:
        names = self.splits[:3] if self.split == "all" else (self.split,)
        return [self.need(self.root / "sequenceFiles" / name) for name in names]

    def _find(self) -> list[str]:
        self._paths = {path.stem: path for f in self._folders() for path in f.glob("*.pkl")}
        return list(self._paths)

    def _load(self, name: str) -> DatasetSequence:
        path = self.need(self._paths[name])
        file: dict[str, Any] = load_arrays(path)
        self.fields(path, file, "sequence")
        for written, meant in _SPELLINGS.items():
            if written in file:
                file.setdefault(meant, file[written])
        sequence, extrinsics, matrix, genders = self.fields(
            path, file, "sequence", "cam_poses", "cam_intrinsics", "genders"
        )
        extrinsics = np.asarray(extrinsics, np.float64)
        frames = len(extrinsics)
        rotation, translation = extrinsics[:, :3, :3], extrinsics[:, :3, 3]
        images = self.root / "imageFiles" / str(sequence)
        return DatasetSequence(
            dataset=self.key,
            name=str(sequence),
            split=path.parent.name,
            subject="",
            frame_ids=np.arange(frames),
            times_s=np.arange(frames) / FPS,
            rotation=rotation,
            translation=translation,
            people=tuple(
                self._person(path, file, index, rotation, translation)
                for index in range(len(genders))
            ),
            intrinsics=_intrinsics(np.asarray(matrix, np.float64)),
            image_paths=tuple(images / f"image_{i:05d}.jpg" for i in range(frames)),
        )

    def _person(
        self,
        path: Path,
        file: dict[str, Any],
        index: int,
        rotation: np.ndarray,
        translation: np.ndarray,
    ) -> DatasetPerson:
        names = ("poses", "trans", "betas", "genders", "jointPositions", "poses2d", "campose_valid")
        pose, transl, betas, gender, joints, pixels, valid = (
            values[index] for values in self.fields(path, file, *names)
        )
        frames = len(rotation)
        pose = np.asarray(pose, np.float64).reshape(-1, 24, 3)
        transl = np.asarray(transl, np.float64).reshape(-1, 3)
        joints = np.asarray(joints, np.float64).reshape(-1, 24, 3)
        # The file knows where the pelvis is, so that no body model is needed.
        orient, transl = smpl_into_camera(
            pose[:, 0], transl, joints[:, 0] - transl, rotation, translation
        )
        smpl = SmplTrack(
            model="smpl",
            gender=full_gender(gender),
            betas=np.broadcast_to(first_betas(betas), (frames, 10)),
            global_orient=orient,
            body_pose=pose[:, 1:],
            transl=transl,
        )
        seen = _keypoints(path, np.asarray(pixels, np.float64))
        in_camera = np.einsum("fij,fnj->fni", rotation, joints) + translation[:, None]
        return DatasetPerson(
            person_id=index,
            valid=np.asarray(valid).ravel().astype(bool),
            smpl=smpl,
            joints=Joints3D(JOINT_NAMES, in_camera),
            joints_2d=Joints2D(COCO18, seen[..., :2], seen[..., 2]),
        )


def _keypoints(path: Path, pixels: np.ndarray) -> np.ndarray:
    """[F, 18, 3] x, y, confidence; files have them as [F, 3, 18]."""
    if pixels.ndim == 3 and pixels.shape[1:] == (3, 18):
        return pixels.transpose(0, 2, 1)
    if pixels.ndim == 3 and pixels.shape[1:] == (18, 3):
        return pixels
    raise InputError(f"{path}: poses2d must be [N, 3, 18], got {list(pixels.shape)}")


def _intrinsics(matrix: np.ndarray) -> Intrinsics:
    """The files don't say how large images are: 1920 x 1080, upright or not, which the centre tells."""
    width, height = (1920, 1080) if matrix[0, 2] > matrix[1, 2] else (1080, 1920)
    return pinhole(matrix, width, height)
