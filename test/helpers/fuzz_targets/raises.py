"""A parser with a mistake, reached by one input in a few."""

from d3pose_core.errors import InputError
from fuzz.target import Target


def run(data: bytes) -> None:
    if data[:1] != b"a":
        raise InputError("not ours")
    if len(data) > 8:
        raise IndexError("of ours")


TARGET = Target(lambda: [b"abcdefg", b"bcd"], run)
