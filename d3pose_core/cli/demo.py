"""`d3pose demo`: a real clip through a real ROS graph."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from d3pose_core.cli.options import add_device_options, count
from d3pose_core.errors import D3PoseError


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Register `demo` under the `d3pose` command."""
    parser = subparsers.add_parser(
        "demo",
        help="play a clip through a ROS graph: camera, node and recorder",
        description="Plays real footage through a ROS graph of three processes on this machine: a "
        "camera, the d3pose node, and a recorder. Writes people.mcap (what the node published), "
        "overlay.mp4 and summary.json. `d3pose models fetch` gets the clip.",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("out/demo"),
        metavar="DIR",
        help="output folder (default: %(default)s)",
    )
    parser.add_argument(
        "--weights",
        default="d3pose-landmarks",
        metavar="W",
        help="network weights: a name or a file (default: %(default)s)",
    )
    add_device_options(parser)
    parser.add_argument(
        "--max-frames", type=count, metavar="N", help="stop after so many frames (default: all)"
    )
    parser.add_argument(
        "--domain-id",
        type=int,
        choices=range(102),
        metavar="0..101",
        help="ROS domain of the demo, to watch it in RViz (default: one that is not in use by you)",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Exit status 0; D3PoseError when a file is missing or a process fails."""
    logging.basicConfig(format="d3pose: %(levelname)s: %(message)s", level=logging.WARNING)
    try:
        # The one place where d3pose_core reaches up: the command belongs to both packages.
        from d3pose_ros.demo.run import DemoOptions, run_demo
    except ImportError as error:
        raise D3PoseError(
            f"the demo needs ROS 2 and d3pose_ros' messages: {error}; install the package with pip "
            "or colcon, or source your workspace; `d3pose doctor` says what is missing"
        ) from error
    run_demo(
        DemoOptions(
            args.out, args.weights, args.device, args.runtime, args.max_frames, args.domain_id
        )
    )
    return 0
