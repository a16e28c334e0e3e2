"""Numbers and texts out of an input's bytes: any bytes at all, short ones are filled up with zeros."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Fields:
    """Reads an input from front to back; seeds are written with the same formats of `struct`."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, form: str) -> tuple:
        """The next values, by a format of `struct` that begins with "<"."""
        size = struct.calcsize(form)
        piece = self._data[self._at : self._at + size].ljust(size, b"\0")
        self._at += size
        return struct.unpack(form, piece)

    def number(self, form: str = "<B") -> int:
        """The next value alone."""
        return self.take(form)[0]

    def choice(self, options: Sequence[T]) -> T:
        """One of these, by one byte."""
        return options[self.number() % len(options)]

    def text(self) -> str:
        """A length byte and so many bytes; what is no UTF-8 becomes a replacement character."""
        return self.bytes(self.number()).decode("utf-8", "replace")

    def bytes(self, count: int) -> bytes:
        """The next `count` bytes, or what is left."""
        piece = self._data[self._at : self._at + count]
        self._at += count
        return piece

    def rest(self) -> bytes:
        """Everything that is left."""
        return self.bytes(len(self._data))

    @property
    def left(self) -> int:
        """How many bytes are left."""
        return max(0, len(self._data) - self._at)


def text(value: str) -> bytes:
    """As `Fields.text` reads it."""
    data = value.encode()
    return bytes([len(data)]) + data
