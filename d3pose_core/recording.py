"""What a run leaves behind: `people.npz` (who was where, frame by frame) and `summary.json`."""

from __future__ import annotations

import errno
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from d3pose_core.array_file import read_arrays
from d3pose_core.camera import Intrinsics
from d3pose_core.errors import InputError

if TYPE_CHECKING:
    from d3pose_core.recovery import RecoveredPerson

# Shape of one row and type of every column; one row is one person in one frame.
COLUMNS: dict[str, tuple[tuple[int, ...], type]] = {
    "frame": ((), np.int64),
    "time": ((), np.float64),
    "track_id": ((), np.int64),
    "global_orient": ((3,), np.float32),
    "body_pose": ((23, 3), np.float32),
    "betas": ((10,), np.float32),
    "transl": ((3,), np.float32),
    "joints": ((24, 3), np.float32),
    "joints_2d": ((24, 2), np.float32),
    "joint_confidence": ((24,), np.float32),
    "confidence": ((), np.float32),
}
# What a disk says that takes no more: no space, over quota, file too large, read only, broken.
_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)
_PERSON_COLUMNS = tuple(name for name in COLUMNS if name not in ("frame", "time"))


@dataclass(frozen=True)
class PeopleTable:
    """Everyone in a clip: N rows, one per person per frame, in the order they were recorded.

    Angles are axis-angle in rad, positions in m in the camera's optical frame, pixels in OpenCV's
    convention, times in s from the clip's start, confidences 0..1. The arrays are exactly those of
    `people.npz`, which holds `camera` [fx, fy, cx, cy] and `image_size` [width, height] besides.

    Raises:
        InputError: a column that has not N rows of its shape, or another type.
    """

    frame: np.ndarray  # [N] int64, index in the clip
    time: np.ndarray  # [N] float64, s
    track_id: np.ndarray  # [N] int64
    global_orient: np.ndarray  # [N, 3]
    body_pose: np.ndarray  # [N, 23, 3]
    betas: np.ndarray  # [N, 10]
    transl: np.ndarray  # [N, 3]
    joints: np.ndarray  # [N, 24, 3]
    joints_2d: np.ndarray  # [N, 24, 2] px
    joint_confidence: np.ndarray  # [N, 24]
    confidence: np.ndarray  # [N]
    intrinsics: Intrinsics

    def __post_init__(self) -> None:
        rows = self.frame.size
        for name, (shape, dtype) in COLUMNS.items():
            column = getattr(self, name)
            if column.shape != (rows, *shape) or column.dtype != dtype:
                raise InputError(
                    f"people: {name} must be {np.dtype(dtype)} {[rows, *shape]}, "
                    f"got {column.dtype} {list(column.shape)}"
                )

    def __len__(self) -> int:
        return len(self.frame)

    @classmethod
    def joined(cls, tables: Sequence[PeopleTable]) -> PeopleTable:
        """Stretches of one clip, one after the other; at least one, all with the same camera.

        Its lens is the last one's: those that were read from files do not know theirs.
        """
        columns: dict[str, Any] = {
            name: np.concatenate([getattr(table, name) for table in tables]) for name in COLUMNS
        }
        return cls(**columns, intrinsics=tables[-1].intrinsics)

    def rows_by_frame(self) -> dict[int, np.ndarray]:
        """Frame index -> indices of its rows."""
        order = np.argsort(self.frame, kind="stable")
        frames, starts = np.unique(self.frame[order], return_index=True)
        return dict(zip(frames.tolist(), np.split(order, starts[1:]), strict=False))

    def save(self, path: str | Path) -> None:
        """Write `people.npz`; it appears under its name only when it is whole."""
        camera = self.intrinsics
        with atomic_path(path) as partial, open(partial, "wb") as file:
            np.savez_compressed(
                file,
                **{name: getattr(self, name) for name in COLUMNS},
                camera=np.array([camera.fx, camera.fy, camera.cx, camera.cy]),
                image_size=np.array([camera.width, camera.height], dtype=np.int64),
            )

    @classmethod
    def load(cls, path: str | Path) -> PeopleTable:
        """Read `people.npz`; InputError if it is not one."""
        path = Path(path)
        if not path.is_file():
            raise InputError(f"no such file: {path}; `d3pose video` writes people.npz")
        try:
            columns = read_arrays(path, (*COLUMNS, "camera", "image_size"))
        except InputError as error:
            raise InputError(f"{path} is not a people.npz of d3pose: {error}") from error
        camera, image_size = columns.pop("camera"), columns.pop("image_size")
        if camera.shape != (4,) or image_size.shape != (2,):
            raise InputError(
                f"{path}: camera must be [4] and image_size [2], "
                f"got {list(camera.shape)} and {list(image_size.shape)}"
            )
        if camera.dtype.kind not in "fiu" or image_size.dtype.kind not in "iu":
            raise InputError(
                f"{path}: camera must be numbers and image_size whole numbers, got {camera.dtype} "
                f"and {image_size.dtype}"
            )
        return cls(**columns, intrinsics=Intrinsics(*camera.tolist(), *image_size.tolist()))


