"""`d3pose replay`: the people in a bag of camera images."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from d3pose_core.cli.options import (
    add_camera_options,
    add_recovery_options,
    add_resume_option,
    add_tilt_options,
    check_output_folder,
)
from d3pose_core.errors import D3PoseError, InputError
from d3pose_core.landmark_models import resolve


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Register `replay` under the `d3pose` command."""
    parser = subparsers.add_parser(
        "replay",
        help="recover the people in a bag of camera images",
        description="Recovers the people in every image of a rosbag2 (a folder, or a single .mcap or "
        ".db3 file), in order and losing none, without a ROS graph; with --live, through the ROS node "
        "in real time. Writes people.mcap (SmplPersonArray messages with the images' stamps), "
        "people.npz, overlay.mp4 and summary.json.",
    )
    parser.add_argument("bag", type=Path, metavar="BAG", help="the bag's folder or file")
    parser.add_argument("--out", type=Path, metavar="DIR", help="output folder")
    parser.add_argument(
        "--image",
        metavar="TOPIC",
        help="images, raw or compressed (default: the only such topic in the bag)",
    )
    parser.add_argument(
        "--camera-info",
        metavar="TOPIC",
        help="the camera's calibration (default: the camera_info beside the images)",
    )
    add_camera_options(parser, default="60 if the bag has no camera_info")
    add_tilt_options(parser)
    add_recovery_options(parser)
    parser.add_argument(
        "--live",
        action="store_true",
        help="play the bag in real time to the node, as a camera would",
    )
    parser.add_argument(
        "--no-overlay", action="store_true", help="don't draw overlay.mp4, which takes longest"
    )
    parser.add_argument(
        "--topics", action="store_true", help="only list the topics in the bag, and end"
    )
    add_resume_option(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Exit status 0; D3PoseError for a bag, topic, camera or folder that won't do."""
    logging.basicConfig(format="d3pose: %(levelname)s: %(message)s", level=logging.WARNING)
    try:
        from d3pose_ros.replay.run import ReplayOptions, run_replay
        from d3pose_ros.replay.topics import list_topics, topic_table
    except ImportError as error:
        raise D3PoseError(
            f"bags need d3pose_ros' messages and rosbags: {error}; install the package with pip or "
            "colcon, or source your workspace; `d3pose doctor` says what is missing"
        ) from error
    if args.topics:
        print(f"{args.bag}:\n{topic_table(list_topics(args.bag))}")
        return 0
    if args.out is None:
        raise InputError("give the output folder by --out DIR")
    check_output_folder(args.out)
    run_replay(
        ReplayOptions(
            bag=args.bag,
            out=args.out,
            image=args.image,
            camera_info=args.camera_info,
            intrinsics=args.intrinsics,
            hfov_deg=args.hfov,
            pitch_deg=args.pitch,
            roll_deg=args.roll,
            weights=args.weights,
            body=args.body,
            device=args.device,
            runtime=args.runtime,
            landmarks=resolve(args.landmarks),
            max_people=args.max_people,
            max_frames=args.max_frames,
            overlay=not args.no_overlay,
            live=args.live,
            resume=args.resume,
        )
    )
    return 0
