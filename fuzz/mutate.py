"""Random changes of inputs, for machines without atheris and for the tests: the same for a seed."""

from __future__ import annotations

import random
import struct
from collections.abc import Sequence

from fuzz.target import Target

_MOST_CHANGES = 6
# Where arithmetic turns over, and numbers that are none.
_INTERESTING = (
    *(struct.pack("<I", n) for n in (0, 1, 2, 127, 128, 255, 256, 65535, 65536, 2**31 - 1, 2**31)),
    *(struct.pack("<I", 2**32 - 1), struct.pack("<Q", 2**63 - 1), struct.pack("<Q", 2**64 - 1)),
    *(
        struct.pack("<d", x)
        for x in (float("nan"), float("inf"), -float("inf"), -0.0, 1e300, 1e-320)
    ),
    *(struct.pack("<f", x) for x in (float("nan"), float("inf"), 3e38)),
    *(
        b"\0",
        b"\xff",
        b"-1",
        b"nan",
        b"1e999",
        b"../",
        b"\n",
        b"'",
        b'"',
        b"%s",
        "\N{SNOWMAN}".encode(),
    ),
)


class Mutator:
    """Makes inputs out of a target's seeds."""

    def __init__(self, target: Target, seed: int) -> None:
        self._random = random.Random(seed)
        self._seeds = list(target.seeds())
        self._pieces = [*_INTERESTING, *target.words]
        self._max_length = target.max_length

    def next(self) -> bytes:
        """One of the seeds with a few changes."""
        data = bytearray(self._random.choice(self._seeds))
        for _ in range(self._random.randint(1, _MOST_CHANGES)):
            data = self.changed(data)
        return bytes(data[: self._max_length])

    def changed(self, data: bytearray) -> bytearray:
        """With one change."""
        rng = self._random
        at = rng.randrange(len(data) + 1)
        # Most formats keep what decides at the front.
        at = min(at, rng.choice((8, 64, 512, len(data))), len(data))
        end = min(len(data), at + rng.choice((1, 2, 4, 8, rng.randint(1, 64))))
        kind = rng.randrange(8)
        if kind == 0 and data:
            at = min(at, len(data) - 1)
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            data[at:end] = rng.randbytes(end - at)
        elif kind == 2:
            data[at:at] = rng.choice(self._pieces)
        elif kind == 3:
            piece = rng.choice(self._pieces)
            data[at : at + len(piece)] = piece
        elif kind == 4:
            del data[at:end]
        elif kind == 5:
            data[at:at] = data[at:end] * rng.choice((1, 2, 16))
        elif kind == 6:
            del data[at:]
        else:
            self._spliced(data, at, rng.choice(self._seeds))
        return data

    def _spliced(self, data: bytearray, at: int, other: Sequence[int]) -> None:
        """Another seed's piece in the place of ours."""
        start = self._random.randrange(len(other) + 1)
        length = self._random.choice((4, 16, 256, len(other)))
        piece = bytes(other[start : start + length])
        data[at : at + len(piece)] = piece
