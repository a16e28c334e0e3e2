"""Recordings to process, each with a folder for its results, and what is known there: done, failed, nothing.

A folder's done.json is written last and whole: results without it are not finished.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from d3pose_core.errors import InputError
from d3pose_core.recording import atomic_path, package_version

STARTED, DONE, FAILED = "started.json", "done.json", "failed.json"
RESULTS = ("people.npz", "people.mcap", "overlay.mp4", "summary.json")
BAG_SUFFIXES = (".mcap", ".db3")

_SAMPLED_BYTES = 1 << 20  # at each end of a file


@dataclass(frozen=True)
class Recording:
    """A bag or a clip, and where its results go."""

    source: Path  # absolute
    folder: Path
    name: str  # the folder as seen from the output folder

    @property
    def is_bag(self) -> bool:
        """A rosbag2, which is a folder or one file; anything else is a clip."""
        return self.source.is_dir() or self.source.suffix in BAG_SUFFIXES


@dataclass(frozen=True)
class Record:
    """What done.json and the like say about a recording."""

    source: str
    fingerprint: str  # "" of a recording that could not be read
    settings: Mapping[str, Any]
    entries: Mapping[str, Any]  # the rest: numbers of a done one, reasons of a failed one

    def save(self, path: Path) -> None:
        """Atomically, and with the version of this package."""
        content = {
            "source": self.source,
            "fingerprint": self.fingerprint,
            "settings": dict(self.settings),
            "version": package_version(),
            **self.entries,
        }
        with atomic_path(path) as partial:
            text = json.dumps(content, indent=2, allow_nan=False)
            partial.write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Record | None:
        """None where there is no such file. InputError if it is another one."""
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            known = [content.pop(key) for key in ("source", "fingerprint", "settings")]
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
            raise InputError(
                f"{path} is not what d3pose process writes ({error!r}): remove it"
            ) from error
        source, fingerprint_, settings = known
        return cls(source, fingerprint_, settings, content)


def assign_folders(sources: Sequence[Path], out: Path, root: Path | None = None) -> list[Recording]:
    """A folder for each recording: its name without suffix, or its path below `root`, below `out`.

    Raises:
        InputError: two recordings with one folder, one that does not lie below `root`, or one whose results
            would go into its own bag.
    """
    bags = {Path(os.path.abspath(source)) for source in sources if source.is_dir()}
    recordings: dict[Path, Recording] = {}
    for given in sources:
        source = Path(os.path.abspath(given))
        name = source if source.is_dir() else source.with_suffix("")
        if root is None:
            name = Path(name.name)
        else:
            try:
                name = name.relative_to(os.path.abspath(root))
            except ValueError as error:
                raise InputError(f"{source} does not lie below --root {root}") from error
        folder = Path(os.path.abspath(out), name)
        other = recordings.get(folder)
        if other is not None and other.source != source:
            raise InputError(
                f"the results of {other.source} and {source} would both go to {folder}: give --root, a "
                "folder above all recordings, whose folders are then kept, or rename one"
            )
        if folder in bags:
            raise InputError(
                f"the results of {source} would go into the bag {folder}: choose another --out"
            )
        recordings[folder] = Recording(source, folder, name.as_posix())
    return list(recordings.values())


def model_identity(weights: str, body: str) -> dict[str, str]:
    """What is in the files of weights and a licensed body, and how the network steps.

    Raises InputError where the files can't be read.
    """
    from d3pose_core.body import FREE_BODIES
    from d3pose_core.model.checkpoint import weights_path

    files = {"weights": Path(weights_path(weights))}
    if body not in FREE_BODIES:
        files["body"] = Path(os.path.expanduser(body))
    # Results of before the network stepped both ways (`runtime.both_ways`) are others.
    identity = {"step": "both ways"}
    for what, path in files.items():
        try:
            identity[f"{what}_sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError as error:
            raise InputError(f"cannot read the {what} {path}: {error}") from error
    return identity


def fingerprint(source: Path) -> str:
    """Of a recording's content: names and sizes of its files, and a megabyte at both ends of each.

    It does not depend on where the recording lies or on its times. OSError where it can't be read.
    """
    digest = hashlib.sha256()
    for file in files_of(source):
        with file.open("rb") as stream:
            size = file.stat().st_size
            digest.update(f"{file.name}\0{size}\0".encode())
            digest.update(stream.read(_SAMPLED_BYTES))
            stream.seek(max(stream.tell(), size - _SAMPLED_BYTES))
            digest.update(stream.read(_SAMPLED_BYTES))
    return digest.hexdigest()


def files_of(source: Path) -> list[Path]:
    """The files of a recording: of a bag's folder what rosbag2 puts there, and not what others do."""
    if not source.is_dir():
        return [source]
    suffixes = (*BAG_SUFFIXES, ".zstd", ".yaml")
    return sorted(file for file in source.iterdir() if file.suffix in suffixes and file.is_file())


