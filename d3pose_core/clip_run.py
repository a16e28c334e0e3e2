"""One clip from start to end: what `d3pose video` does."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from d3pose_core.camera import Intrinsics, check_lens, up_of_tilt
from d3pose_core.cli.options import DEFAULT_HFOV_DEG, check_output_folder
from d3pose_core.cli.report import Bars, progress_bar, summary_table
from d3pose_core.landmark_models import FULL
from d3pose_core.overlay import write_overlay
from d3pose_core.recording import PeopleRecorder, PeopleTable, RunStatistics, Summary
from d3pose_core.recordings import check_not_overwritten
from d3pose_core.recovery import MeshRecovery
from d3pose_core.resume import ResumableRun, settings_of
from d3pose_core.runtime import AUTO
from d3pose_core.video import ClipReader


@dataclass(frozen=True)
class ClipOptions:
    """`clip` and `out` (a folder); the camera by `intrinsics` (fx, fy, cx, cy) in px or `hfov_deg`.

    `pitch_deg` and `roll_deg` are its tilt, if it is known and does not change, see `camera.up_of_tilt`.
    """

    clip: Path
    out: Path
    intrinsics: tuple[float, float, float, float] | None = None
    hfov_deg: float | None = None
    pitch_deg: float | None = None
    roll_deg: float | None = None
    weights: str = "d3pose-landmarks"
    body: str = "free-mid"
    device: str = "cpu"
    runtime: str = AUTO
    landmarks: str = FULL
    max_people: int = 5
    max_frames: int | None = None
    overlay: bool = True
    resume: bool = False  # go on where an earlier run was interrupted


def run_clip(
    options: ClipOptions,
    bars: Bars = progress_bar,
    say: Callable[[str], object] = print,
    recovery: MeshRecovery | None = None,
) -> Summary:
    """Leaves people.npz, overlay.mp4 and summary.json in the folder.

    Args:
        bars: shows how far it is.
        say: takes what a user wants to read.
        recovery: that has not seen an image yet, as the options say; None makes one.

    Raises:
        InputError: a clip, camera, weights, body or folder that won't do.
        ModelFileMissing: run `d3pose models fetch`.
    """
    clip = ClipReader(options.clip, max_frames=options.max_frames)
    intrinsics = _camera(options, clip, say)
    check_output_folder(options.out)
    check_not_overwritten(options.clip, options.out)
    recovery = recovery or MeshRecovery.from_pretrained(
        options.weights,
        device=options.device,
        body=options.body,
        max_people=options.max_people,
        runtime=options.runtime,
        landmarks=options.landmarks,
    )
    run = ResumableRun(options.out, settings_of(options, options.clip), options.resume)
    up = up_of_tilt(options.pitch_deg, options.roll_deg)
    table, statistics, fps = _recover(recovery, clip, intrinsics, up, bars, run)
    files = [options.out / "people.npz"]
    table.save(files[0])
    if options.overlay:
        files.append(options.out / "overlay.mp4")
        with bars(statistics.frames, "overlay", "frame") as bar:
            write_overlay(files[-1], clip, table, recovery.body, progress=bar.update)
    files.append(options.out / "summary.json")
    summary = Summary(
        frames=statistics.frames,
        people=len(statistics.track_ids),
        fps=round(fps, 2),
        latency_ms=statistics.latency_percentiles(),
        stages_ms=statistics.stage_medians(),
        device=options.device,
        weights=options.weights,
        body=recovery.body.name,
        extra={"landmarks": options.landmarks},
    )
    summary.save(files[-1])
    run.forget()
    say(summary_table(summary, files))
    return summary


def _recover(
    recovery: MeshRecovery,
    clip: ClipReader,
    intrinsics: Intrinsics,
    up: np.ndarray | None,
    bars: Bars,
    run: ResumableRun,
) -> tuple[PeopleTable, RunStatistics, float]:
    """Every frame in turn: everyone in the clip, the times, and frames per second with decoding."""
    recorder, statistics = PeopleRecorder(intrinsics), RunStatistics()
    run.recall(recovery)
    with bars(clip.frame_count, "recover", "frame") as bar:
        for frame in clip:
            bar.update()
            if frame.index < run.next_frame:
                continue
            started = time.perf_counter()
            people = recovery(frame.image, frame.time_s, intrinsics, up)
            latency_ms = 1e3 * (time.perf_counter() - started)
            recorder.append(frame.index, frame.time_s, people)
            ids = [person.track_id for person in people]
            statistics.add(latency_ms, recovery.stage_times_ms, ids)
            if run.is_due():
                run.keep(frame.index + 1, recorder, statistics, recovery)
    if run.was_kept:  # drawing takes as long again
        run.keep(clip.frames_read, recorder, statistics, recovery)
    table, everything = run.finish(recorder, statistics)
    return table, everything, everything.frames / run.seconds


def _camera(options: ClipOptions, clip: ClipReader, say: Callable[[str], object]) -> Intrinsics:
    """From the options, else from an assumed field of view, which is said."""
    size = (clip.width, clip.height)
    if options.intrinsics is not None:
        return check_lens(Intrinsics(*options.intrinsics, *size))
    if options.hfov_deg is not None:
        return Intrinsics.from_hfov(options.hfov_deg, *size)
    say(
        f"no --intrinsics and no --hfov: taking a horizontal field of view of "
        f"{DEFAULT_HFOV_DEG:g} degrees; distances are only as good as that"
    )
    return Intrinsics.from_hfov(DEFAULT_HFOV_DEG, *size)
