"""Runs the observer over a dataset's images once, sequence by sequence, in several processes or on a cluster.

Each sequence is one task: an observer tracks people from image to image, so its frames belong together.
What is done is on disk, and is not done again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from d3pose_core import engine as engines
from d3pose_core.data.images import read_image
from d3pose_core.data.observation_cache import ObservationCache
from d3pose_core.engine import Outcome, Report, Step
from d3pose_core.errors import InputError
from d3pose_core.landmark_models import FULL
from d3pose_core.observe.observation import PersonObservation, PersonObserver


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
    landmarks: str = FULL  # the landmark network


MakeObserver = Callable[[Task], PersonObserver]


def blazepose(task: Task) -> PersonObserver:
    """The observer of a task, made where the task runs."""
    from d3pose_core.observe import BlazePoseObserver

    return BlazePoseObserver(task.max_people, landmarks=task.landmarks, num_threads=1)


def run_task(task: Task, report: Report, make_observer: MakeObserver = blazepose) -> int:
    """Observe one sequence and write its shard; returns its number of images, as reported one by one."""
    cache = ObservationCache(task.folder, task.dataset, task.split, task.observer)
    cache.save(task.sequence, _observe(task, make_observer(task), report))
    return len(task.image_paths)


def _observe(
    task: Task, observer: PersonObserver, report: Report
) -> Iterator[list[PersonObservation]]:
    for path, time_s in zip(task.image_paths, task.times_s, strict=True):
        yield observer(read_image(path), time_s)
        report(1)


def run_tasks(
    tasks: Sequence[Task],
    engine: str = "local",
    processes: int = 1,
    make_observer: MakeObserver = blazepose,
) -> Iterator[Outcome[Task, int] | Step]:
    """Every task once, in any order; steps are images. A broken sequence does not stop the others.

    Args:
        engine: see d3pose_core/engine. Shards go to `Task.folder`, which all machines must see.
        processes: how many at a time; 1 is this one.

    Raises:
        InputError: no such engine, or Ray is not installed.
    """
    if processes < 1:
        raise InputError(f"processes must be at least 1, got {processes}")
    workers = 0 if processes == 1 else processes
    yield from engines.run_tasks(_Runner(make_observer), tasks, engine, workers)


@dataclass(frozen=True)
class _Runner:
    """`run_task` with its observer, which can be sent to other processes."""

    make_observer: MakeObserver

    def __call__(self, task: Task, report: Report) -> int:
        return run_task(task, report, self.make_observer)
