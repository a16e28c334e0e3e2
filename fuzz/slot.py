"""Memory that a worker shares with its supervisor: what it is working on survives its crash."""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

from fuzz.target import MOST_BYTES

_STATE = struct.Struct("<QQQQ?")  # done, accepted, refused, length, at work
_SIZE = _STATE.size + MOST_BYTES


class Slot:
    """Counts, and the input in work."""

    def __init__(self, path: Path) -> None:
        """The file is made where it is not there."""
        with path.open("a+b") as file:
            file.truncate(_SIZE)
            self._memory = mmap.mmap(file.fileno(), _SIZE)

    def begin(self, data: bytes) -> None:
        """Work on an input begins."""
        data = data[:MOST_BYTES]
        self._memory[_STATE.size : _STATE.size + len(data)] = data
        done, accepted, refused, _, _ = self._state()
        _STATE.pack_into(self._memory, 0, done, accepted, refused, len(data), True)

    def end(self, accepted: bool | None) -> None:
        """It is done with; None: neither accepted nor refused."""
        done, yes, no, length, _ = self._state()
        counts = (done + 1, yes + (accepted is True), no + (accepted is False))
        _STATE.pack_into(self._memory, 0, *counts, length, False)

    @property
    def counts(self) -> tuple[int, int, int]:
        """Inputs done, accepted and refused."""
        return self._state()[:3]

    @property
    def in_work(self) -> bytes | None:
        """The input that is being worked on."""
        *_, length, busy = self._state()
        return bytes(self._memory[_STATE.size : _STATE.size + length]) if busy else None

    def _state(self) -> tuple:
        return _STATE.unpack_from(self._memory, 0)
