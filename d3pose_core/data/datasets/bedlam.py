"""BEDLAM (Black et al., CVPR 2023): rendered people in clothes; one .npz of labels a scene.

Rows are people in images, in any order. `pose_cam` and `trans_cam` are already the camera's, but for the
camera's translation: vertices = SMPL(pose_cam, shape) + trans_cam + cam_ext[:3, 3].
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from d3pose_core.data.datasets.dataset import Dataset, full_gender
from d3pose_core.data.datasets.sequence import (
    DatasetPerson,
    DatasetSequence,
    SmplTrack,
    pinhole,
)
from d3pose_core.errors import InputError

FPS = 30.0
_NAMES = ("imgname", "pose_cam", "shape", "trans_cam", "cam_int", "cam_ext", "gender", "sub")


class Bedlam(Dataset):
    """Labels in `all_npz_12_training/SCENE.npz`, images in `training_images/SCENE/png/seq_000000/*.png`.

    A sequence is one `seq_...` folder of a scene. Poses of 72 numbers are SMPL's, of 165 SMPL-X's, whose
    fingers, jaw and eyes are left out. Splits are folders whose names say "training" or "validation"; `all`
    takes every .npz. The images of "closeup" scenes are stored turned by 90 degrees: turn them upright
    before they are used. Intrinsics are those of the sequence's first image.
    """

    key = "bedlam"
    title = "BEDLAM"
    where_to_get = "https://bedlam.is.tue.mpg.de"
    layout = (
        "all_npz_12_{training,validation}/SCENE.npz and "
        "{training,validation}_images/SCENE/png/SEQUENCE/*.png"
    )
    splits = ("train", "validation", "all")

    def _find(self) -> list[str]:
        folders = [self.root]
        if self.split != "all":
            word = {"train": "training"}.get(self.split, self.split)
            folders = [f for f in self.root.iterdir() if f.is_dir() and word in f.name]
            if not folders:
                raise self.missing(self.root / f"{word}_labels")
        paths = sorted(path for folder in folders for path in folder.rglob("*.npz"))
        self._scenes = {path.stem: path for path in paths}
        names = []
        for scene, path in self._scenes.items():
            (images,) = self._arrays(path, "imgname")
            names += sorted({f"{scene}/{Path(str(image)).parent.name}" for image in images})
        return names

    def _arrays(self, path: Path, *names: str) -> list[np.ndarray]:
        try:
            with np.load(path, allow_pickle=False) as file:
                return [np.asarray(values) for values in self.fields(path, file, *names)]
        except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise InputError(f"{path} is no .npz of plain arrays: {error}") from error

    def _images(self, scene: str) -> Path:
        """Where a scene's pictures are: the makers have a folder for each split."""
        for folder in ("training_images", "validation_images"):
            if (self.root / folder / scene).is_dir():
                return self.root / folder / scene / "png"
        return self.root / "images" / scene / "png"

    def load(self, name: str) -> DatasetSequence:
        scene, folder = name.split("/")
        path = self._scenes[scene]
        columns = dict(zip(_NAMES, self._arrays(path, *_NAMES), strict=True))
        images = np.array([str(image) for image in columns["imgname"]])
        rows = np.flatnonzero([Path(image).parent.name == folder for image in images])
        columns = {key: values[rows] for key, values in columns.items()}
        images = images[rows]
        frame_of = np.array([int(Path(image).stem.rsplit("_", 1)[1]) for image in images])
        frame_ids, first = np.unique(frame_of, return_index=True)
        extrinsics = columns["cam_ext"].astype(np.float64)
        subjects = [str(sub) for sub in columns["sub"]]
        people = tuple(
            _person(number, subject, columns, subjects, frame_of, frame_ids)
            for number, subject in enumerate(sorted(set(subjects)))
        )
        k = columns["cam_int"][first[0]].astype(float)
        return DatasetSequence(
            dataset=self.key,
            name=name,
            split=self.split,
            subject=", ".join(sorted(set(subjects))),
            frame_ids=frame_ids,
            times_s=(frame_ids - frame_ids[0]) / FPS,
            rotation=extrinsics[first, :3, :3],
            translation=extrinsics[first, :3, 3],
            people=people,
            # The principal point is the image's centre.
            intrinsics=pinhole(k, round(2 * k[0, 2]), round(2 * k[1, 2])),
            image_paths=tuple(self._images(scene) / images[row] for row in first),
        )


def _person(
    number: int,
    subject: str,
    columns: dict[str, np.ndarray],
    subjects: list[str],
    frame_of: np.ndarray,
    frame_ids: np.ndarray,
) -> DatasetPerson:
    """One subject's rows, spread over all frames; nan where there is none."""
    rows = np.flatnonzero([each == subject for each in subjects])
    place = np.searchsorted(frame_ids, frame_of[rows])
    frames = len(frame_ids)

    def spread(values: np.ndarray, size: int) -> np.ndarray:
        out = np.full((frames, size), np.nan)
        out[place] = values[rows].astype(np.float64)[:, :size]
        return out

    poses = columns["pose_cam"]
    is_smplx = poses.shape[1] != 72
    pose = spread(poses, 72).reshape(frames, 24, 3)
    if is_smplx:
        pose[place, 22:] = 0
    transl = columns["trans_cam"] + columns["cam_ext"][:, :3, 3]
    valid = np.zeros(frames, bool)
    valid[place] = True
    smpl = SmplTrack(
        model="smplx" if is_smplx else "smpl",
        gender=full_gender(columns["gender"][rows[0]]),
        betas=spread(columns["shape"], 10),
        global_orient=pose[:, 0],
        body_pose=pose[:, 1:],
        transl=spread(transl, 3),
    )
    return DatasetPerson(person_id=number, valid=valid, smpl=smpl)
