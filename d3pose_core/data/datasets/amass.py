"""AMASS (Mahmood et al., ICCV 2019): motion capture as SMPL-H, one .npz a take; no camera.

Splits are those of the AMASS authors, by whole sub-dataset, so that nobody is in two of them.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from d3pose_core.data.datasets.dataset import Dataset, full_gender
from d3pose_core.data.datasets.sequence import Z_UP, DatasetPerson, DatasetSequence, SmplTrack
from d3pose_core.errors import InputError

_VALIDATION = ("HumanEva", "MPI_HDM05", "HDM05", "SFU", "MPI_mosh", "MoSh")
_TEST = ("Transitions_mocap", "Transitions", "SSM_synced", "SSM")


class Amass(Dataset):
    """`PART/SUBJECT/TAKE_poses.npz` of the SMPL-H release.

    The fingers are left out: our joints 22 and 23 keep their rest rotation. SMPL-X files (`_stageii.npz`)
    are another release with other betas, and are not read.
    """

    key = "amass"
    title = "AMASS"
    where_to_get = "https://amass.is.tue.mpg.de (download the SMPL+H G archives)"
    layout = "PART/SUBJECT/TAKE_poses.npz, e.g. CMU/01/01_01_poses.npz"
    splits = ("train", "validation", "test", "all")

    def _find(self) -> list[str]:
        paths = [path.relative_to(self.root) for path in self.root.glob("*/*/*_poses.npz")]
        return [
            str(path.with_suffix(""))
            for path in paths
            if self.split in ("all", split_of_part(path.parts[0]))
        ]

    def load(self, name: str) -> DatasetSequence:
        path = self.need(self.root / f"{name}.npz")
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = {key: file[key] for key in file.files}
        except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise InputError(f"{path} is no .npz of AMASS: {error}; download it again") from error
        names = ("poses", "trans", "betas", "gender", "mocap_framerate")
        poses, transl, betas, gender, rate = self.fields(path, arrays, *names)
        frames = len(poses)
        if poses.shape != (frames, 156) or not frames:
            raise InputError(
                f"{path}: poses must be [N, 156] (SMPL-H), got {list(poses.shape)}; {self._help()}"
            )
        pose = np.zeros((frames, 24, 3))
        pose[:, :22] = poses[:, :66].reshape(frames, 22, 3)
        smpl = SmplTrack(
            model="smplh",
            gender=full_gender(gender),
            betas=np.broadcast_to(betas[:10].astype(np.float64), (frames, 10)),
            global_orient=pose[:, 0],
            body_pose=pose[:, 1:],
            transl=transl.astype(np.float64),
        )
        part, subject = Path(name).parts[:2]
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


def split_of_part(part: str) -> str:
    """Which split a sub-dataset (e.g. "CMU") belongs to."""
    if part in _TEST:
        return "test"
    return "validation" if part in _VALIDATION else "train"
