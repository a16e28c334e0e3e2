"""Bags as files, read through rosbags: what is damaged in them is an InputError, and no message grows without
bound.

rosbags reads sound files well. Of damaged ones its parsers raise whatever they come upon (struct.error,
KeyError, TypeError, the errors of SQLite and zstd), and compressed data may unpack to far more than it says.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lz4.frame import LZ4FrameDecompressor
from rosbags.interfaces import Connection
from rosbags.rosbag2 import Reader, ReaderError, storage_mcap
from rosbags.rosbag2.reader import DirectoryReader
from rosbags.typesys.store import Typestore

from d3pose_core.errors import InputError

# Of one chunk or message after decompression. Recorders fill chunks to a few MB; one larger message, such as
# an image of 80 million pixels, makes a chunk of its own.
MOST_UNPACKED = 1 << 28
_MESSAGE = "message"  # compression of each message, as metadata.yaml calls it


class BagFile:
    """A bag that is open.

    Attributes:
        path: as it was given.
        connections: topics by publisher, as rosbags lists them.
    """

    def __init__(self, path: Path, file: Path) -> None:
        """Opens `file`. Raises InputError that names `path`, where that can't be done."""
        self.path = path
        self._unpack = False
        try:
            self._reader = Reader(file)
            self._reader.open()
        except FileNotFoundError as error:
            raise InputError(f"no such bag: {path}") from error
        except Exception as error:  # see above
            raise unreadable(path, error) from error
        storage = self._reader.storage
        if isinstance(storage, DirectoryReader) and storage.metadata.compression_mode == _MESSAGE:
            # rosbags would unpack each message to whatever size it turns out to have.
            self._unpack = True
            storage.metadata = storage.metadata._replace(compression_mode=None)
        self.connections: list[Connection] = list(self._reader.connections)
        kinds = {(type(c.topic), type(c.msgtype), type(c.msgcount)) for c in self.connections}
        if kinds - {(str, str, int)}:
            self.close()
            raise unreadable(path, ReaderError("its list of topics is damaged"))

    def messages(
        self, connections: Collection[Connection]
    ) -> Iterator[tuple[Connection, int, bytes]]:
        """Connection, time of recording (ns) and bytes of each message of these connections, none of others.

        Raises:
            InputError: the file is damaged at this place.
        """
        if not connections:
            return
        stream = self._reader.messages(connections)
        while True:
            try:
                found = next(stream, None)
                if found is not None and self._unpack:
                    found = (*found[:2], _unzstd(found[2], MOST_UNPACKED))
            except Exception as error:
                raise unreadable(self.path, error) from error
            if found is None:
                return
            yield found

    def close(self) -> None:
        """Closes the file."""
        self._reader.close()


@contextmanager
def opened(path: Path, file: Path | None = None) -> Iterator[BagFile]:
    """A bag to read from; `file`: what to open for `path`, if not that."""
    bag = BagFile(path, path if file is None else file)
    try:
        yield bag
    finally:
        bag.close()


def unreadable(path: Path, error: Exception) -> InputError:
    """What to tell a user whose bag can't be read."""
    told = isinstance(error, ReaderError | OSError)
    reason = str(error) if told else f"it is damaged ({type(error).__name__}: {error})"
    damaged = not told or "magic" in reason or "malformed" in reason
    hint = "; if its recorder was killed, `mcap recover` or `ros2 bag reindex` may mend it"
    return InputError(f"{path} is not a readable bag: {reason}{hint if damaged else ''}")


def deserialized(types: Typestore, data: bytes, message_type: str, topic: str) -> Any:
    """A message of `topic`. Raises InputError where its bytes are not those of its type."""
    try:
        return types.deserialize_cdr(data, message_type)
    except Exception as error:  # numpy's, struct's, and rosbags' own
        raise InputError(
            f"a message of {topic} is damaged, or no {message_type}: {type(error).__name__}: {error}"
        ) from error


def _unzstd(data: bytes, most: int) -> bytes:
    """At most `most` bytes, out of any number of frames."""
    parts, size = [], 0
    while data:
        decompressor = storage_mcap.zstd.ZstdDecompressor()
        part = decompressor.decompress(data, max_length=most + 1 - size)
        parts.append(part)
        size += len(part)
        if size > most:
            raise ReaderError(f"Compressed data holds more than {most} bytes.")
        if not decompressor.eof:
            raise ReaderError("Compressed data is cut off.")
        data = decompressor.unused_data
    return b"".join(parts)


def _unlz4(data: bytes, most: int) -> bytes:
    """At most `most` bytes."""
    part = LZ4FrameDecompressor().decompress(data, max_length=most + 1)
    if len(part) > most:
        raise ReaderError(f"Compressed data holds more than {most} bytes.")
    return part


def _bounded(unpack: Any) -> Any:
    """As rosbags calls it: with the size that the chunk says it has."""

    def decompress(data: bytes, size: int) -> bytes:
        if size > MOST_UNPACKED:
            raise ReaderError(
                f"A chunk of {size} bytes is larger than the {MOST_UNPACKED} allowed."
            )
        return unpack(data, size)

    return decompress


storage_mcap.DECOMPRESSORS.update(zstd=_bounded(_unzstd), lz4=_bounded(_unlz4))
