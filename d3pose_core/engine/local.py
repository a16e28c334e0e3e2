"""Processes of this machine, any of which may be killed: its task is tried again or fails, others go on.

The pools of the standard library do not do that: one of them gives up all tasks when a process dies, the
other waits for it for ever.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from d3pose_core.engine.outcome import ATTEMPTS, Outcome, R, Report, Step, T, attempt

# Processes of one thread each are faster than a few whose threads wait for each other. Libraries read these
# when they are loaded.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
REPORT_PERIOD_S = 0.2
STOP_TIMEOUT_S = 5.0
_PR_SET_PDEATHSIG = 1


@dataclass
class _Waiting:
    """A task that is not done, and how often its process has died."""

    task: Any
    deaths: int = 0


@dataclass
class _Worker:
    process: BaseProcess
    connection: Connection
    current: _Waiting | None = None
    reported: int = 0  # steps of the current task


def run_in_processes(
    function: Callable[[T, Report], R], tasks: Sequence[T], workers: int
) -> Iterator[Outcome[T, R] | Step]:
    """See `run_tasks`. The processes end with the iteration, also where it is left early."""
    waiting = deque(_Waiting(task) for task in tasks)
    running: list[_Worker] = []
    through: list[_Worker] = []  # ending by themselves
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                worker = _start(function)
                running.append(worker)
                _assign(worker, waiting)
            ready = set(wait([worker.connection for worker in running]))
            for worker in [each for each in running if each.connection in ready]:
                message = _receive(worker)
                if isinstance(message, Step):
                    worker.reported += message.amount
                    yield message
                elif message is not None:
                    assert worker.current is not None
                    worker.current, worker.reported = None, 0
                    if waiting:
                        _assign(worker, waiting)
                    else:
                        running.remove(worker)
                        through.append(worker)
                        worker.connection.close()
                    yield message
                else:
                    running.remove(worker)
                    yield Step(-worker.reported)
                    lost = worker.current
                    assert lost is not None
                    lost.deaths += 1
                    if lost.deaths < ATTEMPTS:
                        waiting.append(lost)
                    else:
                        yield Outcome(lost.task, error=_cause_of_death(worker.process))
    finally:
        for worker in running:
            worker.process.kill()
        for worker in running + through:
            _end(worker)


def _start(function: Callable) -> _Worker:
    # A fresh interpreter each: networks that were loaded before a fork may hang.
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, function, os.getpid()), daemon=True)
    with _environment(ONE_THREAD):
        process.start()
    theirs.close()  # so that its death is the end of the connection
    return _Worker(process, ours)


def _assign(worker: _Worker, waiting: deque[_Waiting]) -> None:
    worker.current = waiting.popleft()
    try:
        worker.connection.send(worker.current.task)
    except BrokenPipeError:
        return  # it died; reading from it will say so


def _receive(worker: _Worker) -> Outcome | Step | None:
    """What it says; None where it is dead."""
    try:
        return worker.connection.recv()
    except (EOFError, ConnectionResetError):
        worker.connection.close()
        worker.process.join()
        return None


def _cause_of_death(process: BaseProcess) -> str:
    status = process.exitcode
    if status is not None and status < 0:
        name = signal.Signals(-status).name
        hint = ": memory ran short? try fewer workers" if name == "SIGKILL" else ""
        return f"its process was killed by {name}, {ATTEMPTS} times{hint}"
    return f"its process ended with status {status}, {ATTEMPTS} times"


def _end(worker: _Worker) -> None:
    """Lets a process that has nothing to do end by itself; kills one that does not."""
    worker.connection.close()
    worker.process.join(STOP_TIMEOUT_S)
    if worker.process.is_alive():
        worker.process.kill()
        worker.process.join()


@dataclass
class _Progress:
    """Sends steps, but not each of many."""

    connection: Connection
    amount: int = 0
    next_s: float = field(default_factory=time.monotonic)

    def __call__(self, amount: int) -> None:
        self.amount += amount
        if time.monotonic() >= self.next_s:
            self.flush()

    def flush(self) -> None:
        self.connection.send(Step(self.amount))
        self.amount, self.next_s = 0, time.monotonic() + REPORT_PERIOD_S


def _serve(connection: Connection, function: Callable, parent: int) -> None:
    """The worker's process: tasks come in, outcomes go out, until the other end is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which then ends us
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it ended before we could ask to be told
            return
    while True:
        try:
            task = connection.recv()
        except (EOFError, OSError):
            break
        progress = _Progress(connection)
        outcome = attempt(function, task, progress)
        progress.flush()
        connection.send(outcome)
    # At once: Python's own teardown frees every object of torch's modules one by one, for nothing.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """For a process that is started in the block."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
