"""One task, carried out wherever that is: what comes of it."""

from __future__ import annotations

import os
import socket
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from d3pose_core.errors import D3PoseError

T = TypeVar("T")
R = TypeVar("R")

# A task whose process was killed is tried so often in all. Where its neighbours took the memory, it goes
# better the next time; where the task itself takes too much, it is killed again.
ATTEMPTS = 2

# What a running task calls to say how much more of it is done.
Report = Callable[[int], None]


@dataclass(frozen=True)
class Step:
    """So much more is done of a task that runs; less than 0 where it has to begin anew."""

    amount: int


@dataclass(frozen=True)
class Outcome(Generic[T, R]):
    """What became of a task: a `result`, or an `error`.

    Attributes:
        error: a sentence; "" if it worked.
        details: traceback of an error that nobody expected.
        worker: host and number of the process that did it, "" if it was lost.
        seconds: how long that took.
    """

    task: T
    result: R | None = None
    error: str = ""
    details: str = ""
    worker: str = ""
    seconds: float = 0.0


def attempt(function: Callable[[T, Report], R], task: T, report: Report) -> Outcome[T, R]:
    """Runs `function(task, report)` here; an exception becomes the outcome's error."""
    began = time.perf_counter()
    result: R | None = None
    error = details = ""
    try:
        result = function(task, report)
    except (D3PoseError, OSError) as raised:
        error = str(raised)
    except Exception as raised:
        error, details = f"{type(raised).__name__}: {raised}", traceback.format_exc()
    worker = f"{socket.gethostname()}:{os.getpid()}"
    return Outcome(task, result, error, details, worker, time.perf_counter() - began)
