"""What the observer reports of a dataset's images, worked out once and kept: one .npz shard a sequence.

Shards are written whole or not at all, so that an interrupted run goes on where it stopped.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from d3pose_core.array_file import read_arrays
from d3pose_core.errors import InputError
from d3pose_core.observe.observation import PersonObservation
from d3pose_core.output_names import file_name
from d3pose_core.recording import atomic_path
from d3pose_core.skeleton import RIVALS

FORMAT = 4  # 1 had no certainties, 2 no rivals, 3 more furniture
_COLUMNS: dict[str, tuple[tuple[int, ...], type]] = {
    "track_id": ((), np.int64),
    "keypoints": ((33, 2), np.float32),
    "depth_hint": ((33,), np.float32),
    "landmarks": ((33, 3), np.float32),
    "visibility": ((33,), np.float32),
    "presence": ((33,), np.float32),
    "certainty": ((33,), np.float32),
    "rivals": ((33, RIVALS, 2), np.float32),
    "rival_certainty": ((33, RIVALS), np.float32),
    "score": ((), np.float32),
    "box": ((4,), np.float32),
}
assert set(_COLUMNS) == {f.name for f in fields(PersonObservation)}


class ObservationCache:
    """A folder of shards, `index.json` beside them saying what they hold.

    Raises:
        InputError: the folder holds observations of another dataset, split or observer.
    """

    def __init__(self, folder: str | Path, dataset: str, split: str, observer: str) -> None:
        self.folder = Path(folder).expanduser()
        self.index = {"format": FORMAT, "dataset": dataset, "split": split, "observer": observer}

    @classmethod
    def open(cls, folder: str | Path) -> ObservationCache:
        """One that is there already."""
        path = Path(folder).expanduser() / "index.json"
        try:
            index = json.loads(path.read_text(encoding="utf-8"))
            cache = cls(folder, index["dataset"], index["split"], index["observer"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{folder} holds no prepared observations ({error!r}); `d3pose prepare` writes them"
            ) from error
        cache.check()
        return cache

    def check(self) -> None:
        """Write index.json, or see that the one there says the same."""
        path = self.folder / "index.json"
        if path.is_file():
            try:
                there = json.loads(path.read_text(encoding="utf-8"))
            except (OSError, ValueError) as error:
                raise InputError(
                    f"{path} is damaged ({error}): delete {self.folder} and prepare again"
                ) from error
            if there != self.index:
                raise InputError(
                    f"{self.folder} was prepared as {there}, not as {self.index}: choose another folder, "
                    "or delete it and prepare again"
                )
            return
        with atomic_path(path) as partial:
            partial.write_text(json.dumps(self.index, indent=2) + "\n", encoding="utf-8")

    def path(self, sequence: str) -> Path:
        """Of a sequence's shard."""
        return self.folder / file_name(sequence, ".npz")

    def has(self, sequence: str) -> bool:
        return self.path(sequence).is_file()

    def save(self, sequence: str, frames: Iterable[list[PersonObservation]]) -> None:
        """One list of observations a frame."""
        counts, people = [], []
        for observations in frames:
            counts.append(len(observations))
            people += observations
        columns: dict[str, Any] = {
            name: np.array([getattr(p, name) for p in people], dtype=dtype).reshape(-1, *shape)
            for name, (shape, dtype) in _COLUMNS.items()
        }
        with atomic_path(self.path(sequence)) as partial, open(partial, "wb") as file:
            np.savez_compressed(file, count=np.array(counts, np.int64), **columns)

    def load(self, sequence: str, frames: int | None = None) -> list[list[PersonObservation]]:
        """One list a frame; `frames`: how many there must be."""
        path = self.path(sequence)
        if not path.is_file():
            raise InputError(
                f"{path} is missing: run `d3pose prepare` again, it goes on where it stopped"
            )
        try:
            columns = read_arrays(path, ("count", *_COLUMNS))
            counts = _counts(path, columns)
        except InputError as error:
            raise InputError(f"{path} is damaged ({error}): delete it and prepare again") from error
        if frames is not None and len(counts) != frames:
            raise InputError(
                f"{path} has {len(counts)} frames, the sequence {frames}: delete it and prepare again"
            )
        out, row = [], 0
        for count in counts.tolist():
            out.append([_observation(columns, row + i) for i in range(count)])
            row += count
        return out


def _counts(path: Path, columns: dict[str, np.ndarray]) -> np.ndarray:
    """People of each frame [F], taken out of `columns`, whose rows they must add up to."""
    counts = columns.pop("count")
    if counts.ndim != 1 or counts.dtype.kind not in "iu" or (counts < 0).any():
        raise InputError(f"count can't be {counts.dtype} {list(counts.shape)}")
    for name, (shape, dtype) in _COLUMNS.items():
        found = columns[name]
        if found.shape != (int(counts.sum()), *shape) or found.dtype != dtype:
            raise InputError(f"{name} can't be {found.dtype} {list(found.shape)}")
    return counts


def _observation(columns: dict[str, np.ndarray], row: int) -> PersonObservation:
    values = {name: column[row] for name, column in columns.items()}
    values["track_id"], values["score"] = int(values["track_id"]), float(values["score"])
    return PersonObservation(**values)
