"""MPI-INF-3DHP (Mehta et al., 3DV 2017): multi-camera studio, markerless capture; the test set also outdoors.

3D positions in the files are mm in each camera's own frame. There is no SMPL in the dataset.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from d3pose_core.camera import Intrinsics
from d3pose_core.data.datasets.dataset import Dataset
from d3pose_core.data.datasets.sequence import (
    DatasetPerson,
    DatasetSequence,
    Joints2D,
    Joints3D,
    pinhole,
)
from d3pose_core.errors import InputError

TRAIN28 = (
    *("spine3", "spine4", "spine2", "spine", "pelvis", "neck", "head", "head_top"),
    *(
        f"{side}_{part}"
        for side in ("left", "right")
        for part in ("clavicle", "shoulder", "elbow", "wrist", "hand")
    ),
    *(
        f"{side}_{part}"
        for side in ("left", "right")
        for part in ("hip", "knee", "ankle", "foot", "toe")
    ),
)
TEST17 = (
    *("head_top", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder"),
    *("left_elbow", "left_wrist", "right_hip", "right_knee", "right_ankle", "left_hip"),
    *("left_knee", "left_ankle", "pelvis", "spine", "head"),
)
TRAIN_CAMERAS = (0, 1, 2, 4, 5, 6, 7, 8)
# fx, fy, cx, cy, width, height: the studio's camera, and that of the outdoor sequences TS5 and TS6.
_TEST_STUDIO = (1500.0686, 1500.6591, 1017.3795, 1043.0628, 2048, 2048)
_TEST_OUTDOORS = (1683.4826, 1671.9272, 939.9278, 560.2072, 1920, 1080)
# The authors' mpii_get_sequence_info.m; all others, and the test set, run at 25.
_AT_50_FPS = ("S1/Seq2", "S3/Seq1", "S3/Seq2", "S5/Seq1", "S5/Seq2")
_NO_SMPL = "MPI-INF-3DHP has none"


class MpiInf3dhp(Dataset):
    """Train: one sequence a subject, take and camera (`S1/Seq1/video_0`); test: `TS1` .. `TS6`.

    Test subjects are others than those of the training set. Frames of the training videos are expected as
    images, counted from 1, as they are usually unpacked: `S1/Seq1/imageFrames/video_0/frame_000001.jpg` or
    `S1/Seq1/video_0/000001.jpg`.
    """

    key = "mpi-inf-3dhp"
    title = "MPI-INF-3DHP"
    where_to_get = "https://vcai.mpi-inf.mpg.de/3dhp-dataset/"
    layout = (
        "S{1-8}/Seq{1,2}/{annot.mat,camera.calibration}, and for the test set TS{1-6}/annot_data.mat with "
        "TS{1-6}/imageSequence/img_000001.jpg (mpi_inf_3dhp_test_set/TS... does, too)"
    )
    splits = ("train", "test")

    def _find(self) -> list[str]:
        if self.split == "test":
            folders = [
                path.parent
                for pattern in ("TS*", "mpi_inf_3dhp_test_set/TS*")
                for path in self.root.glob(f"{pattern}/annot_data.mat")
            ]
            self._folders = {folder.name: folder for folder in folders}
            return list(self._folders)
        takes = [path.parent for path in sorted(self.root.glob("S*/Seq*/annot.mat"))]
        return [
            f"{take.relative_to(self.root).as_posix()}/video_{camera}"
            for take in takes
            for camera in TRAIN_CAMERAS
        ]

    def _load(self, name: str) -> DatasetSequence:
        return self._test(name) if self.split == "test" else self._train(name)

    def _train(self, name: str) -> DatasetSequence:
        take, camera = self.root / Path(name).parent, int(name.rsplit("_", 1)[1])
        path = self.need(take / "annot.mat")
        pixels, positions = self.fields(path, _matlab(path), "annot2", "annot3")
        # Cells [14, 1], whichever way round they come.
        pixels = np.asarray(pixels.ravel()[camera], np.float64).reshape(-1, 28, 2)
        positions = np.asarray(positions.ravel()[camera], np.float64).reshape(-1, 28, 3) / 1000
        frames = min(len(pixels), len(positions))
        intrinsics, rotation, translation = read_calibration(
            self.need(take / "camera.calibration"), camera
        )
        images = _train_images(take, camera)
        fps = 50.0 if "/".join(take.parts[-2:]) in _AT_50_FPS else 25.0
        return DatasetSequence(
            dataset=self.key,
            name=name,
            split=self.split,
            subject=take.parts[-2],
            frame_ids=np.arange(frames),
            times_s=np.arange(frames) / fps,
            rotation=np.broadcast_to(rotation, (frames, 3, 3)),
            translation=np.broadcast_to(translation, (frames, 3)),
            people=(_person(np.ones(frames, bool), TRAIN28, pixels[:frames], positions[:frames]),),
            intrinsics=intrinsics,
            image_paths=tuple(take / images.format(i + 1) for i in range(frames)),
        )

    def _test(self, name: str) -> DatasetSequence:
        path = self.need(self._folders[name] / "annot_data.mat")
        pixels, positions, valid = self.fields(
            path, _hdf5(path), "annot2", "univ_annot3", "valid_frame"
        )
        frames = pixels.shape[0]
        camera = _TEST_OUTDOORS if name in ("TS5", "TS6") else _TEST_STUDIO
        images = path.parent / "imageSequence"
        fps = 25.0
        return DatasetSequence(
            dataset=self.key,
            name=name,
            split=self.split,
            subject=name,
            frame_ids=np.arange(frames),
            times_s=np.arange(frames) / fps,
            rotation=np.broadcast_to(np.eye(3), (frames, 3, 3)),
            translation=np.zeros((frames, 3)),
            people=(
                _person(
                    np.asarray(valid).ravel().astype(bool),
                    TEST17,
                    pixels.reshape(frames, 17, 2).astype(np.float64),
                    positions.reshape(frames, 17, 3).astype(np.float64) / 1000,
                ),
            ),
            intrinsics=Intrinsics(*camera),
            image_paths=tuple(images / f"img_{i + 1:06d}.jpg" for i in range(frames)),
        )


def _train_images(take: Path, camera: int) -> str:
    """Pattern of a video's frames below its take, whichever way they were unpacked."""
    if (take / f"video_{camera}").is_dir():
        return f"video_{camera}/{{:06d}}.jpg"
    return f"imageFrames/video_{camera}/frame_{{:06d}}.jpg"