def check_not_overwritten(source: Path, folder: Path) -> None:
    """Raises InputError where results in `folder` would take the place of the recording, or of its parts."""
    files = {file.resolve() for file in files_of(source)}
    for name in RESULTS:
        if (folder / name).resolve() in files:
            raise InputError(
                f"{folder / name} is part of the recording {source}, and results would take its place: "
                "choose another --out"
            )


def remove_results(folder: Path) -> None:
    """Of an earlier run. Raises InputError where it is forbidden."""
    for name in RESULTS:
        try:
            (folder / name).unlink(missing_ok=True)
        except OSError as error:
            raise InputError(f"can't make room for results in {folder}: {error}") from error


def begin(folder: Path, record: Record, anew: bool = False) -> bool:
    """Makes a recording's folder ready for an attempt: nothing in it says that it is done, or has failed.

    Returns whether the attempt can go on from what an earlier one left, which was made of the same input,
    with the same settings and version; else, or if it is to be `anew`, the results are removed.

    Raises:
        InputError: the folder can't be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in (DONE, FAILED):
            (folder / name).unlink(missing_ok=True)
        for unfinished in folder.glob(".*.partial.*"):  # see atomic_path: its process was killed
            unfinished.unlink()
        earlier = Record.load(folder / STARTED)
        goes_on = (
            not anew
            and earlier is not None
            and (earlier.fingerprint, earlier.settings) == (record.fingerprint, record.settings)
            and earlier.entries.get("version") == package_version()
        )
        if not goes_on:
            (folder / STARTED).unlink(missing_ok=True)
            remove_results(folder)
            record.save(folder / STARTED)
    except OSError as error:
        raise InputError(f"can't make room for results in {folder}: {error}") from error
    return goes_on


@dataclass(frozen=True)
class Plan:
    """Which recordings are to be processed."""

    to_do: list[Recording]
    done: list[Recording]
    failed: dict[Recording, str]  # before, and why


def plan(
    recordings: Sequence[Recording],
    settings: Mapping[str, Any],
    redo: bool = False,
    retry_failed: bool = False,
) -> Plan:
    """What is done or has failed is left alone, unless the input changed, or of a failed one the settings.

    Args:
        redo: process everything anew.
        retry_failed: process what failed anew.

    Raises:
        InputError: a folder holds what was made with other settings, and would not go with the rest, or
            the results of another recording.
    """
    result = Plan([], [], {})
    for recording in recordings:
        done = Record.load(recording.folder / DONE)
        failed = Record.load(recording.folder / FAILED)
        now = _fingerprint_or_none(recording.source)
        if done is not None and done.source != str(recording.source) and done.fingerprint != now:
            raise InputError(
                f"{recording.folder} holds the results of {done.source}: choose another --out for "
                f"{recording.source}"
            )
        # A recording that was taken away after it was done is as it was.
        if done is not None and not redo and now in ("", done.fingerprint):
            _check_settings(recording, done.settings, settings)
            result.done.append(recording)
        elif (
            failed is not None
            and not (redo or retry_failed)
            and failed.settings == settings
            and failed.fingerprint == now
        ):
            result.failed[recording] = str(failed.entries.get("reason", ""))
        else:
            result.to_do.append(recording)
    return result


def _fingerprint_or_none(source: Path) -> str:
    try:
        return fingerprint(source)
    except OSError:
        return ""


def _check_settings(recording: Recording, then: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    differ = [key for key in {**then, **now} if then.get(key) != now.get(key)]
    if differ:
        changes = ", ".join(f"{key} {then.get(key)!r}, now {now.get(key)!r}" for key in differ)
        raise InputError(
            f"{recording.folder} was made with other settings ({changes}): choose another --out, or give "
            "--redo to process all recordings anew"
        )
