"""Runs the observer over a dataset's images once, sequence by sequence, in several processes or on a cluster.

Each sequence is one task: an observer tracks people from image to image, so its frames belong together.
What is done is on disk, and is not done again.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from d3pose_core.data.images import read_image
from d3pose_core.data.observation_cache import ObservationCache
from d3pose_core.errors import D3PoseError, InputError
from d3pose_core.observe.observation import PersonObservation, PersonObserver

ENGINES = ("local", "ray")


@dataclass(frozen=True)
class Task:
    """One sequence to observe; small enough to be sent to another machine."""

    sequence: str
    image_paths: tuple[Path, ...]
    times_s: tuple[float, ...]
    folder: Path  # of the cache
    dataset: str
    split: str
    observer: str
    max_people: int


@dataclass(frozen=True)
class Done:
    """What became of a task."""

    sequence: str
    frames: int
    error: str = ""  # "" if it worked


def blazepose(task: Task) -> PersonObserver:
    """The observer of a task, made where the task runs."""
    from d3pose_core.observe import BlazePoseObserver

    return BlazePoseObserver(max_people=task.max_people, num_threads=1)


def run_task(task: Task, make_observer: Callable[[Task], PersonObserver] = blazepose) -> Done:
    """Observe one sequence and write its shard; a broken sequence does not stop the others."""
    cache = ObservationCache(task.folder, task.dataset, task.split, task.observer)
    try:
        cache.save(task.sequence, _observe(task, make_observer(task)))
    except (D3PoseError, OSError) as error:
        return Done(task.sequence, 0, str(error))
    return Done(task.sequence, len(task.image_paths))


def _observe(task: Task, observer: PersonObserver) -> Iterator[list[PersonObservation]]:
    for path, time_s in zip(task.image_paths, task.times_s, strict=True):
        yield observer(read_image(path), time_s)


def run_tasks(
    tasks: Sequence[Task],
    engine: str = "local",
    processes: int = 1,
    make_observer: Callable[[Task], PersonObserver] = blazepose,
) -> Iterator[Done]:
    """Every task once, in any order.

    Args:
        engine: "local": processes of this machine; "ray": of the cluster that RAY_ADDRESS names, or of
            this machine without it. Shards go to `Task.folder`, which all machines must see.
        processes: how many at a time; of "ray", how many CPUs it may take here if it starts itself.

    Raises:
        InputError: no such engine, or Ray is not installed.
    """
    if engine not in ENGINES:
        raise InputError(f"the engine must be one of {', '.join(ENGINES)}, got {engine!r}")
    if processes < 1:
        raise InputError(f"processes must be at least 1, got {processes}")
    if engine == "ray":
        yield from _with_ray(tasks, processes, make_observer)
    elif processes == 1:
        yield from (run_task(task, make_observer) for task in tasks)
    else:
        # A fresh interpreter each: networks that were loaded before a fork may hang.
        with multiprocessing.get_context("spawn").Pool(processes) as pool:
            yield from pool.imap_unordered(_Runner(make_observer), tasks)


@dataclass(frozen=True)
class _Runner:
    """`run_task` as one argument, which can be sent to other processes."""

    make_observer: Callable[[Task], PersonObserver]

    def __call__(self, task: Task) -> Done:
        return run_task(task, self.make_observer)


def _with_ray(
    tasks: Sequence[Task], processes: int, make_observer: Callable[[Task], PersonObserver]
) -> Iterator[Done]:
    try:
        import ray
    except ImportError as error:
        raise InputError(
            "the engine ray needs Ray: pip install 'd3pose_ros[cluster]', on every machine of the cluster"
        ) from error
    started_here = not ray.is_initialized()
    if started_here:
        import os

        here = {} if os.environ.get("RAY_ADDRESS") else {"num_cpus": processes}
        ray.init(include_dashboard=False, log_to_driver=False, **here)
    try:
        remote = ray.remote(num_cpus=1)(run_task)
        waiting = [remote.remote(task, make_observer) for task in tasks]
        while waiting:
            ready, waiting = ray.wait(waiting)
            yield from ray.get(ready)
    finally:
        if started_here:
            ray.shutdown()
