"""Runs the demo: camera, node and recorder as processes; then overlay and summary from the bag."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from d3pose_core import model_files
from d3pose_core.camera import Intrinsics
from d3pose_core.cli.report import summary_table
from d3pose_core.errors import D3PoseError, InputError
from d3pose_core.model.checkpoint import weights_path
from d3pose_core.recording import Summary
from d3pose_core.runtime import AUTO
from d3pose_core.video import ClipReader
from d3pose_ros.bag import PEOPLE_TYPE
from d3pose_ros.demo.clip import DEMO_CLIP
from d3pose_ros.demo.results import read_people, render_overlay
from d3pose_ros.demo.session import Command, play_through

NODE = "d3pose"
PEOPLE, DIAGNOSTICS = f"/{NODE}/people", "/diagnostics"
IMAGE, CAMERA_INFO = "/camera/image_raw", "/camera/camera_info"
RECORDED = {
    PEOPLE: PEOPLE_TYPE,
    DIAGNOSTICS: "diagnostic_msgs/msg/DiagnosticArray",
    CAMERA_INFO: "sensor_msgs/msg/CameraInfo",
}


@dataclass(frozen=True)
class DemoOptions:
    """`out`: folder; the rest as the node's parameters. `domain_id` None: one of our own."""

    out: Path
    weights: str = "d3pose-landmarks"
    device: str = "cpu"
    runtime: str = AUTO
    max_frames: int | None = None
    domain_id: int | None = None


def run_demo(options: DemoOptions) -> Summary:
    """Leaves people.mcap, overlay.mp4 and summary.json in the folder; prints a table.

    Raises:
        ModelFileMissing: run `d3pose models fetch`.
        ProcessFailed: one of the processes did not come up or ended; the message has its log.
        D3PoseError: the bag does not hold what the node says it published.
    """
    for entry in model_files.needed():
        model_files.model_path(entry.name)
    if not weights_path(options.weights).is_file():
        raise InputError(f"no weights at {options.weights!r}: give a file of `d3pose train`")
    path = model_files.model_path(DEMO_CLIP.name)
    clip = ClipReader(path, DEMO_CLIP.view, options.max_frames)
    intrinsics = DEMO_CLIP.view.intrinsics(
        Intrinsics.from_hfov(DEMO_CLIP.hfov_deg, *clip.source_size)
    )
    bag = options.out / "people.mcap"
    commands = _commands(options, path, bag)
    played = play_through(commands, options.out, bag, PEOPLE, clip.frame_count, options.domain_id)
    recorded = read_people(bag, PEOPLE, played.stamps, intrinsics)
    if recorded.statistics.frames != played.processed:
        raise D3PoseError(
            f"the node processed {played.processed} images but {bag} holds "
            f"{recorded.statistics.frames} messages of {PEOPLE}; logs are in {options.out / 'logs'}"
        )
    overlay = options.out / "overlay.mp4"
    render_overlay(overlay, clip, recorded)
    statistics = recorded.statistics
    summary = Summary(
        frames=statistics.frames,
        people=len(statistics.track_ids),
        fps=round(recorded.fps, 2),
        latency_ms=statistics.latency_percentiles(),
        stages_ms=recorded.stages_ms,
        device=options.device,
        weights=options.weights,
        body=recorded.body,
        extra={
            "images_published": played.published,
            "images_lost_in_transport": played.published - played.received,
            "images_dropped": played.dropped,
        },
    )
    summary.save(options.out / "summary.json")
    print(summary_table(summary, [bag, overlay, options.out / "summary.json"]))
    return summary


def _commands(options: DemoOptions, path: Path, bag: Path) -> tuple[Command, Command, Command]:
    """Name, module and arguments of the node, the recorder and the camera."""
    parameters = {
        "weights": options.weights,
        "device": options.device,
        "runtime": options.runtime,
        "image_reliability": "reliable",
        "diagnostics_period_s": "0.2",
    }
    node = ["--ros-args", "-r", f"image:={IMAGE}", "-r", f"camera_info:={CAMERA_INFO}"]
    for name, value in parameters.items():
        node += ["-p", f"{name}:={value}"]
    view = DEMO_CLIP.view
    camera = [str(path), "--hfov", str(DEMO_CLIP.hfov_deg), "--node", NODE]
    camera += ["--info-subscribers", "2"]  # the node and the recorder
    for option, numbers in (("--crop", view.crop), ("--size", view.size)):
        if numbers is not None:
            camera += [option, ",".join(map(str, numbers))]
    if options.max_frames is not None:
        camera += ["--max-frames", str(options.max_frames)]
    recorder = [str(bag), *(f"{topic}={kind}" for topic, kind in RECORDED.items())]
    return (
        ("node", "d3pose_ros.node", node),
        ("recorder", "d3pose_ros.recorder", recorder),
        ("camera", "d3pose_ros.demo.camera", camera),
    )
