"""`d3pose process`: many recordings, in many processes."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from d3pose_core import engine, model_files, recordings
from d3pose_core.cli.options import (
    add_camera_options,
    add_recovery_options,
    check_output_folder,
    count,
)
from d3pose_core.cli.process_totals import Totals
from d3pose_core.cli.report import Bar, progress_bar
from d3pose_core.engine import Outcome, Report
from d3pose_core.errors import D3PoseError
from d3pose_core.landmark_models import landmark_file, resolve
from d3pose_core.output_file import output_in
from d3pose_core.recording import Summary
from d3pose_core.recordings import Record, Recording

if TYPE_CHECKING:
    from d3pose_core.recovery import MeshRecovery

LOG = "log.txt"
TOTALS = "process.json"


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Register `process` under the `d3pose` command."""
    parser = subparsers.add_parser(
        "process",
        help="recover the people in many bags and clips, in parallel",
        description="Does with every bag what `d3pose replay` does, and with every clip what `d3pose "
        "video` does with the same --landmarks, each into a folder of its own below DIR. Started again, it "
        "goes on with what is not done. A recording that fails does not stop the others; exit status 1 "
        "says that some did.",
    )
    parser.add_argument(
        "recordings", type=Path, nargs="+", metavar="BAG", help="bags (folders or files) and clips"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="output folder")
    parser.add_argument(
        "--root",
        type=Path,
        metavar="PATH",
        help="keep the recordings' folders below PATH (default: their names alone)",
    )
    parser.add_argument(
        "--workers",
        type=count,
        default=len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count(),
        metavar="N",
        help="processes at a time, of one thread each (default: one a core, %(default)s)",
    )
    parser.add_argument(
        "--engine",
        default="local",
        metavar="E",
        help="local, or ray: the cluster at RAY_ADDRESS (default: %(default)s)",
    )
    parser.add_argument(
        "--retry-failed", action="store_true", help="try again what failed in an earlier run"
    )
    parser.add_argument("--redo", action="store_true", help="process everything anew")
    parser.add_argument("--overlay", action="store_true", help="draw overlay.mp4, too")
    parser.add_argument("--image", metavar="TOPIC", help="of the bags; see d3pose replay")
    parser.add_argument("--camera-info", metavar="TOPIC", help="of the bags; see d3pose replay")
    add_camera_options(parser, default="60 where a bag has no camera_info, and for clips")
    add_recovery_options(parser)
    parser.set_defaults(run=run)


@dataclass(frozen=True)
class Settings:
    """What the results of all recordings depend on, besides the recordings."""

    image: str | None
    camera_info: str | None
    intrinsics: tuple[float, float, float, float] | None
    hfov_deg: float | None
    weights: str
    body: str
    device: str
    runtime: str
    landmarks: str
    max_people: int
    max_frames: int | None
    overlay: bool


@dataclass(frozen=True)
class Job:
    """One recording; small enough to be sent to another machine."""

    recording: Recording
    settings: Settings
    identity: dict[str, Any]  # of the settings, as done.json keeps them
    anew: bool = False  # whatever an earlier attempt left


def run(args: argparse.Namespace) -> int:
    """Exit status 0, or 1 if a recording failed, now or before; D3PoseError where nothing can be done."""
    engine.check_engine(args.engine)
    settings = Settings(
        image=args.image,
        camera_info=args.camera_info,
        intrinsics=args.intrinsics,
        hfov_deg=args.hfov,
        weights=args.weights,
        body=args.body,
        device=args.device,
        runtime=args.runtime,
        landmarks=resolve(args.landmarks),
        max_people=args.max_people,
        max_frames=args.max_frames,
        overlay=args.overlay,
    )
    # Says now, not of every recording, that it has to be fetched.
    model_files.read_model(str(landmark_file(settings.landmarks)))
    found = recordings.assign_folders(args.recordings, args.out, args.root)
    check_output_folder(args.out)
    identity = _identity(settings)
    plan = recordings.plan(found, identity, args.redo, args.retry_failed)
    said = f"{len(plan.done)} of {len(found)} recordings were done before"
    if plan.failed:
        said += f", {len(plan.failed)} failed before (--retry-failed tries them again)"
    print(f"{said}; {len(plan.to_do)} to do", flush=True)
    totals = Totals(done_before=len(plan.done))
    totals.failed.update({each.name: reason for each, reason in plan.failed.items()})
    jobs = [Job(recording, settings, identity, args.redo) for recording in plan.to_do]
    if jobs:
        _process(jobs, args.engine, args.workers, totals)
    totals.save(args.out / TOTALS)
    print(totals.table())
    return 1 if totals.failed else 0


