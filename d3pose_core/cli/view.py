"""`d3pose view`: a live page in the browser from the running topics."""

from __future__ import annotations

import argparse

from d3pose_core.errors import D3PoseError


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Register `view` under the `d3pose` command."""
    parser = subparsers.add_parser(
        "view",
        help="watch a running node in the browser",
        description="Serves a page that shows what a running d3pose node sees: camera, bodies in 3D, "
        "graphs and the node's own report. It listens to the topics only while somebody looks.",
    )
    parser.add_argument(
        "--node", default="/d3pose", metavar="NAME", help="of the node (default: %(default)s)"
    )
    parser.add_argument(
        "--image", metavar="TOPIC", help="images (default: those that the node listens to)"
    )
    parser.add_argument("--port", type=_port, default=8765, help="default: %(default)s; 0: any")
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="address to serve at (default: %(default)s, this machine only). With another, whoever can "
        "reach it sees the camera: there is no password. From afar rather use "
        "`ssh -L 8765:localhost:8765 ROBOT`",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Exit status 0 after Ctrl-C; D3PoseError if the address can't be had or ROS is missing."""
    try:
        from d3pose_ros.view.node import ViewOptions, run_view
    except ImportError as error:
        raise D3PoseError(
            f"the page needs ROS 2 and d3pose_ros' messages: {error}; `d3pose doctor` says what is missing"
        ) from error
    name = "/" + args.node.strip("/")
    image = args.image and "/" + args.image.strip("/")
    run_view(ViewOptions(watched=name, image=image, host=args.host, port=args.port))
    return 0


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"expected a port, 0..65535, got {text!r}")
    return int(text)
