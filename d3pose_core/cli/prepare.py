"""`d3pose prepare`: the observer over a dataset's images, once; or motion capture as a training shard."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from d3pose_core.cli.options import add_landmarks_option, check_output_folder, count
from d3pose_core.cli.report import progress_bar
from d3pose_core.errors import InputError

if TYPE_CHECKING:
    from d3pose_core.data.datasets import Dataset

MOTION_CAPTURE = ("amass", "bvh")
WITH_IMAGES = ("3dpw", "human36m", "mpi-inf-3dhp", "aist", "emdb", "bedlam")


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Register `prepare` under the `d3pose` command."""
    parser = subparsers.add_parser(
        "prepare",
        help="run the observer over a dataset's images once, and keep what it reports",
        description="Finds people and their landmarks in every image of a dataset and writes one shard a "
        "sequence. Started again it goes on where it stopped. Of motion capture (amass, bvh) it makes a "
        "shard of motions for `d3pose train` instead.",
    )
    parser.add_argument("dataset", choices=(*WITH_IMAGES, *MOTION_CAPTURE), metavar="DATASET")
    parser.add_argument("--root", type=Path, required=True, metavar="PATH", help="the dataset")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="output folder")
    parser.add_argument("--split", metavar="S", help="default: the dataset's first")
    parser.add_argument(
        "--engine", default="local", metavar="E", help="local or ray (default: %(default)s)"
    )
    parser.add_argument(
        "--processes", type=count, default=1, metavar="N", help="at a time (default: 1)"
    )
    parser.add_argument("--max-people", type=count, default=5, metavar="N")
    add_landmarks_option(parser)
    parser.add_argument(
        "--smpl", metavar="FOLDER", help="your SMPL files; amass needs them (free-low stands in)"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Exit status 0, or 1 if a sequence failed; D3PoseError for a dataset that won't do."""
    from d3pose_core.data.datasets import DATASETS, bodies_in, open_dataset

    split = args.split or DATASETS[args.dataset].splits[0]
    bodies = bodies_in(args.smpl) if args.smpl else None
    dataset = open_dataset(args.dataset, args.root, split, bodies)
    check_output_folder(args.out)
    if args.dataset in MOTION_CAPTURE:
        from d3pose_core.data.motion_shard import write_motion_shard

        path = args.out / f"{args.dataset}_{split}.npz"
        clips, seconds = write_motion_shard(path, dataset, bodies)
        print(f"{clips} clips, {seconds / 60:.1f} minutes: {path}")
        return 0
    return _observe(args, dataset)


def _observe(args: argparse.Namespace, dataset: Dataset) -> int:
    from d3pose_core.data.observation_cache import ObservationCache
    from d3pose_core.data.prepare import Task, run_tasks
    from d3pose_core.engine import Step
    from d3pose_core.landmark_models import resolve

    landmarks = resolve(args.landmarks)
    name = _observer_name(args.max_people, landmarks)
    cache = ObservationCache(args.out, dataset.key, dataset.split, name)
    cache.check()
    tasks = []
    for sequence_name in dataset.names:
        sequence = dataset.load(sequence_name)
        if cache.has(sequence.name):
            continue
        absent = [path for path in sequence.image_paths if not path.is_file()]
        if absent:
            raise InputError(
                f"{dataset.title}: image {absent[0]} is missing ({len(absent)} of {len(sequence)} of "
                f"{sequence.name}); expected is {dataset.layout}"
            )
        where = (args.out.resolve(), dataset.key, dataset.split, name, args.max_people, landmarks)
        times = tuple(float(t) for t in sequence.times_s)
        paths = tuple(path.resolve() for path in sequence.image_paths)
        tasks.append(Task(sequence.name, paths, times, *where))
    print(f"{len(dataset) - len(tasks)} of {len(dataset)} sequences were done before")
    failed = []
    with progress_bar(sum(len(task.image_paths) for task in tasks), "observe", "image") as bar:
        for event in run_tasks(tasks, args.engine, args.processes):
            if isinstance(event, Step):
                bar.update(event.amount)
            elif event.error:
                failed.append(event)
                bar.write(f"{event.task.sequence}: {event.error}\n{event.details}".rstrip())
    print(f"{len(tasks) - len(failed)} sequences observed, {len(failed)} failed: {args.out}")
    return 1 if failed else 0


def _observer_name(max_people: int, landmarks: str) -> str:
    """What observations depend on: another observer must not add to the same folder."""
    from d3pose_core.landmark_models import landmark_file, looks_both_ways
    from d3pose_core.model_files import find, model_path

    file = str(landmark_file(landmarks))
    model_path(file)  # says now, not in each process, that it has to be fetched
    ways = ", both ways" if looks_both_ways(landmarks) else ""
    return f"{file} {find(file).sha256[:12]}{ways}, at most {max_people} people"