def _identity(settings: Settings) -> dict[str, Any]:
    """The settings as they are kept, with what is in the files that they name; InputError without those."""
    identity: dict[str, Any] = json.loads(json.dumps(asdict(settings)))
    return identity | recordings.model_identity(settings.weights, settings.body)


def _process(jobs: list[Job], engine_name: str, workers: int, totals: Totals) -> None:
    began = time.perf_counter()
    frames = 0
    with progress_bar(len(jobs), "process", "recording") as bar:
        for event in engine.run_tasks(process_recording, jobs, engine_name, workers):
            if isinstance(event, engine.Step):
                frames += event.amount
            else:
                bar.update()
                if event.error:
                    totals.failed[event.task.recording.name] = event.error
                    bar.write(f"{event.task.recording.name}: {event.error}")
                    _record_failure(event)
                else:
                    assert event.result is not None
                    totals.add(event.worker, event.result.frames, event.seconds)
            speed = frames / (time.perf_counter() - began)
            shown = f"{frames} frames, {speed:.1f} frames/s"
            if totals.failed:
                shown += f", {len(totals.failed)} failed"
            bar.set_postfix_str(shown, refresh=False)
    totals.wall_s = time.perf_counter() - began


def _record_failure(outcome: Outcome[Job, Summary]) -> None:
    job = outcome.task
    try:
        fingerprint = recordings.fingerprint(job.recording.source)
    except OSError:
        fingerprint = ""
    entries = {
        "reason": outcome.error,
        "details": outcome.details.splitlines(),
        "worker": outcome.worker,
        "log": str(job.recording.folder / LOG),
    }
    record = Record(str(job.recording.source), fingerprint, job.identity, entries)
    try:
        record.save(job.recording.folder / recordings.FAILED)
    except D3PoseError as error:
        # The disk that made it fail may be full for this, too. It is tried again the next time.
        print(f"{job.recording.name}: its failure cannot be recorded: {error}", file=sys.stderr)


def process_recording(job: Job, report: Report) -> Summary:
    """One bag or clip, where this is called; what it says goes to log.txt in its folder.

    Steps are frames. Whatever the libraries print counts, too: this is meant for a process of its own.
    """
    recording, settings = job.recording, asdict(job.settings)
    began = time.perf_counter()
    fingerprint = recordings.fingerprint(recording.source)
    record = Record(str(recording.source), fingerprint, job.identity, {})
    settings["resume"] = recordings.begin(recording.folder, record, job.anew)
    with output_in(recording.folder / LOG, append=settings["resume"]) as say:

        @contextmanager
        def bars(total: int, what: str, unit: str) -> Iterator[Bar]:
            say(f"{what}: {total or 'unknown number of'} {unit}s")
            yield _Counter(report if what != "overlay" else lambda amount: None)

        import cv2
        import torch

        torch.set_num_threads(1)
        cv2.setNumThreads(1)
        recovery = _recovery(job.settings)
        if recording.is_bag:
            from d3pose_ros.replay.run import ReplayOptions, run_replay

            bag_options = ReplayOptions(recording.source, recording.folder, **settings)
            summary = run_replay(bag_options, bars, say, recovery)
        else:
            from d3pose_core.clip_run import ClipOptions, run_clip

            for only_of_bags in ("image", "camera_info"):
                del settings[only_of_bags]
            clip_options = ClipOptions(recording.source, recording.folder, **settings)
            summary = run_clip(clip_options, bars, say, recovery)
    entries = {
        "frames": summary.frames,
        "people": summary.people,
        "seconds": round(time.perf_counter() - began, 3),
    }
    replace(record, entries=entries).save(recording.folder / recordings.DONE)
    (recording.folder / recordings.STARTED).unlink()
    return summary


def _recovery(settings: Settings) -> MeshRecovery:
    """A new one, on the network and body that this process has loaded for an earlier recording."""
    from d3pose_core.observe import BlazePoseObserver

    loaded = _loaded(settings.weights, settings.body, settings.device, settings.runtime)
    return loaded.another(
        BlazePoseObserver(settings.max_people, landmarks=settings.landmarks, num_threads=1)
    )


@lru_cache(maxsize=1)
def _loaded(weights: str, body: str, device: str, runtime: str) -> MeshRecovery:
    from d3pose_core.observe.cached import CachedObserver
    from d3pose_core.recovery import MeshRecovery

    observer = CachedObserver()  # nobody's: each recording has its own
    return MeshRecovery.from_pretrained(weights, device, body, observer=observer, runtime=runtime)


@dataclass(frozen=True)
class _Counter:
    """A bar that nobody sees."""

    report: Report

    def update(self, n: float = 1) -> None:
        self.report(int(n))
