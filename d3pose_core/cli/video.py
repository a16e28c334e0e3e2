"""`d3pose video`: the people in one clip, without ROS."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from d3pose_core.cli.options import (
    DEFAULT_HFOV_DEG,
    add_camera_options,
    add_recovery_options,
    add_resume_option,
    add_tilt_options,
)
from d3pose_core.landmark_models import BEST, resolve


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
    add_tilt_options(parser)
    add_recovery_options(parser, landmarks=BEST)
    add_resume_option(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Exit status 0; D3PoseError for a clip, camera, weights or folder that won't do."""
    from d3pose_core.clip_run import ClipOptions, run_clip  # OpenCV and torch load only now

    logging.basicConfig(format="d3pose: %(levelname)s: %(message)s", level=logging.WARNING)
    run_clip(
        ClipOptions(
            clip=args.clip,
            out=args.out,
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
            resume=args.resume,
        )
    )
    return 0
