"""Options that several commands share, and what becomes of them."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from d3pose_core.errors import InputError
from d3pose_core.landmark_models import BEST, FULL, LANDMARKS
from d3pose_core.runtime import AUTO, RUNTIMES

DEFAULT_HFOV_DEG = 60.0


def add_camera_options(parser: argparse.ArgumentParser, default: str) -> None:
    """`--intrinsics` and `--hfov`; `default` is what holds without either."""
    camera = parser.add_mutually_exclusive_group()
    camera.add_argument(
        "--intrinsics",
        type=_intrinsics,
        metavar="fx,fy,cx,cy",
        help="of the camera, in px of the images",
    )
    camera.add_argument(
        "--hfov",
        type=float,
        metavar="DEG",
        help=f"horizontal field of view instead (default: {default}); it sets the "
        "distance at which people are placed",
    )


def add_tilt_options(parser: argparse.ArgumentParser) -> None:
    """`--pitch` and `--roll`, for `camera.up_of_tilt`."""
    parser.add_argument(
        "--pitch",
        type=degrees,
        metavar="DEG",
        help="how far the camera looks down; known, it corrects how far people lean towards it (default: not "
        "known; 0 where only --roll is given)",
    )
    parser.add_argument(
        "--roll",
        type=degrees,
        metavar="DEG",
        help="how far it is turned clockwise, as seen from behind it, likewise",
    )


def add_landmarks_option(parser: argparse.ArgumentParser, default: str = FULL) -> None:
    """`--landmarks`, to be resolved by `landmark_models.resolve`."""
    parser.add_argument(
        "--landmarks",
        choices=(*LANDMARKS, BEST),
        default=default,
        help="BlazePose's landmark network: full, as on a robot; heavy, four times slower and more exact; "
        "-both-ways: with everybody's mirror image, in twice the time, steadier; best: heavy if "
        "`d3pose models fetch` could get it, else full, and both ways (default: %(default)s)",
    )


def add_recovery_options(parser: argparse.ArgumentParser, landmarks: str = FULL) -> None:
    """`--max-people`, `--landmarks`, `--weights`, `--body`, `--device`, `--runtime` and `--max-frames`.

    `landmarks`: the default of `--landmarks`.
    """
    parser.add_argument(
        "--max-people", type=count, default=5, metavar="N", help="most people at once (default: 5)"
    )
    add_landmarks_option(parser, landmarks)
    parser.add_argument(
        "--weights",
        default="d3pose-landmarks",
        metavar="W",
        help="network weights: a name or a file (default: %(default)s)",
    )
    parser.add_argument(
        "--body",
        default="free-mid",
        metavar="B",
        help="free-low, free-mid, free-full, or the path of an SMPL file (default: %(default)s)",
    )
    add_device_options(parser)
    parser.add_argument(
        "--max-frames", type=count, metavar="N", help="stop after so many frames (default: all)"
    )


def add_device_options(parser: argparse.ArgumentParser) -> None:
    """`--device` and `--runtime`."""
    parser.add_argument("--device", default="cpu", help="torch device (default: %(default)s)")
    parser.add_argument(
        "--runtime",
        choices=RUNTIMES,
        default=AUTO,
        help="what executes the network; auto: the fastest that works on the device (default: %(default)s)",
    )


def add_resume_option(parser: argparse.ArgumentParser) -> None:
    """`--resume`."""
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on where a run with the same options and output folder was interrupted",
    )


def check_output_folder(folder: Path) -> None:
    """Before minutes of work, not after. Raises InputError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:  # ValueError: a name with a NUL
        raise InputError(f"can't make the output folder {folder}: {error}") from error


def count(text: str) -> int:
    """Parses a whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, got {text!r}")
    return int(text)


def degrees(text: str) -> float:
    """Parses an angle from -180 to 180."""
    try:
        angle = float(text)
    except ValueError:
        angle = math.nan
    if not abs(angle) <= 180:
        raise argparse.ArgumentTypeError(f"expected degrees from -180 to 180, got {text!r}")
    return angle


def _intrinsics(text: str) -> tuple[float, float, float, float]:
    """Parses `fx,fy,cx,cy`."""
    try:
        fx, fy, cx, cy = (float(part) for part in text.split(","))
    except ValueError as error:
        message = f"expected four numbers fx,fy,cx,cy, got {text!r}"
        raise argparse.ArgumentTypeError(message) from error
    if not all(map(math.isfinite, (fx, fy, cx, cy))):
        raise argparse.ArgumentTypeError(f"expected finite numbers, got {text!r}")
    return fx, fy, cx, cy
