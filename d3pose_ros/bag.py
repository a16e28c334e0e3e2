"""Recorded bags without a ROS installation: writing MCAP that survives a kill, reading people back.

A single `.mcap` file with ROS 2 messages is what `ros2 bag` calls a bag, too.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

from rosbags.interfaces import Connection, Qos
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from d3pose_core.bag_file import BagFile, deserialized, opened
from d3pose_core.errors import InputError

logger = logging.getLogger(__name__)

PEOPLE_TYPE = "d3pose_ros/msg/SmplPersonArray"
_OUR_TYPES = ("SmplPerson", "SmplPersonArray")

# A kill loses at most what came in during so long.
FLUSH_PERIOD_S = 1.0

_MAGIC = b"\x89MCAP0\r\n"
_RECORD_HEADER = struct.Struct("<BQ")  # operation, length of what follows
_DATA_END, _FOOTER = 0x0F, 0x02


@lru_cache(maxsize=1)
def typestore() -> Typestore:
    """The message types of ROS 2 Kilted and our own; the same store each time, not to be added to."""
    store = get_typestore(Stores.ROS2_KILTED)
    folder = _message_folder()
    for name in _OUR_TYPES:
        text = (folder / f"{name}.msg").read_text(encoding="utf-8")
        store.register(get_types_from_msg(text, f"d3pose_ros/msg/{name}"))
    return store


def _message_folder() -> Path:
    """The .msg files: of the checkout, or in the share folder of the prefix."""
    for parent in Path(__file__).resolve().parents:
        for folder in (parent / "msg", parent / "share" / "d3pose_ros" / "msg"):
            if (folder / f"{_OUR_TYPES[0]}.msg").is_file():
                return folder
    raise InputError(
        f"the .msg files were not found above {__file__}: install d3pose_ros with pip or colcon"
    )


class BagWriter:
    """Writes serialized messages to one `.mcap` file, which gets its name when it is closed.

    Until then it is `.NAME.recording/`. What a killed writer left of that gets the name when somebody opens
    the bag, or writes to it again (`rescue`). Use as a context manager.
    """

    def __init__(self, path: Path) -> None:
        """A file that is there already is replaced when this one is closed. `path` ends in `.mcap`.

        Raises InputError for another suffix, where it can't be written, or where another process does.
        """
        if path.suffix != ".mcap":
            raise InputError(f"a bag's name must end in .mcap, got {path}")
        self.path = path
        self._folder = recording_folder(path)
        self._types = typestore()
        self._connections: dict[str, Connection] = {}
        self.counts: dict[str, int] = {}
        self._failed = self._has_more = False
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            rescue(path)
            if self._folder.is_symlink():
                self._folder.unlink()  # it would lead out of the folder that was meant
            elif self._folder.exists():
                if _is_written(path):
                    raise InputError(f"another process is recording to {path}: choose another file")
                shutil.rmtree(self._folder)
            folder = _unfinished_file(path).parent
            self._writer = Writer(folder, version=9, storage_plugin=StoragePlugin.MCAP)
            self._writer.open()
            self._writer.storage.bio.flush()  # the header: killed now, it leaves a bag without messages
            # Held as long as this process lives: whoever finds the file tells by it that it is in use.
            fcntl.flock(self._writer.storage.bio, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise InputError(f"can't write {path}: {error}") from error
        self._next_flush_s = time.monotonic() + FLUSH_PERIOD_S

    def add_topic(self, topic: str, message_type: str, qos: Qos | None = None) -> None:
        """Before the first message; `message_type` as `package/msg/Name`."""
        self._connections[topic] = self._writer.add_connection(
            topic,
            message_type,
            typestore=self._types,
            offered_qos_profiles=[qos] if qos else [],
        )
        self.counts[topic] = 0

    def write(self, topic: str, received_ns: int, data: bytes) -> None:
        """Append one message as it came from the middleware (CDR).

        Raises:
            InputError: the disk is full. The file is finished with what came until then.
        """
        try:
            self._writer.write(self._connections[topic], received_ns, data)
            self._has_more = True
        except OSError as error:
            raise self._given_up(error) from error
        self.flush_if_due()
        self.counts[topic] += 1

    def close(self) -> None:
        """Finish the file and give it its name. Raises InputError when the disk is full, as `write`."""
        if self._failed:
            return
        try:
            self._writer.close()
            os.replace(_unfinished_file(self.path), self.path)
        except OSError as error:
            raise self._given_up(error) from error
        shutil.rmtree(self._folder)

    def _given_up(self, error: OSError) -> InputError:
        """After it nothing more is written."""
        self._failed = True
        with suppress(OSError):  # it tries once more to write what did not fit
            self._writer.storage.bio.close()
        try:
            kept = "is" if rescue(self.path) else "could not be"
        except OSError:
            kept = "could not be"
        return InputError(
            f"recording to {self.path} ended: {error.strerror}; what came until then {kept} kept. Make room, "
            "or choose another folder"
        )

    def flush_if_due(self) -> None:
        """To be called now and then where messages may stop coming. InputError when the disk is full."""
        if self._has_more and time.monotonic() >= self._next_flush_s:
            self.flush()

    def flush(self) -> None:
        """What was written until now survives a kill of this process. InputError when the disk is full."""
        try:
            self._flush()
        except OSError as error:
            raise self._given_up(error) from error

    def _flush(self) -> None:
        """rosbags writes a chunk when it has 1 MB, which takes minutes with people alone."""
        storage = self._writer.storage
        storage.close_chunk()
        storage.bio.flush()
        self._has_more = False
        self._next_flush_s = time.monotonic() + FLUSH_PERIOD_S

    def __enter__(self) -> BagWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def recording_folder(path: Path) -> Path:
    """Where a bag lies while it is being written."""
    return path.with_name(f".{path.name}.recording")


def _unfinished_file(path: Path) -> Path:
    """rosbags names the file after its folder, and writes that name into it: it must be the last."""
    return recording_folder(path) / path.stem / f"{path.stem}.mcap"


def rescue(path: Path) -> bool:
    """Make `path` of what a recorder that was killed left behind; False if there is nothing.

    Everything up to the last complete chunk is kept. What is still being recorded is left alone.
    """
    unfinished = _unfinished_file(path)
    if recording_folder(path).is_symlink() or not unfinished.is_file() or _is_written(path):
        return False
    with unfinished.open("r+b") as file:
        if file.read(len(_MAGIC)) != _MAGIC:  # killed before the first byte, or not ours
            return False
        file.seek(_end_of_data(file))
        file.truncate()
        # Readers scan a file whose footer names no summary.
        file.write(_RECORD_HEADER.pack(_DATA_END, 4) + bytes(4))
        file.write(_RECORD_HEADER.pack(_FOOTER, 20) + bytes(20))
        file.write(_MAGIC)
    os.replace(unfinished, path)
    shutil.rmtree(recording_folder(path))
    return True


def _is_written(path: Path) -> bool:
    """Whether a process that lives is recording to `path`."""
    try:
        with _unfinished_file(path).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _end_of_data(file: BinaryIO) -> int:
    """Where the last complete record ends that comes before any summary."""
    size = file.seek(0, os.SEEK_END)
    position = len(_MAGIC)
    while position + _RECORD_HEADER.size <= size:
        file.seek(position)
        operation, length = _RECORD_HEADER.unpack(file.read(_RECORD_HEADER.size))
        end = position + _RECORD_HEADER.size + length
        if end > size or operation in (_DATA_END, _FOOTER):
            break
        position = end
    return position


@dataclass(frozen=True)
class RecordedMessage:
    """A message of a bag, and when it was recorded, ns since 1970."""

    topic: str
    received_ns: int
    message: Any


def read_bag(path: Path, topics: tuple[str, ...] = ()) -> Iterator[RecordedMessage]:
    """The messages of some topics (all, if none are named), in the order of their recording.

    Raises:
        InputError: no such bag, not one, or a damaged one.
    """
    types = typestore()
    with open_bag(path) as bag:
        wanted = [each for each in bag.connections if not topics or each.topic in topics]
        for connection, received_ns, data in bag.messages(wanted):
            message = deserialized(types, data, connection.msgtype, connection.topic)
            yield RecordedMessage(connection.topic, received_ns, message)


@contextmanager
def open_bag(path: Path) -> Iterator[BagFile]:
    """A bag to read from: a folder with metadata.yaml, or a single .mcap or .db3 file.

    Of one whose recorder was killed, what it had written: `rescue` is called where the file is missing.

    Raises:
        InputError: no such bag, not one, or a damaged one; also while it is read.
    """
    if not path.exists() and rescue(path):
        logger.warning("the recorder of %s did not finish: it holds what had been written", path)
    with opened(path, _bag_file(path)) as bag:
        yield bag


def _bag_file(path: Path) -> Path:
    """What rosbags opens. A folder whose recorder was killed lacks its metadata.yaml: then its only file."""
    if not path.is_dir() or (path / "metadata.yaml").is_file():
        return path
    files = [each for each in sorted(path.iterdir()) if each.suffix in (".mcap", ".db3")]
    if len(files) == 1:
        return files[0]
    raise InputError(
        f"{path} is a folder without metadata.yaml and with {len(files)} .mcap or .db3 files: give the "
        "folder that `ros2 bag record` made, or one file"
    )
