"""EMDB (Kaufmann et al., ICCV 2023): one person and a moving phone, SMPL by electromagnetic sensors."""

from __future__ import annotations

import numpy as np

from d3pose_core.data.datasets.dataset import Dataset, first_betas, full_gender
from d3pose_core.data.datasets.restricted_pickle import load_arrays
from d3pose_core.data.datasets.sequence import (
    DatasetPerson,
    DatasetSequence,
    Joints2D,
    SmplTrack,
    pinhole,
)
from d3pose_core.data.datasets.world_to_camera import WHY_BODIES, rest_pelvis, smpl_into_camera
from d3pose_core.skeleton import JOINT_NAMES

FPS = 30.0


class Emdb(Dataset):
    """Made for testing: its "splits" are the two lists of its authors, `emdb1` (camera space) and `emdb2`
    (world space), which share sequences, and `all`.

    SMPL needs `bodies` of the person's gender. A frame is `valid` where `good_frames_mask` says so; of boxes
    listed as invalid nothing is left but nan.
    """

    key = "emdb"
    title = "EMDB"
    where_to_get = "https://eth-ait.github.io/emdb/"
    layout = "P0/00_mvs_a/P0_00_mvs_a_data.pkl with P0/00_mvs_a/images/00000.jpg"
    splits = ("emdb1", "emdb2", "all")

    def _find(self) -> list[str]:
        paths = sorted(self.root.glob("P*/*/*_data.pkl"))
        if self.split != "all":
            paths = [path for path in paths if load_arrays(path).get(self.split)]
        self._paths = {path.parent.relative_to(self.root).as_posix(): path for path in paths}
        return list(self._paths)

    def _load(self, name: str) -> DatasetSequence:
        path = self.need(self._paths[name])
        file = load_arrays(path)
        names = ("gender", "good_frames_mask", "camera", "smpl", "kp2d", "bboxes")
        gender, good, camera, parameters, pixels, boxes = self.fields(path, file, *names)
        matrix, extrinsics, width, height = self.fields(
            path, camera, "intrinsics", "extrinsics", "width", "height"
        )
        extrinsics = np.asarray(extrinsics, np.float64)
        frames = len(extrinsics)
        rotation, translation = extrinsics[:, :3, :3], extrinsics[:, :3, 3]

        smpl, reason = None, WHY_BODIES
        if self.bodies is not None:
            orient, pose, transl, betas = (
                np.asarray(value, np.float64)
                for value in self.fields(
                    path, parameters, "poses_root", "poses_body", "trans", "betas"
                )
            )
            gender = full_gender(gender)
            betas = np.broadcast_to(first_betas(betas), (frames, 10))
            orient, transl = orient.reshape(-1, 3), transl.reshape(-1, 3)
            pelvis = rest_pelvis(self.bodies, gender, betas)
            orient, transl = smpl_into_camera(orient, transl, pelvis, rotation, translation)
            smpl = SmplTrack("smpl", gender, betas, orient, pose.reshape(-1, 23, 3), transl)
            reason = ""
        pixels = np.asarray(pixels, np.float64)
        known, invalid = self.fields(path, boxes, "bboxes", "invalid_idxs")
        known = np.array(known, np.float64)
        known[np.asarray(invalid, int).ravel()] = np.nan
        return DatasetSequence(
            dataset=self.key,
            name=name,
            split=self.split,
            subject=name.split("/")[0],
            frame_ids=np.arange(frames),
            times_s=np.arange(frames) / FPS,
            rotation=rotation,
            translation=translation,
            people=(
                DatasetPerson(
                    person_id=0,
                    valid=np.asarray(good).ravel().astype(bool),
                    smpl=smpl,
                    smpl_missing_because=reason,
                    joints_2d=Joints2D(JOINT_NAMES, pixels, np.ones(pixels.shape[:2])),
                    boxes=known,
                ),
            ),
            intrinsics=pinhole(np.asarray(matrix), width, height),
            image_paths=tuple(path.parent / "images" / f"{i:05d}.jpg" for i in range(frames)),
        )
