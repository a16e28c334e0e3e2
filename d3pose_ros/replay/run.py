"""One replay from start to end: what `d3pose replay` does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from d3pose_core.body import FREE_BODIES, load_body
from d3pose_core.camera import Intrinsics, check_lens, up_of_tilt
from d3pose_core.cli.options import DEFAULT_HFOV_DEG
from d3pose_core.cli.report import Bars, progress_bar, summary_table
from d3pose_core.errors import InputError
from d3pose_core.landmark_models import FULL
from d3pose_core.overlay import write_overlay
from d3pose_core.recording import Summary
from d3pose_core.recordings import check_not_overwritten
from d3pose_core.recovery import MeshRecovery
from d3pose_core.resume import ResumableRun, settings_of
from d3pose_core.runtime import AUTO
from d3pose_ros.replay.images import BagImages, Camera, RecordedCamera
from d3pose_ros.replay.offline import Replayed, replay_offline
from d3pose_ros.replay.topics import choose_image_topic, choose_info_topic


@dataclass(frozen=True)
class ReplayOptions:
    """`bag` and `out` (a folder); topics, or None for what the bag leaves no choice about; the camera by
    `intrinsics` (fx, fy, cx, cy) or `hfov_deg` instead of the bag's camera_info; its tilt, if it is known and
    does not change, by `pitch_deg` and `roll_deg` (`camera.up_of_tilt`)."""

    bag: Path
    out: Path
    image: str | None = None
    camera_info: str | None = None
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
    live: bool = False
    resume: bool = False  # go on where an earlier run was interrupted


def run_replay(
    options: ReplayOptions,
    bars: Bars = progress_bar,
    say: Callable[[str], object] = print,
    recovery: MeshRecovery | None = None,
) -> Summary:
    """Leaves people.mcap, people.npz, overlay.mp4 and summary.json in the folder.

    Args:
        bars: shows how far it is.
        say: takes what a user wants to read.
        recovery: that has not seen an image yet, as the options say; None makes one.

    Raises:
        InputError: a bag, topic or camera that won't do.
        ModelFileMissing: run `d3pose models fetch`.
        ProcessFailed: with `live`, when one of the processes failed; the message has its log.
    """
    if options.live and options.intrinsics is not None:
        raise InputError("--live takes the camera from the bag's camera_info or from --hfov")
    up = up_of_tilt(options.pitch_deg, options.roll_deg)
    if options.live and up is not None:
        raise InputError("--live plays to a node without TF: leave --pitch and --roll out")
    if options.live and options.resume:
        raise InputError("--live plays as time goes by: it can't be resumed")
    if options.camera_info is not None and (options.intrinsics or options.hfov_deg) is not None:
        raise InputError("give --camera-info, or --hfov or --intrinsics in its place, not both")
    check_not_overwritten(options.bag, options.out)
    topic = choose_image_topic(options.bag, options.image)
    camera, source = _camera(options, topic.name)
    images = BagImages(options.bag, topic, camera, options.max_frames)
    say(f"{images.frame_count} images of {topic.name}; camera: {source}")
    bag = options.out / "people.mcap"
    run: ResumableRun | None = None
    if options.live:
        from d3pose_ros.replay.live import replay_live

        info = None if source.startswith("hfov") else source
        replayed, body_name, stages = replay_live(options, images, info, bag)
    else:
        # Sums over several threads round differently; one thread gives the same on any number of cores.
        torch.set_num_threads(1)
        recovery = recovery or MeshRecovery.from_pretrained(
            options.weights,
            options.device,
            options.body,
            options.max_people,
            runtime=options.runtime,
            landmarks=options.landmarks,
        )
        settings = settings_of(options, options.bag) | {"image": topic.name, "camera": source}
        run = ResumableRun(options.out, settings, options.resume)
        with bars(images.frame_count, "replay", "image") as bar:
            replayed = replay_offline(images, recovery, bag, bar.update, run, up)
        body_name, stages = recovery.body.name, replayed.statistics.stage_medians()
    files = [bag, options.out / "people.npz"]
    replayed.table.save(files[1])
    if options.overlay:
        files.append(options.out / "overlay.mp4")
        _draw(files[-1], images, replayed, options.body, bars)
    files.append(options.out / "summary.json")
    summary = Summary(
        frames=replayed.statistics.frames,
        people=len(replayed.statistics.track_ids),
        fps=round(replayed.fps, 2),
        latency_ms=replayed.statistics.latency_percentiles(),
        stages_ms=stages,
        device=options.device,
        weights=options.weights,
        body=body_name,
        extra={
            "images_in_bag": topic.count,
            "images_dropped": replayed.dropped,
            "image_topic": topic.name,
            "camera": source,
            "landmarks": options.landmarks,
            "start_stamp_ns": images.start_ns,
        },
    )
    summary.save(files[-1])
    if run is not None:
        run.forget()
    say(summary_table(summary, files))
    return summary


def _camera(options: ReplayOptions, image_topic: str) -> tuple[Camera, str]:
    """What was given, else the bag's camera_info, else an assumed field of view; and its description."""
    given = options.intrinsics
    if given is not None:
        return lambda _, *size: check_lens(Intrinsics(*given, *size)), "--intrinsics"
    if options.hfov_deg is None:
        info_topic = choose_info_topic(options.bag, image_topic, options.camera_info)
        if info_topic is not None:
            return RecordedCamera(options.bag, info_topic, image_topic), info_topic
    hfov = DEFAULT_HFOV_DEG if options.hfov_deg is None else options.hfov_deg
    source = f"hfov {hfov:g} degrees"
    if options.hfov_deg is None:
        source += ", assumed: the bag has no camera_info, and distances are only as good as that"
    return lambda _, *size: Intrinsics.from_hfov(hfov, *size), source


def _draw(path: Path, images: BagImages, replayed: Replayed, body: str, bars: Bars) -> None:
    drawn = load_body("free-mid" if body in FREE_BODIES else body)
    with bars(images.frame_count, "overlay", "image") as bar:
        write_overlay(path, images, replayed.table, drawn, replayed.processed, bar.update)