def _person(
    valid: np.ndarray, names: tuple[str, ...], pixels: np.ndarray, positions: np.ndarray
) -> DatasetPerson:
    return DatasetPerson(
        person_id=0,
        valid=valid,
        smpl_missing_because=_NO_SMPL,
        joints=Joints3D(names, positions),
        joints_2d=Joints2D(names, pixels, np.ones(pixels.shape[:2])),
    )


def read_calibration(path: Path, camera: int) -> tuple[Intrinsics, np.ndarray, np.ndarray]:
    """Intrinsics, rotation [3, 3] and translation [3] m (world -> camera) of one of the 14 cameras."""
    values: dict[str, list[str]] = {}
    name = ""
    for line in path.read_text().splitlines():
        words = line.split()
        if words and words[0] == "name":  # every camera's lines begin with it
            name = words[1]
        elif words and name == str(camera):
            values[words[0]] = words[1:]
    try:
        width, height = (int(v) for v in values["size"])
        k = np.array(values["intrinsic"], np.float64).reshape(4, 4)
        world = np.array(values["extrinsic"], np.float64).reshape(4, 4)
    except (KeyError, ValueError) as error:
        raise InputError(
            f"{path}: camera {camera} can't be read ({error!r}); download the file again"
        ) from error
    intrinsics = pinhole(k, width, height)
    return intrinsics, world[:3, :3], world[:3, 3] / 1000


def _matlab(path: Path) -> dict[str, np.ndarray]:
    try:
        from scipy.io import loadmat
    except ImportError as error:
        raise InputError(
            "reading .mat files needs scipy: pip install 'd3pose_ros[datasets]'"
        ) from error
    try:
        return loadmat(path)
    except (ValueError, TypeError, NotImplementedError, OSError) as error:
        raise InputError(f"{path} is no MATLAB 5 file: {error}; download it again") from error


def _hdf5(path: Path) -> dict[str, np.ndarray]:
    try:
        import h5py
    except ImportError as error:
        raise InputError(
            "reading the test set needs h5py: pip install 'd3pose_ros[datasets]'"
        ) from error
    try:
        with h5py.File(path, "r") as file:
            return {key: file[key][()] for key in file if isinstance(file[key], h5py.Dataset)}
    except OSError as error:
        raise InputError(f"{path} is no HDF5 file: {error}; download it again") from error
