"""People over time, recovered ones or the reference they are compared with, and the files that hold them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from d3pose_core.array_file import read_arrays
from d3pose_core.errors import InputError
from d3pose_core.skeleton import JOINT_NAMES

_MOST_FRAMES = 10_000_000  # four days at 30 Hz
_PARAMETERS = {"global_orient": (3,), "body_pose": (23, 3), "betas": (10,), "transl": (3,)}


@dataclass(frozen=True)
class BodyParameters:
    """SMPL parameters of N rows, in the frame of the joints; float32."""

    global_orient: np.ndarray  # [N, 3] axis-angle, rad
    body_pose: np.ndarray  # [N, 23, 3] axis-angle, rad
    betas: np.ndarray  # [N, 10]
    transl: np.ndarray  # [N, 3] m
    body_model: str  # as `load_body` takes it; "" if the file does not say


@dataclass(frozen=True)
class Tracks:
    """N rows, one per person per frame, in any order; all positions in one frame of reference.

    Raises:
        InputError: arrays of other shapes, or a person who is in one frame twice.
    """

    time: np.ndarray  # [N] s
    track_id: np.ndarray  # [N] int64
    joints: np.ndarray  # [N, J, 3] m
    joint_names: tuple[str, ...]  # J
    frame_times: np.ndarray  # [F] s, increasing: every frame, also those with nobody
    frame_id: str = ""  # of the frame of reference; "" if the file does not say
    parameters: BodyParameters | None = None
    joint_confidence: np.ndarray | None = None  # [N, J] 0..1

    def __post_init__(self) -> None:
        rows = len(self.time)
        expected = {
            "time": (rows,),
            "track_id": (rows,),
            "joints": (rows, len(self.joint_names), 3),
        }
        for name, shape in expected.items():
            if getattr(self, name).shape != shape:
                raise InputError(
                    f"{name} must have shape {list(shape)} with {len(self.joint_names)} joint names, "
                    f"got {list(getattr(self, name).shape)}"
                )
        if self.joint_confidence is not None:
            got, wanted = list(self.joint_confidence.shape), [rows, len(self.joint_names)]
            if got != wanted:
                raise InputError(f"joint_confidence must have shape {wanted}, got {got}")
        if self.parameters is not None:
            for name, shape in _PARAMETERS.items():
                got = getattr(self.parameters, name).shape
                if got != (rows, *shape):
                    raise InputError(f"{name} must have shape {[rows, *shape]}, got {list(got)}")
        self._check_finite()
        pairs = set(zip(self.time.tolist(), self.track_id.tolist(), strict=True))
        if len(pairs) != rows:
            raise InputError("a track id occurs twice at the same time: ids must tell people apart")

    def __len__(self) -> int:
        return len(self.time)

    def _check_finite(self) -> None:
        columns = {"time": self.time, "joints": self.joints}
        if self.joint_confidence is not None:
            columns["joint_confidence"] = self.joint_confidence
        if self.parameters is not None:
            columns |= {name: getattr(self.parameters, name) for name in _PARAMETERS}
        for name, values in columns.items():
            odd = np.flatnonzero(~np.isfinite(values.reshape(len(values), -1)).all(1))
            if len(odd):
                row = int(odd[0])
                raise InputError(
                    f"{name} of {len(odd)} of {len(values)} rows is nan or inf, first of row {row} (time "
                    f"{self.time[row]:g} s, track {self.track_id[row]}): leave such rows out"
                )


def load_tracks(path: Path) -> Tracks:
    """Reads people.npz of `d3pose video` or `replay`, or a reference in the same form.

    Needed: `time` [N] s, `track_id` [N], `joints` [N, J, 3] m. Optional: `joint_names` [J] (without them J
    must be the 24 of SMPL), `frame_times` [F] s, `frame_id`, `body_model`, and `global_orient`, `body_pose`,
    `betas`, `transl` as in people.npz, all of them or none; `joint_confidence` [N, J].

    Where `frame_times` is absent, frames without people are found from `frame` [N], the index of the
    frame: those before and between the rows are known, those after the last row are not.

    Raises:
        InputError: no such file, or not in this form.
    """
    arrays = read_arrays(path)
    try:
        _check_kinds(path, arrays)
        time, joints = arrays["time"].astype(np.float64), arrays["joints"].astype(np.float32)
        track_id = arrays["track_id"].astype(np.int64)
    except KeyError as error:
        needed = "time [N], track_id [N] and joints [N, J, 3]"
        raise InputError(f"{path} lacks {error}: it must have {needed}") from error
    names = tuple(str(name) for name in arrays.get("joint_names", np.array(JOINT_NAMES)))
    if "frame_times" in arrays:
        frame_times = np.unique(arrays["frame_times"].astype(np.float64))
    else:
        frame_times = _frame_times(path, time, arrays.get("frame"))
    given = [name for name in _PARAMETERS if name in arrays]
    parameters = None
    if len(given) == len(_PARAMETERS):
        columns = {name: arrays[name].astype(np.float32) for name in _PARAMETERS}
        parameters = BodyParameters(**columns, body_model=str(arrays.get("body_model", "")))
    elif given:
        missing = ", ".join(sorted(set(_PARAMETERS) - set(given)))
        raise InputError(f"{path} has {', '.join(given)} but lacks {missing}: give all or none")
    try:
        frame_id = str(arrays.get("frame_id", ""))
        confidence = arrays.get("joint_confidence")
        confidence = None if confidence is None else confidence.astype(np.float32)
        return Tracks(time, track_id, joints, names, frame_times, frame_id, parameters, confidence)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _check_kinds(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Numbers where numbers belong, texts where texts do, and columns that have rows."""
    texts = {"joint_names": 1, "frame_id": 0, "body_model": 0}
    columns = {"time": 1, "track_id": 1, "joints": 3, "frame": 1, "frame_times": 1}
    for name, array in arrays.items():
        kinds, dimensions = ("US", texts[name]) if name in texts else ("fiu", columns.get(name))
        if name in (*texts, *columns, *_PARAMETERS) and (
            array.dtype.kind not in kinds or dimensions not in (None, array.ndim)
        ):
            raise InputError(f"{path}: {name} can't be {array.dtype} {list(array.shape)}")


def _frame_times(path: Path, time: np.ndarray, frame: np.ndarray | None) -> np.ndarray:
    """Times of all frames from the first to the last that has a row; those in between by interpolation."""
    if frame is None or not len(time):
        return np.unique(time)
    frames, first = np.unique(frame, return_index=True)
    known = time[first]
    if len(frames) < 2:
        return known
    if not 0 <= frames[0] <= frames[-1] < _MOST_FRAMES:
        raise InputError(
            f"{path}: frame goes from {frames[0]} to {frames[-1]}; indices must be 0 to {_MOST_FRAMES - 1}"
        )
    every = np.arange(0, frames[-1] + 1)
    times = np.interp(every, frames, known)
    step = (known[1] - known[0]) / (frames[1] - frames[0])
    before = every < frames[0]
    times[before] = known[0] + (every[before] - frames[0]) * step
    return np.unique(times)
