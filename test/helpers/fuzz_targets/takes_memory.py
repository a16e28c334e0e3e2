"""A few bytes that cost a hundred MB, which are given back at once."""

from fuzz.target import Target


def run(data: bytes) -> None:
    if len(data) > 12:
        assert len(b"x" * (100 << 20)) > 0


TARGET = Target(lambda: [b"abcdefg"], run)
