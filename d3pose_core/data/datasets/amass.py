"""AMASS (Mahmood et al., ICCV 2019): motion capture as SMPL-H or SMPL-X, one .npz a take; no camera.

Splits are those of the AMASS authors, by whole sub-dataset, so that nobody is in two of them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from d3pose_core.data.datasets.dataset import Dataset, first_betas, full_gender
from d3pose_core.data.datasets.restricted_pickle import Npz
from d3pose_core.data.datasets.sequence import Z_UP, DatasetPerson, DatasetSequence, SmplTrack
from d3pose_core.errors import InputError

_VALIDATION = ("HumanEva", "MPI_HDM05", "HDM05", "SFU", "MPI_mosh", "MoSh")
_TEST = ("Transitions_mocap", "Transitions", "SSM_synced", "SSM")
# How a release calls a take's file, and its number of pose values: 3 x 52 and 3 x 55 joints.
_TAKES = ("*_poses.npz", "*_stageii.npz")
_BODY = 66  # pose values of the root and 21 joints of the body, which come first in both
_MODELS = {156: "smplh", 165: "smplx", _BODY: "smplx"}
# The SMPL-X release has them in pieces, too.
_POSE_PARTS = ("root_orient", "pose_body")
_RATES = ("mocap_framerate", "mocap_frame_rate")


class Amass(Dataset):
    """`PART/SUBJECT/TAKE_poses.npz` (SMPL-H) and `..._stageii.npz` (SMPL-X); `model` says which it was.

    Fingers, jaw and eyes are left out: our joints 22 and 23 keep their rest rotation. Betas are of the
    model and gender that the track names.
    """

    key = "amass"
    title = "AMASS"
    where_to_get = "https://amass.is.tue.mpg.de (download the SMPL+H G or the SMPL-X archives)"
    layout = "PART/SUBJECT/TAKE_poses.npz or ..._stageii.npz, e.g. CMU/01/01_01_poses.npz"
    splits = ("train", "validation", "test", "all")

    def _find(self) -> list[str]:
        paths = [path for pattern in _TAKES for path in self.root.rglob(pattern)]
        names = [path.relative_to(self.root).with_suffix("").as_posix() for path in paths]
        return [
            name for name in names if self.split in ("all", split_of_part(self._part_of(name)[0]))
        ]

    def _part_of(self, name: str) -> tuple[str, str]:
        """Sub-dataset and subject; the root may be a single sub-dataset's folder."""
        folders = Path(name).parts[:-1]
        part = folders[0] if len(folders) > 1 else self.root.resolve().name
        return part, folders[-1] if folders else part

    def _load(self, name: str) -> DatasetSequence:
        path = self.need(self.root / f"{name}.npz")
        file = Npz(path)
        pose_names = _POSE_PARTS if "poses" not in file and _POSE_PARTS[0] in file else ("poses",)
        rate_name = next((name for name in _RATES if name in file), _RATES[0])
        *poses, transl, betas, gender, rate = self.fields(
            path, file, *pose_names, "trans", "betas", "gender", rate_name
        )
        body, model = self._pose(path, np.concatenate(poses, -1))
        frames = len(body)
        if not frames or transl.shape != (frames, 3):
            raise InputError(
                f"{path}: {frames} poses, but trans is {list(transl.shape)}; {self._help()}"
            )
        pose = np.zeros((frames, 24, 3))
        pose[:, :22] = body.reshape(frames, 22, 3)
        smpl = SmplTrack(
            model=model,
            gender=full_gender(gender),
            betas=np.broadcast_to(first_betas(betas), (frames, 10)),
            global_orient=pose[:, 0],
            body_pose=pose[:, 1:],
            transl=transl.astype(np.float64),
        )
        part, subject = self._part_of(name)
        return DatasetSequence(
            dataset=self.key,
            name=name,
            split=split_of_part(part),
            subject=f"{part}/{subject}",
            frame_ids=np.arange(frames),
            times_s=np.arange(frames) / float(rate),
            rotation=np.broadcast_to(np.eye(3), (frames, 3, 3)),
            translation=np.zeros((frames, 3)),
            people=(DatasetPerson(0, np.ones(frames, bool), smpl),),
            up=Z_UP,
        )

    def _pose(self, path: Path, poses: np.ndarray) -> tuple[np.ndarray, str]:
        """Root and body, [N, 66], and the model's name."""
        if poses.ndim != 2 or poses.shape[1] not in _MODELS:
            raise InputError(
                f"{path}: poses must be [N, 156] (SMPL-H) or [N, 165] (SMPL-X), got "
                f"{list(poses.shape)}; {self._help()}"
            )
        return poses[:, :_BODY], _MODELS[poses.shape[1]]


def split_of_part(part: str) -> str:
    """Which split a sub-dataset (e.g. "CMU") belongs to."""
    if part in _TEST:
        return "test"
    return "validation" if part in _VALIDATION else "train"
