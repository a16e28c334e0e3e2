"""Live replay: a bag played in real time to the real node, through a ROS graph of its own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from d3pose_core.cli.options import DEFAULT_HFOV_DEG
from d3pose_core.errors import D3PoseError, InputError
from d3pose_ros.bag import PEOPLE_TYPE
from d3pose_ros.demo.results import DIAGNOSTICS, read_people
from d3pose_ros.demo.session import Command, play_through
from d3pose_ros.replay.images import BagImages
from d3pose_ros.replay.offline import PEOPLE_TOPIC, Replayed
from d3pose_ros.replay.topics import COMPRESSED_TYPE, base_name

if TYPE_CHECKING:
    from d3pose_ros.replay.run import ReplayOptions


def replay_live(
    options: ReplayOptions, images: BagImages, info_topic: str | None, out_bag: Path
) -> tuple[Replayed, str, dict[str, float]]:
    """Player, node and recorder as processes; the node leaves out images that it has no time for.

    `info_topic` None: the node assumes the options' field of view.

    Returns:
        what came out, the body's name, and the medians of the node's stages, ms.

    Raises:
        ProcessFailed: one of the processes did not come up or ended; the message has its log.
        InputError: several images with one stamp.
        D3PoseError: the output bag does not hold what the node says it published.
    """
    if len(set(images.stamps_ns)) < len(images.stamps_ns):
        raise InputError(
            f"{options.bag} has several images of one stamp, as a bag recorded in a loop: --live can't tell "
            "them apart; replay it without"
        )
    commands = _commands(options, images, info_topic, out_bag)
    count = images.frame_count
    played = play_through(commands, options.out, out_bag, PEOPLE_TOPIC, count)
    stamps = {stamp: index for index, stamp in enumerate(images.stamps_ns)}
    intrinsics = next(iter(images)).intrinsics
    recorded = read_people(out_bag, PEOPLE_TOPIC, stamps, intrinsics, played.published_ns)
    if recorded.statistics.frames != played.processed:
        raise D3PoseError(
            f"the node processed {played.processed} images but {out_bag} holds "
            f"{recorded.statistics.frames} messages of {PEOPLE_TOPIC}; logs are in {options.out / 'logs'}"
        )
    dropped = {**played.dropped, "lost_in_transport": played.published - played.received}
    dropped = {cause: number for cause, number in dropped.items() if number}
    replayed = Replayed(
        recorded.table, recorded.statistics, recorded.processed, recorded.fps, dropped
    )
    # The node's age counts from stamps, which are from when the bag was recorded.
    stages = {name: ms for name, ms in recorded.stages_ms.items() if name != "age at publish"}
    return replayed, recorded.body, stages


def _commands(
    options: ReplayOptions, images: BagImages, info_topic: str | None, out_bag: Path
) -> tuple[Command, Command, Command]:
    """Name, module and arguments of the node, the recorder and the player."""
    compressed = images.topic.type == COMPRESSED_TYPE
    parameters = {
        "weights": options.weights,
        "body": options.body,
        "device": options.device,
        "runtime": options.runtime,
        "landmarks": options.landmarks,
        "max_people": str(options.max_people),
        "image_transport": "compressed" if compressed else "raw",
        "image_reliability": "reliable",
        "diagnostics_period_s": "0.2",
        # The bag's stamps are as old as the bag.
        "age_warn_ms": "0.0",
        "age_error_ms": "0.0",
    }
    if info_topic is None:
        parameters["hfov_deg"] = str(float(options.hfov_deg or DEFAULT_HFOV_DEG))
        parameters["camera_info_timeout_s"] = "0.0"
    image = base_name(images.topic.name)
    node = ["--ros-args", "-r", f"image:={image}"]
    node += ["-r", f"image/compressed:={images.topic.name}"] if compressed else []
    node += ["-r", f"camera_info:={info_topic or '/no_camera_info'}"]
    for name, value in parameters.items():
        node += ["-p", f"{name}:={value}"]
    player = [str(options.bag), "--image", images.topic.name]
    player += ["--camera-info", info_topic] if info_topic is not None else []
    player += ["--max-frames", str(options.max_frames)] if options.max_frames is not None else []
    recorder = [str(out_bag), f"{PEOPLE_TOPIC}={PEOPLE_TYPE}"]
    recorder.append(f"{DIAGNOSTICS}=diagnostic_msgs/msg/DiagnosticArray")
    return (
        ("node", "d3pose_ros.node", node),
        ("recorder", "d3pose_ros.recorder", recorder),
        ("player", "d3pose_ros.replay.player", player),
    )
