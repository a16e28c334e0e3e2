"""Runs the demo: camera, node and recorder as processes; then overlay and summary from the bag."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from d3pose_core import model_files
from d3pose_core.camera import Intrinsics
from d3pose_core.cli.report import progress_bar, summary_table
from d3pose_core.errors import D3PoseError, InputError
from d3pose_core.model.checkpoint import weights_path
from d3pose_core.recording import Summary
from d3pose_core.video import ClipReader
from d3pose_ros.bag import PEOPLE_TYPE, rescue
from d3pose_ros.demo.clip import DEMO_CLIP
from d3pose_ros.demo.processes import Child, ProcessFailed, graph_environment, wait_until
from d3pose_ros.demo.results import read_people, render_overlay

NODE = "d3pose"
PEOPLE, DIAGNOSTICS = f"/{NODE}/people", "/diagnostics"
IMAGE, CAMERA_INFO = "/camera/image_raw", "/camera/camera_info"
RECORDED = {
    PEOPLE: PEOPLE_TYPE,
    DIAGNOSTICS: "diagnostic_msgs/msg/DiagnosticArray",
    CAMERA_INFO: "sensor_msgs/msg/CameraInfo",
}

START_TIMEOUT_S = 120.0
RECORD_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class DemoOptions:
    """`out`: folder; the rest as the node's parameters. `domain_id` None: one of our own."""

    out: Path
    weights: str = "d3pose-landmarks"
    device: str = "cpu"
    max_frames: int | None = None
    domain_id: int | None = None


@dataclass
class Played:
    """What happened while the clip played."""

    stamps: dict[int, int] = field(default_factory=dict)  # ns -> index of the frame
    published: int = 0
    received: int = 0
    processed: int = 0
    dropped: dict[str, int] = field(default_factory=dict)


def run_demo(options: DemoOptions) -> Summary:
    """Leaves people.mcap, overlay.mp4 and summary.json in the folder; prints a table.

    Raises:
        ModelFileMissing: run `d3pose models fetch`.
        ProcessFailed: one of the processes did not come up or ended; the message has its log.
        D3PoseError: the bag does not hold what the node says it published.
    """
    for entry in model_files.MODEL_FILES:
        model_files.model_path(entry.name)
    if not weights_path(options.weights).is_file():
        raise InputError(f"no weights at {options.weights!r}: give a file of `d3pose train`")
    path = model_files.model_path(DEMO_CLIP.name)
    clip = ClipReader(path, DEMO_CLIP.view, options.max_frames)
    intrinsics = DEMO_CLIP.view.intrinsics(
        Intrinsics.from_hfov(DEMO_CLIP.hfov_deg, *clip.source_size)
    )
    bag = options.out / "people.mcap"
    played = _play(options, path, clip, bag)
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


def _play(options: DemoOptions, path: Path, clip: ClipReader, bag: Path) -> Played:
    """Starts the three processes, plays the clip once, and stops them in order."""
    logs = options.out / "logs"
    try:
        logs.mkdir(parents=True, exist_ok=True)
        bag.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"can't write to the output folder {options.out}: {error}") from error
    # Domains up to 101 keep out of Linux' ephemeral ports.
    domain = 1 + os.getpid() % 101 if options.domain_id is None else options.domain_id
    environment = graph_environment(domain, logs)
    print(
        f"camera, node and recorder start as processes on ROS domain {domain}, this machine only; "
        f"their logs go to {logs}",
        flush=True,
    )
    children: list[Child] = []
    try:
        for name, module, arguments in _commands(options, path, bag):
            children.append(Child(name, module, arguments, environment))
        node, recorder, camera = children
        _wait_until_connected(node, recorder, camera)
        camera.tell("play")
        played = _watch(children, recorder, camera, clip.frame_count)
    finally:
        # The node before the recorder, so that nothing is published that nobody writes down.
        for child in children:
            child.stop()
        if not bag.is_file() and rescue(bag):
            print(f"the recorder did not finish; {bag} holds what it had written")
    return played


def _commands(options: DemoOptions, path: Path, bag: Path) -> list[tuple[str, str, Sequence[str]]]:
    """Name, module and arguments of the node, the recorder and the camera."""
    parameters = {
        "weights": options.weights,
        "device": options.device,
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
    return [
        ("node", "d3pose_ros.node", node),
        ("recorder", "d3pose_ros.recorder", recorder),
        ("camera", "d3pose_ros.demo.camera", camera),
    ]


def _wait_until_connected(node: Child, recorder: Child, camera: Child) -> None:
    """Until the recorder sees the node and the node sees the camera: no first frame is lost."""
    ready: set[str] = set()

    def connected() -> bool:
        for child in (recorder, camera):
            for event in child.events():
                if event["event"] == "ready":
                    ready.add(child.name)
                elif event["event"] == "error":
                    raise ProcessFailed(f"the node is {event['message']}")
        return len(ready) == 2

    children = [node, recorder, camera]
    wait_until(connected, children, START_TIMEOUT_S, "the processes to find each other")


def _watch(children: Sequence[Child], recorder: Child, camera: Child, frame_count: int) -> Played:
    """Shows the progress until the camera is through and the recorder has what the node sent."""
    played = Played()
    recorded: dict[str, int] = {}

    with progress_bar(frame_count, "play") as bar:

        def finished() -> bool:
            for event in recorder.events():
                recorded.update(event.get("counts", {}))
            for event in camera.events():
                _note(played, event)
            bar.set_postfix_str(f"{recorded.get(PEOPLE, 0)} processed", refresh=False)
            bar.update(len(played.stamps) - bar.n)
            return played.published > 0

        length_s = frame_count / 5  # generous: a machine that can't play at 5 frames/s is stuck
        wait_until(finished, children, 60 + length_s, "the end of the clip")
        bar.refresh()

    def written() -> bool:
        for event in recorder.events():
            recorded.update(event.get("counts", {}))
        return recorded.get(PEOPLE, 0) >= played.processed

    wait_until(written, children[:2], RECORD_TIMEOUT_S, "the recorder to write what it received")
    return played


def _note(played: Played, event: dict[str, Any]) -> None:
    """Take in one event of the camera."""
    if event["event"] == "frame":
        played.stamps[event["stamp_ns"]] = event["index"]
    elif event["event"] == "error":
        raise ProcessFailed(f"the node says: {event['message']}")
    elif event["event"] == "played":
        for name in ("published", "received", "processed", "dropped"):
            setattr(played, name, event[name])
