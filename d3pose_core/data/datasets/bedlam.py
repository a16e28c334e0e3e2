"""BEDLAM (Black et al., CVPR 2023) and BEDLAM2: rendered people in clothes; one .npz of labels a scene.

Rows are people in images, in any order. `pose_cam` and `trans_cam` are already the camera's, but for a
translation: vertices = SMPL(pose_cam, shape) + trans_cam + cam_ext[:3, 3]. In the makers' files that
translation is the person's place, and the camera's yaw is turned into the people: everybody has a world of
their own, which shares only its vertical with those of the others.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from d3pose_core.data.datasets.dataset import Dataset, full_gender
from d3pose_core.data.datasets.restricted_pickle import Npz
from d3pose_core.data.datasets.sequence import (
    DatasetPerson,
    DatasetSequence,
    SmplTrack,
    pinhole,
)
from d3pose_core.errors import InputError

FPS = 30.0
_NAMES = ("imgname", "pose_cam", "shape", "trans_cam", "cam_int", "cam_ext", "gender")
_SMPL_POSE = 72
# Labels with eleven betas are of the neutral body: the eleventh blends towards a child. Their `gender` is
# the subject's, which only the images show.
_NEUTRAL_BETAS = 11


class Bedlam(Dataset):
    """Labels in `all_npz_12_training/SCENE.npz`, images in `training_images/SCENE/png/seq_000000/*.png`.

    A sequence is one `seq_...` folder of a scene. Poses of 72 numbers are SMPL's, of 165 SMPL-X's, whose
    fingers, jaw and eyes are left out; of more than ten betas the first ten are kept. Splits are folders
    whose names say "training" or "validation"; `all` takes every .npz. The images of "closeup" (BEDLAM2:
    "portrait") scenes are stored turned by 90 degrees: turn them clockwise before they are used. Intrinsics
    are those of the sequence's first image. `rotation` and `translation` are `cam_ext` where one camera
    serves everybody in an image; else the world's origin is the camera (translation 0).
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
        word = {"train": "training"}.get(self.split, self.split)
        paths = [path for path in _labels(self.root) if self._is_in(path, word)]
        if not paths:
            raise self.missing(self.root / f"{word}_labels")
        self._scenes = {path.stem: path for path in paths}
        names = []
        for scene, path in self._scenes.items():
            (images,) = self.fields(path, Npz(path), "imgname")
            names += sorted({f"{scene}/{_parts(image)[0]}" for image in images})
        return names

    def _is_in(self, path: Path, word: str) -> bool:
        folders = path.relative_to(self.root).parts[:-1]
        return self.split == "all" or any(word in folder for folder in folders)

    def _images(self, scene: str) -> Path:
        """Where a scene's pictures are: the makers have a folder for each split."""
        for folder in ("training_images", "validation_images", "images"):
            if (self.root / folder / scene).is_dir():
                return self.root / folder / scene / "png"
        return self.root / "training_images" / scene / "png"

    def _load(self, name: str) -> DatasetSequence:
        scene, folder = name.split("/")
        path = self._scenes[scene]
        file = Npz(path)
        columns = dict(zip(_NAMES, self.fields(path, file, *_NAMES), strict=True))
        parts = [_parts(image) for image in columns["imgname"]]
        rows = np.flatnonzero([each[0] == folder for each in parts])
        pictures = [parts[row][1] for row in rows]
        subjects = [str(sub) for sub in file["sub"][rows]] if "sub" in file else None
        columns = {key: values[rows] for key, values in columns.items()}
        frame_of = np.array([_frame(path, picture) for picture in pictures])
        frame_ids, first = np.unique(frame_of, return_index=True)
        people = _told_apart(columns, frame_of) if subjects is None else subjects
        rotation, translation = _camera(columns["cam_ext"], frame_of, frame_ids, first)
        names = list(dict.fromkeys(sorted(people)))
        k = columns["cam_int"][first[0]].astype(float)
        images = self._images(scene) / folder
        return DatasetSequence(
            dataset=self.key,
            name=name,
            split=self.split,
            subject=", ".join(names) if subjects else "",
            frame_ids=frame_ids,
            times_s=(frame_ids - frame_ids[0]) / FPS,
            rotation=rotation,
            translation=translation,
            people=tuple(
                _person(number, np.flatnonzero([p == each for p in people]), columns, place)
                for number, each in enumerate(names)
                for place in [np.searchsorted(frame_ids, frame_of)]
            ),
            # The principal point is the image's centre.
            intrinsics=pinhole(k, round(2 * k[0, 2]), round(2 * k[1, 2])),
            image_paths=tuple(images / pictures[row] for row in first),
        )


