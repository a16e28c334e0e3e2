"""What a fuzz target is, and how they are found by name."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from d3pose_core.errors import D3PoseError

MOST_BYTES = 1 << 18  # of any input


@dataclass(frozen=True)
class Target:
    """One way into d3pose.

    `seeds` makes a few small, valid inputs; `run` uses one input; `words` are pieces that mutations put in,
    such as names that a parser knows.
    """

    seeds: Callable[[], Sequence[bytes]]
    run: Callable[[bytes], object]
    words: tuple[bytes, ...] = ()
    max_length: int = 1 << 16
    weight: int = 1  # so many times as many inputs as others, where one is cheap


class Finding(Exception):
    """An input that did what no input may do; `__cause__` is the exception that got out."""


def names() -> list[str]:
    """Of all targets."""
    package = importlib.import_module("fuzz.targets")
    return sorted(module.name for module in pkgutil.iter_modules(package.__path__))


def load(name: str) -> Target:
    """The target of that name, or of a module's full name."""
    return importlib.import_module(name if "." in name else f"fuzz.targets.{name}").TARGET


def judge(target: Target, data: bytes) -> bool:
    """Whether the input was accepted; False: refused by a D3PoseError. Raises Finding for anything else."""
    try:
        target.run(data)
    except D3PoseError:
        return False
    except Exception as error:
        raise Finding(f"{type(error).__name__}: {error}") from error
    return True
