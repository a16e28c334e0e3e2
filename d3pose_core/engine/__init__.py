"""Many tasks, one function: in processes of this machine, or on a Ray cluster.

A task that fails, or whose process is killed, is an `Outcome` with an error; the others go on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from d3pose_core.engine.outcome import ATTEMPTS, Outcome, R, Report, Step, T, attempt
from d3pose_core.errors import InputError

__all__ = ["ATTEMPTS", "ENGINES", "Outcome", "Report", "Step", "check_engine", "run_tasks"]

ENGINES = ("local", "ray")


def check_engine(engine: str) -> None:
    """InputError for an engine that does not exist, or cannot be imported."""
    if engine not in ENGINES:
        raise InputError(f"the engine must be one of {', '.join(ENGINES)}, got {engine!r}")
    if engine == "ray":
        from d3pose_core.engine.cluster import import_ray

        import_ray()


def run_tasks(
    function: Callable[[T, Report], R],
    tasks: Sequence[T],
    engine: str = "local",
    workers: int = 1,
) -> Iterator[Outcome[T, R] | Step]:
    """`function(task, report)` for every task, in any order: one Outcome each, and Steps on the way.

    Args:
        function: of a module, so that other processes can import it, on the cluster's machines, too.
            Its `report(amount)` makes a Step here.
        engine: "local": processes of this machine; "ray": of the cluster that RAY_ADDRESS names, or of
            this machine without it. Ray's Steps come when a task is done.
        workers: processes at a time, each with one thread for its numbers. 0: in this process, where
            nothing holds if that is killed. Of "ray", the CPUs it may take if it starts itself here; of
            a cluster it takes all.

    Raises:
        InputError: no such engine, or Ray is not installed.
        D3PoseError: Ray does not start.
    """
    check_engine(engine)
    if workers < 0:
        raise InputError(f"workers must not be negative, got {workers}")
    if engine == "ray":
        from d3pose_core.engine.cluster import run_with_ray

        yield from run_with_ray(function, tasks, max(1, workers))
    elif workers == 0:
        yield from _run_here(function, tasks)
    else:
        from d3pose_core.engine.local import run_in_processes

        yield from run_in_processes(function, tasks, workers)


def _run_here(
    function: Callable[[T, Report], R], tasks: Sequence[T]
) -> Iterator[Outcome[T, R] | Step]:
    for task in tasks:
        amounts: list[int] = []
        outcome = attempt(function, task, amounts.append)
        yield Step(sum(amounts))
        yield outcome
