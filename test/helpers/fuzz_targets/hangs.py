"""An input for which the end never comes."""

from fuzz.target import Target


def run(data: bytes) -> None:
    while len(data) > 8:
        pass


TARGET = Target(lambda: [b"abcdefg"], run)
