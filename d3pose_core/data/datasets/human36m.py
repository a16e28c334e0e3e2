"""Human3.6M (Ionescu et al., PAMI 2014) in the JSON layout of 3DMPPE, with SMPL by NeuralAnnot.

Positions in the files are mm in the world; file names count images from 1, annotations from 0.
"""

from __future__ import annotations

import json
from collections import defaultdict
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from d3pose_core.camera import Intrinsics
from d3pose_core.data.datasets.dataset import Dataset
from d3pose_core.data.datasets.sequence import (
    DatasetPerson,
    DatasetSequence,
    Joints3D,
    SmplTrack,
)
from d3pose_core.data.datasets.world_to_camera import WHY_BODIES, rest_pelvis, smpl_into_camera
from d3pose_core.errors import InputError

FPS = 50.0
H36M17 = (
    *("pelvis", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle"),
    *("torso", "neck", "head", "head_top", "left_shoulder", "left_elbow", "left_wrist"),
    *("right_shoulder", "right_elbow", "right_wrist"),
)
# Nobody is in two splits.
SUBJECTS = {"train": (1, 5, 6, 7, 8), "test": (9, 11)}
ACTIONS = (
    *(
        "Directions",
        "Discussion",
        "Eating",
        "Greeting",
        "Phoning",
        "Posing",
        "Purchases",
        "Sitting",
    ),
    *("SittingDown", "Smoking", "Photo", "Waiting", "Walking", "WalkDog", "WalkTogether"),
)  # act_02 is the first


class Human36M(Dataset):
    """A sequence is one subject, action, take and camera. SMPL needs `bodies` (neutral).

    A frame is `valid` where the 17 joints are there; SMPL rows of frames that NeuralAnnot left out are nan.
    """

    key = "human36m"
    title = "Human3.6M"
    where_to_get = (
        "http://vision.imar.ro/human3.6m, annotations and images in this layout at "
        "https://github.com/mks0601/3DMPPE_POSENET_RELEASE, SMPL at https://github.com/mks0601/NeuralAnnot_RELEASE"
    )
    layout = (
        "annotations/Human36M_subject{S}_{data,camera,joint_3d,SMPL_NeuralAnnot}.json and "
        "images/s_01_act_02_subact_01_ca_01/*.jpg"
    )
    splits = tuple(SUBJECTS)

    def _find(self) -> list[str]:
        subjects = SUBJECTS[self.split]
        there = [s for s in subjects if self._file(s, "data").is_file()]
        if not there:
            raise self.missing(self._file(subjects[0], "data"))
        self._images: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for subject in there:
            for image in _read(self._file(subject, "data"))["images"]:
                self._images[_name(image)].append(image)
        return list(self._images)

    def _file(self, subject: int, what: str) -> Path:
        return self.root / "annotations" / f"Human36M_subject{subject}_{what}.json"

    def _at(self, subject: int, what: str, *keys: str) -> Any:
        """An entry of one of a subject's files. Raises InputError that names what is not there."""
        path = self.need(self._file(subject, what))
        found = _read(path)
        for key in keys:
            if key not in found:
                raise InputError(f"{self.title}: {path} has no {' / '.join(keys)}; {self._help()}")
            found = found[key]
        return found

    def _load(self, name: str) -> DatasetSequence:
        images = sorted(self._images[name], key=lambda image: image["frame_idx"])
        first = images[0]
        subject, action, take, camera_id = (
            str(first[key]) for key in ("subject", "action_idx", "subaction_idx", "cam_idx")
        )
        frame_ids = np.array([image["frame_idx"] for image in images])
        camera = self._at(first["subject"], "camera", camera_id)
        turn = np.asarray(camera["R"], np.float64).reshape(3, 3)
        shift = np.asarray(camera["t"], np.float64).ravel() / 1000
        rotation = np.broadcast_to(turn, (len(images), 3, 3))
        translation = np.broadcast_to(shift, (len(images), 3))

        in_world = self._at(first["subject"], "joint_3d", action, take)
        joints = np.full((len(images), 17, 3), np.nan)
        for row, frame in enumerate(frame_ids):
            if str(frame) in in_world:
                joints[row] = np.asarray(in_world[str(frame)], np.float64)[:17] / 1000
        valid = np.isfinite(joints).all((1, 2))
        joints = np.einsum("fij,fnj->fni", rotation, joints) + translation[:, None]
        smpl, reason = self._smpl(first["subject"], action, take, frame_ids, rotation, translation)
        (fx, fy), (cx, cy) = (np.ravel(camera[key])[:2].tolist() for key in ("f", "c"))
        person = DatasetPerson(
            person_id=0,
            valid=valid,
            smpl=smpl,
            smpl_missing_because=reason,
            joints=Joints3D(H36M17, joints),
        )
        return DatasetSequence(
            dataset=self.key,
            name=name,
            split=self.split,
            subject=f"S{subject}",
            frame_ids=frame_ids,
            times_s=(frame_ids - frame_ids[0]) / FPS,
            rotation=rotation,
            translation=translation,
            people=(person,),
            intrinsics=Intrinsics(fx, fy, cx, cy, first["width"], first["height"]),
            image_paths=tuple(
                self.root / "images" / image["file_name"].replace("\\", "/") for image in images
            ),
            up=np.array([0.0, 0.0, 1.0]),
            action=ACTIONS[int(action) - 2] if 2 <= int(action) < 17 else action,
        )

    def _smpl(
        self,
        subject: int,
        action: str,
        take: str,
        frame_ids: np.ndarray,
        rotation: np.ndarray,
        translation: np.ndarray,
    ) -> tuple[SmplTrack | None, str]:
        path = self._file(subject, "SMPL_NeuralAnnot")
        if not path.is_file():
            return (
                None,
                f"{path} is missing; it comes from {self.where_to_get.split('SMPL at ')[1]}",
            )
        if self.bodies is None:
            return None, WHY_BODIES
        frames = _read(path).get(action, {}).get(take, {})
        rows = [frames.get(str(frame)) for frame in frame_ids]

        def column(key: str, size: int) -> np.ndarray:
            nothing = np.full(size, np.nan)
            values = [nothing if row is None else np.ravel(row[key])[:size] for row in rows]
            return np.array(values, np.float64)

        pose, betas = column("pose", 72).reshape(-1, 24, 3), column("shape", 10)
        pelvis = rest_pelvis(self.bodies, "neutral", np.nan_to_num(betas))
        orient, transl = smpl_into_camera(
            np.nan_to_num(pose[:, 0]), column("trans", 3), pelvis, rotation, translation
        )
        orient[np.isnan(pose[:, 0])] = np.nan
        return SmplTrack("smpl", "neutral", betas, orient, pose[:, 1:], transl), ""


def _name(image: dict[str, Any]) -> str:
    return (
        "s_{subject:02d}_act_{action_idx:02d}_subact_{subaction_idx:02d}_ca_{cam_idx:02d}".format(
            **image
        )
    )


@lru_cache(maxsize=8)
def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise InputError(f"{path} is damaged JSON: {error}; download it again") from error
