"""Ray: tasks on the machines of a cluster, which must all see the same files."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from types import ModuleType

from d3pose_core.engine.outcome import ATTEMPTS, Outcome, R, Report, Step, T, attempt
from d3pose_core.errors import D3PoseError, InputError


def import_ray() -> ModuleType:
    """The package. Raises InputError where it is not installed."""
    try:
        import ray
    except ImportError as error:
        raise InputError(
            "the engine ray needs Ray: pip install 'd3pose_ros[cluster]', on every machine of the cluster"
        ) from error
    return ray


def run_with_ray(
    function: Callable[[T, Report], R], tasks: Sequence[T], workers: int
) -> Iterator[Outcome[T, R] | Step]:
    """See `run_tasks`. A Ray that is there already is used as it is, and left running."""
    ray = import_ray()
    started_here = not ray.is_initialized()
    if started_here:
        # Without an address Ray would join one that somebody else may have started on this machine.
        here = {"address": "local", "num_cpus": workers, "include_dashboard": False}
        cluster = os.environ.get("RAY_ADDRESS")
        try:
            ray.init(log_to_driver=False, **({} if cluster else here))
        except Exception as error:  # of many types
            raise D3PoseError(
                f"Ray does not start on {cluster or 'this machine'}: {type(error).__name__}: {error}; "
                "--engine local does without it"
            ) from error
    try:
        # One CPU: Ray gives its numbers one thread, too. A worker that dies is replaced.
        remote = ray.remote(num_cpus=1, max_retries=ATTEMPTS - 1)(_attempt)
        waiting = {remote.remote(function, task): task for task in tasks}
        while waiting:
            (ready, *_), _ = ray.wait(list(waiting))
            task = waiting.pop(ready)
            try:
                amount, outcome = ray.get(ready)
            except ray.exceptions.RayError as error:
                said = str(error).strip().partition("\n")[0]
                yield Outcome(task, error=f"its process was lost: {type(error).__name__}: {said}")
            else:
                yield Step(amount)
                yield outcome
    finally:
        if started_here:
            ray.shutdown()


def _attempt(function: Callable[[T, Report], R], task: T) -> tuple[int, Outcome[T, R]]:
    amounts: list[int] = []
    outcome = attempt(function, task, amounts.append)
    return sum(amounts), outcome
