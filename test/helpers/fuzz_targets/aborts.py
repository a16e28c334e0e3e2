"""The process dies of an input, as code in C may make it."""

import os

from fuzz.target import Target


def run(data: bytes) -> None:
    if len(data) > 8:
        os.abort()


TARGET = Target(lambda: [b"abcdefg"], run)