class PeopleRecorder:
    """Collects recovered people frame by frame; `table()` at any time gives all of them so far."""

    def __init__(self, intrinsics: Intrinsics) -> None:
        self.intrinsics = intrinsics
        self._rows: list[dict[str, Any]] = []

    def append(self, frame_index: int, time_s: float, people: Iterable[RecoveredPerson]) -> None:
        """Add everyone of one frame; InputError names a field that has not the documented shape."""
        rows = []
        for person in people:
            row: dict[str, Any] = {"frame": frame_index, "time": time_s}
            for name in _PERSON_COLUMNS:
                shape, dtype = COLUMNS[name]
                row[name] = np.asarray(getattr(person, name), dtype=dtype)
                if row[name].shape != shape:
                    raise InputError(
                        f"frame {frame_index}, person {person.track_id}: {name} must have shape "
                        f"{list(shape)}, got {list(row[name].shape)}"
                    )
            rows.append(row)
        self._rows.extend(rows)

    def clear(self) -> None:
        """Begin again, after what there was has gone elsewhere."""
        self._rows = []

    def table(self) -> PeopleTable:
        """All rows recorded so far."""
        columns: dict[str, Any] = {
            name: np.array([row[name] for row in self._rows], dtype=dtype).reshape(-1, *shape)
            for name, (shape, dtype) in COLUMNS.items()
        }
        return PeopleTable(**columns, intrinsics=self.intrinsics)


@dataclass(frozen=True)
class Summary:
    """What a run did and how fast: `summary.json`.

    `frames` processed; `people`: how many different ones (track ids); `fps`: frames processed per
    second of the run; latency from a frame's arrival to its people, percentiles in ms (None without
    frames); medians per stage in ms. `extra` holds further entries of one command, e.g. drops.
    """

    frames: int
    people: int
    fps: float
    latency_ms: Mapping[str, float | None]
    stages_ms: Mapping[str, float]
    device: str
    weights: str
    body: str
    version: str = field(default_factory=lambda: package_version())
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if set(self.latency_ms) != {"p50", "p95", "p99"}:
            raise InputError(
                f"latency_ms must have p50, p95 and p99, got {sorted(self.latency_ms)}"
            )
        if taken := set(self.extra) & set(_SUMMARY_KEYS):
            raise InputError(f"extra entries of a summary may not be named {sorted(taken)}")

    def as_dict(self) -> dict[str, Any]:
        """The contents of `summary.json`."""
        entries = {name: getattr(self, name) for name in _SUMMARY_KEYS}
        entries["latency_ms"] = dict(self.latency_ms)
        entries["stages_ms"] = dict(self.stages_ms)
        return {**entries, **self.extra}

    def save(self, path: str | Path) -> None:
        """Write `summary.json` atomically."""
        with atomic_path(path) as partial:
            text = json.dumps(self.as_dict(), indent=2, allow_nan=False)
            partial.write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> Summary:
        """Read `summary.json`; InputError if it is not one."""
        try:
            entries = json.loads(Path(path).read_text(encoding="utf-8"))
            known = {name: entries.pop(name) for name in _SUMMARY_KEYS}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{path} is not a summary.json of d3pose: {error!r}") from error
        return cls(**known, extra=entries)


_SUMMARY_KEYS = tuple(entry.name for entry in fields(Summary) if entry.name != "extra")


class RunStatistics:
    """Times and people of a run, frame by frame; what `summary.json` is made from."""

    def __init__(self) -> None:
        self.frames = 0
        self.track_ids: set[int] = set()
        self._latency_ms: list[float] = []
        self._stages_ms: dict[str, list[float]] = {}

    def add(
        self, latency_ms: float, stages_ms: Mapping[str, float], track_ids: Iterable[int]
    ) -> None:
        """Count one processed frame."""
        self.frames += 1
        self.track_ids.update(track_ids)
        self._latency_ms.append(latency_ms)
        for stage, duration in stages_ms.items():
            self._stages_ms.setdefault(stage, []).append(duration)

    def add_all(self, other: RunStatistics) -> None:
        """Count what `other` counted, too."""
        self.frames += other.frames
        self.track_ids |= other.track_ids
        self._latency_ms += other._latency_ms
        for stage, durations in other._stages_ms.items():
            self._stages_ms.setdefault(stage, []).extend(durations)

    def clear(self) -> None:
        """Begin again, after what there was has gone elsewhere."""
        vars(self).update(vars(RunStatistics()))

    def latency_percentiles(self) -> dict[str, float | None]:
        """`p50`, `p95` and `p99` in ms, rounded to a microsecond; None without frames."""
        if not self._latency_ms:
            return {"p50": None, "p95": None, "p99": None}
        values = np.percentile(self._latency_ms, [50, 95, 99]).round(3).tolist()
        return dict(zip(("p50", "p95", "p99"), values, strict=True))

    def stage_medians(self) -> dict[str, float]:
        """Median of each stage in ms, rounded to a microsecond."""
        return {
            stage: round(float(np.median(values)), 3) for stage, values in self._stages_ms.items()
        }


def package_version() -> str:
    """Version of the installed package, or "unknown" for a copy that was never installed."""
    try:
        return version("d3pose_ros")
    except PackageNotFoundError:
        return "unknown"


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """A temporary path beside `path`, same suffix, that takes its name when the block succeeds.

    Raises:
        InputError: the folder can't be made or written to, or the disk is full.
    """
    path = Path(path)
    if path.is_dir() and not path.is_symlink():  # a link is replaced
        raise InputError(
            f"can't write {path}: there is a folder of that name; remove it or rename it"
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(f".partial{path.suffix}", f".{path.stem}-", path.parent)
    except OSError as error:
        raise InputError(f"can't write {path}: {error}; choose another output folder") from error
    os.close(handle)
    partial = Path(name)
    try:
        yield partial
        partial.chmod(0o644)
        os.replace(partial, path)
    except OSError as error:
        if error.errno not in _DISK_ERRORS:
            raise
        raise InputError(
            f"can't write {path}: {error.strerror}; make room, or choose another output folder"
        ) from error
    finally:
        partial.unlink(missing_ok=True)
