"""`d3pose video`: the people in one clip, without ROS."""

from __future__ import annotations

import argparse
import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING

from d3pose_core.camera import Intrinsics
from d3pose_core.cli.options import (
    DEFAULT_HFOV_DEG,
    add_camera_options,
    add_recovery_options,
    check_output_folder,
    given_camera,
)
from d3pose_core.cli.report import progress_bar, summary_table
from d3pose_core.recording import PeopleRecorder, PeopleTable, RunStatistics, Summary

if TYPE_CHECKING:
    from d3pose_core.recovery import MeshRecovery
    from d3pose_core.video import ClipReader


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Register `video` under the `d3pose` command."""
    parser = subparsers.add_parser(
        "video",
        help="recover the people in a clip",
        description="Recovers the people in every frame of a clip, in order and without looking "
        "ahead. Writes people.npz (poses, shapes, positions), overlay.mp4 and summary.json.",
    )
    parser.add_argument("clip", type=Path, metavar="CLIP", help="a video file")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="output folder")
    add_camera_options(parser, default=f"{DEFAULT_HFOV_DEG:g}")
    add_recovery_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Exit status 0; D3PoseError for a clip, camera, weights or folder that won't do."""
    from d3pose_core.video import ClipReader  # OpenCV and torch load only when they are needed

    logging.basicConfig(format="d3pose: %(levelname)s: %(message)s", level=logging.WARNING)
    clip = ClipReader(args.clip, max_frames=args.max_frames)
    intrinsics = _camera(args, clip)
    check_output_folder(args.out)

    from d3pose_core.overlay import write_overlay
    from d3pose_core.recovery import MeshRecovery

    recovery = MeshRecovery.from_pretrained(
        args.weights, device=args.device, body=args.body, max_people=args.max_people
    )
    table, statistics, fps = _recover(recovery, clip, intrinsics)
    files = [args.out / name for name in ("people.npz", "overlay.mp4", "summary.json")]
    table.save(files[0])
    with progress_bar(statistics.frames, "overlay") as bar:
        write_overlay(files[1], clip, table, recovery.body, progress=bar.update)
    summary = Summary(
        frames=statistics.frames,
        people=len(statistics.track_ids),
        fps=round(fps, 2),
        latency_ms=statistics.latency_percentiles(),
        stages_ms=statistics.stage_medians(),
        device=args.device,
        weights=args.weights,
        body=recovery.body.name,
    )
    summary.save(files[2])
    print(summary_table(summary, files))
    return 0


def _recover(
    recovery: MeshRecovery, clip: ClipReader, intrinsics: Intrinsics
) -> tuple[PeopleTable, RunStatistics, float]:
    """Every frame in turn: everyone in the clip, the times, and frames per second with decoding."""
    recorder, statistics = PeopleRecorder(intrinsics), RunStatistics()
    began = time.perf_counter()
    with progress_bar(clip.frame_count, "recover") as bar:
        for frame in clip:
            started = time.perf_counter()
            people = recovery(frame.image, frame.time_s, intrinsics)
            latency_ms = 1e3 * (time.perf_counter() - started)
            recorder.append(frame.index, frame.time_s, people)
            ids = [person.track_id for person in people]
            statistics.add(latency_ms, recovery.stage_times_ms, ids)
            bar.set_postfix_str(f"{len(people)} people", refresh=False)
            bar.update()
    fps = statistics.frames / (time.perf_counter() - began)
    return recorder.table(), statistics, fps


def _camera(args: argparse.Namespace, clip: ClipReader) -> Intrinsics:
    """From the arguments, else from an assumed field of view, which is said."""
    given = given_camera(args, clip.width, clip.height)
    if given is not None:
        return given
    print(
        f"no --intrinsics and no --hfov: taking a horizontal field of view of "
        f"{DEFAULT_HFOV_DEG:g} degrees; distances are only as good as that"
    )
    return Intrinsics.from_hfov(DEFAULT_HFOV_DEG, clip.width, clip.height)