def _labels(root: Path) -> list[Path]:
    """Label files at most three folders down; image folders, of millions of files, are not looked into."""
    paths = []
    for pattern in ("*.npz", "*/*.npz", "*/*/*.npz"):
        paths += [p for p in root.glob(pattern) if not p.parent.name.endswith("images")]
    # AGORA's labels come along in the same folder.
    return sorted(path for path in paths if not path.stem.startswith("agora"))


def _parts(image: object) -> tuple[str, str]:
    """Sequence folder and file name of "seq_000000/seq_000000_0005.png", written on any system."""
    text = image.decode() if isinstance(image, bytes) else str(image)
    folders = text.replace("\\", "/").split("/")
    return (folders[-2] if len(folders) > 1 else folders[-1].rsplit("_", 1)[0]), folders[-1]


def _frame(path: Path, picture: str) -> int:
    try:
        return int(Path(picture).stem.rsplit("_", 1)[1])
    except (IndexError, ValueError) as error:
        raise InputError(
            f"{path}: image names must be like seq_000000_0005.png, got {picture!r}"
        ) from error


def _told_apart(columns: dict[str, np.ndarray], frame_of: np.ndarray) -> list[str]:
    """Who each row is where the file doesn't say (BEDLAM2): one person after the other, in time's order."""
    betas = columns["shape"].reshape(len(frame_of), -1)
    person, out = 0, []
    for row, frame in enumerate(frame_of):
        same = row and frame > frame_of[row - 1] and np.array_equal(betas[row], betas[row - 1])
        person += bool(row) and not same
        out.append(f"{person:04d}")
    return out


def _camera(
    extrinsics: np.ndarray, frame_of: np.ndarray, frame_ids: np.ndarray, first: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Rotation [F, 3, 3] and translation [F, 3], world -> camera."""
    extrinsics = extrinsics.reshape(-1, 4, 4).astype(np.float64)
    rotation, translation = extrinsics[first, :3, :3], extrinsics[first, :3, 3]
    differing = np.abs(extrinsics[:, :3, 3] - translation[np.searchsorted(frame_ids, frame_of)])
    if (differing > 1e-6).any():
        translation = np.zeros_like(translation)
    return rotation, translation


def _person(
    number: int, rows: np.ndarray, columns: dict[str, np.ndarray], place: np.ndarray
) -> DatasetPerson:
    """One person's rows, spread over all frames; nan where there is none."""
    frames, where = place.max() + 1, place[rows]

    def spread(values: np.ndarray, size: int) -> np.ndarray:
        flat = values[rows].astype(np.float64).reshape(len(rows), -1)[:, :size]
        out = np.full((frames, size), np.nan)
        out[where] = np.pad(flat, ((0, 0), (0, size - flat.shape[1])))
        return out

    poses = columns["pose_cam"].reshape(len(place), -1)
    is_smplx = poses.shape[1] != _SMPL_POSE
    pose = spread(poses, _SMPL_POSE).reshape(frames, 24, 3)
    if is_smplx:
        pose[where, 22:] = 0
    shift = columns["cam_ext"].reshape(-1, 4, 4)[:, :3, 3]
    transl = columns["trans_cam"].reshape(-1, 3) + shift
    valid = np.zeros(frames, bool)
    valid[where] = True
    neutral = columns["shape"][rows[0]].size == _NEUTRAL_BETAS
    smpl = SmplTrack(
        model="smplx" if is_smplx else "smpl",
        gender="neutral" if neutral else full_gender(columns["gender"][rows[0]]),
        betas=spread(columns["shape"], 10),
        global_orient=pose[:, 0],
        body_pose=pose[:, 1:],
        transl=spread(transl, 3),
    )
    return DatasetPerson(person_id=number, valid=valid, smpl=smpl)
