"""Long runs that go on where they were killed: what there is so far, and what it goes on from, on the disk.

Every few seconds it is written to `.resume/` in the output folder: the people of that stretch of frames, as
people.npz holds them, and one file with the recovery's memory, which comes last and says how many stretches
count. A run that ends as it should removes the folder.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from d3pose_core.errors import D3PoseError, InputError
from d3pose_core.output_names import own_folder, remove_folder
from d3pose_core.recording import PeopleRecorder, PeopleTable, RunStatistics, package_version
from d3pose_core.recordings import fingerprint, model_identity, remove_results
from d3pose_core.recovery import MeshRecovery
from d3pose_core.snapshot import load_snapshot, save_snapshot

logger = logging.getLogger(__name__)

# A kill loses the work of at most so long, s; shorter runs are not kept at all.
PERIOD_S = 10.0
FOLDER = ".resume"
# Options that say where results go, or that come after people are found.
_ELSEWHERE = ("out", "overlay", "resume", "live", "clip", "bag")


def settings_of(options: Any, source: Path) -> dict[str, Any]:
    """What the results of `options` (a dataclass) on a recording depend on, contents of files included.

    Raises:
        InputError: a file that can't be read.
    """
    settings = {name: value for name, value in vars(options).items() if name not in _ELSEWHERE}
    try:
        settings["recording"] = fingerprint(source)
    except OSError as error:
        raise InputError(f"cannot read {source}: {error}") from error
    settings |= model_identity(options.weights, options.body)
    return {name: str(v) if isinstance(v, Path) else v for name, v in settings.items()}


class ResumableRun:
    """What was done of one run, in its output folder.

    Attributes:
        next_frame: the first that is not done.
        details: what `keep` was given beside the people, by stretch.
    """

    def __init__(self, out: Path, settings: Mapping[str, Any], resume: bool) -> None:
        """Finds what an earlier run left in `out`, or, without `resume`, removes it and its results.

        Args:
            settings: plain values that the results depend on.

        Raises:
            InputError: the earlier run had other settings, or what it left is damaged.
        """
        self._folder = out / FOLDER
        self._settings = dict(settings) | {"version": package_version()}
        self._began_s = self._kept_s = time.monotonic()
        self._earlier_s = 0.0
        self._memory: dict[str, Any] | None = None
        self._tables: list[PeopleTable] = []
        self._statistics = RunStatistics()
        self._works = True
        self.next_frame = 0
        self.details: list[dict[str, Any]] = []
        if not resume:
            # A run that fails must leave no mixture of its results with an earlier one's.
            remove_folder(self._folder)
            remove_results(out)
        elif self._state.is_file():
            self._load()

    @property
    def seconds(self) -> float:
        """That this run took so far, those of earlier attempts included."""
        return self._earlier_s + time.monotonic() - self._began_s

    @property
    def was_kept(self) -> bool:
        """Whether there is something that the end of the run should be added to."""
        return bool(self._tables)

    def recall(self, recovery: MeshRecovery) -> None:
        """Bring `recovery` to where the earlier run was, if there was one."""
        if self._memory is not None:
            recovery.recall(self._memory)
            self._memory = None

    def is_due(self) -> bool:
        """Whether it is time to `keep`."""
        return self._works and time.monotonic() - self._kept_s >= PERIOD_S

    def keep(
        self,
        next_frame: int,
        recorder: PeopleRecorder,
        statistics: RunStatistics,
        recovery: MeshRecovery,
        **details: Any,
    ) -> None:
        """Everything before `next_frame` is done. Empties `recorder` and `statistics`.

        Args:
            details: plain values of this stretch.

        Raises:
            InputError: it can't be written.
        """
        try:
            memory = recovery.memory()
        except D3PoseError as error:
            logger.warning("this run can't be resumed: %s", error)
            self._works = False
            return
        own_folder(self._folder)
        table, number = recorder.table(), len(self._tables)
        table.save(self._people(number))
        stretch = {"statistics": vars(statistics), "details": details}
        save_snapshot(self._rest(number), stretch)
        state = {
            "settings": self._settings,
            "next_frame": next_frame,
            "seconds": self.seconds,
            "stretches": number + 1,
            "memory": memory,
        }
        save_snapshot(self._state, state)
        self._take(table, statistics, details)
        recorder.clear()
        statistics.clear()
        self._kept_s = time.monotonic()

    def finish(
        self, recorder: PeopleRecorder, statistics: RunStatistics
    ) -> tuple[PeopleTable, RunStatistics]:
        """Everyone and all times, from the first frame on; given those that were not kept yet."""
        self._statistics.add_all(statistics)
        return PeopleTable.joined([*self._tables, recorder.table()]), self._statistics

    def forget(self) -> None:
        """All results are written."""
        remove_folder(self._folder)

    def _load(self) -> None:
        state = load_snapshot(self._state)
        try:
            self._check_settings(state["settings"])
            self.next_frame, self._earlier_s = state["next_frame"], state["seconds"]
            self._memory = state["memory"]
            for number in range(state["stretches"]):
                stretch = load_snapshot(self._rest(number))
                statistics = RunStatistics()
                vars(statistics).update(stretch["statistics"])
                self._take(PeopleTable.load(self._people(number)), statistics, stretch["details"])
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{self._folder} is damaged ({error!r}): start anew") from error

    def _check_settings(self, before: dict[str, Any]) -> None:
        different = [
            f"{name} {before.get(name)!r} then, {self._settings.get(name)!r} now"
            for name in sorted({*before, *self._settings})
            if before.get(name) != self._settings.get(name)
        ]
        if different:
            raise InputError(
                f"{self._folder.parent} holds an interrupted run of other settings: {'; '.join(different)}. "
                "Give the same as then, or start anew without --resume"
            )

    def _take(self, table: PeopleTable, statistics: RunStatistics, details: dict[str, Any]) -> None:
        self._tables.append(table)
        self._statistics.add_all(statistics)
        self.details.append(details)

    @property
    def _state(self) -> Path:
        return self._folder / "state.npz"

    def _people(self, number: int) -> Path:
        return self._folder / f"people-{number:06}.npz"

    def _rest(self, number: int) -> Path:
        return self._folder / f"times-{number:06}.npz"
