"""People of a dataset's images, recovered as a robot would: frame by frame, from the images or a cache."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from d3pose_core.body.model import BodyModel
from d3pose_core.data.datasets.sequence import DatasetSequence
from d3pose_core.data.observation_cache import ObservationCache
from d3pose_core.errors import InputError
from d3pose_core.evaluation.body_points import posed
from d3pose_core.parts import Parts
from d3pose_core.recording import PeopleRecorder, PeopleTable
from d3pose_core.recovery import MeshRecovery
from d3pose_core.resume import FOLDER

# People of files: how far their joints may lie from their body's, in how many of the rows that is looked at.
_SAME_BODY_M, _CHECKED_ROWS = 0.01, 200


class RecoverFromImages:
    """`recovery` is reset at the start of each sequence; images are read from the dataset's folder."""

    def __init__(
        self, recovery: MeshRecovery, progress: Callable[[int], object] = lambda n: None
    ) -> None:
        self.recovery, self.progress = recovery, progress

    def __call__(self, sequence: DatasetSequence) -> PeopleTable:
        from d3pose_core.data.images import read_image

        recorder = _recorder(sequence)
        if not sequence.image_paths:
            raise InputError(f"{sequence.dataset} {sequence.name} has no images")
        self.recovery.reset()
        for frame, path in enumerate(sequence.image_paths):
            time_s = float(sequence.times_s[frame])
            people = self.recovery(read_image(path), time_s, recorder.intrinsics)
            recorder.append(frame, time_s, people)
            self.progress(1)
        return recorder.table()


class RecoverFromCache:
    """The same from observations that `d3pose prepare` wrote: only the network runs."""

    def __init__(
        self,
        recovery: MeshRecovery,
        cache: ObservationCache,
        progress: Callable[[int], object] = lambda n: None,
    ) -> None:
        self.recovery, self.cache, self.progress = recovery, cache, progress

    def __call__(self, sequence: DatasetSequence) -> PeopleTable:
        recorder = _recorder(sequence)
        self.recovery.reset()
        for frame, observations in enumerate(self.cache.load(sequence.name, len(sequence))):
            time_s = float(sequence.times_s[frame])
            people = self.recovery.recover(observations, time_s, recorder.intrinsics)
            recorder.append(frame, time_s, people)
            self.progress(1)
        return recorder.table()


class RecoverOnce:
    """Another source, whose answers lie on the disk, so that an interrupted evaluation goes on with the next.

    They are in `.resume/` of the output folder: as people.npz is, one a sequence.
    """

    def __init__(
        self,
        recover: Callable[[DatasetSequence], PeopleTable],
        out: Path,
        settings: Mapping[str, Any],
        resume: bool,
        progress: Callable[[int], object] = lambda n: None,
    ) -> None:
        """Without `resume`, what an earlier run left in `out` is removed.

        Args:
            settings: JSON values that the answers depend on.

        Raises:
            InputError: the earlier run had other settings.
        """
        self._recover, self._progress = recover, progress
        self._parts = Parts(out / FOLDER, settings, resume)

    def __call__(self, sequence: DatasetSequence) -> PeopleTable:
        path = self._parts.path(sequence.name)
        if path.is_file():
            self._progress(len(sequence))
            return PeopleTable.load(path)
        table = self._recover(sequence)
        table.save(path)
        return table

    def forget(self) -> None:
        """All results are written."""
        self._parts.forget()


class RecoverFromFiles:
    """People that any system recovered before: SEQUENCE.npz in a folder, each as people.npz is.

    Raises InputError for a file whose joints are not those of `body` posed as it says: then its parameters
    belong to another body.
    """

    def __init__(self, folder: Path, body: BodyModel) -> None:
        self.folder, self.body = folder, body

    def __call__(self, sequence: DatasetSequence) -> PeopleTable:
        path = self.folder / f"{sequence.name}.npz"
        table = PeopleTable.load(path)
        some = np.linspace(0, len(table) - 1, min(len(table), _CHECKED_ROWS)).astype(int)
        pose = np.concatenate([table.global_orient[:, None], table.body_pose], axis=1)
        joints = posed(self.body, pose[some], table.betas[some], table.transl[some])
        off = np.linalg.norm(joints - table.joints[some], axis=-1)
        if len(some) and not np.median(off) < _SAME_BODY_M:
            raise InputError(
                f"{path}: its joints lie {100 * np.median(off):.1f} cm (median) from those of the body "
                f"{self.body.name} with its parameters: give the body that they belong to by --body"
            )
        return table


def _recorder(sequence: DatasetSequence) -> PeopleRecorder:
    if sequence.intrinsics is None:
        raise InputError(
            f"{sequence.dataset} {sequence.name} is motion capture without a camera: nothing to recover from"
        )
    return PeopleRecorder(sequence.intrinsics)
