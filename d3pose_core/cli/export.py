"""`d3pose export`: recovered motion as BVH, glTF or AMASS files, and the network as ONNX."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from d3pose_core.errors import InputError

if TYPE_CHECKING:
    from d3pose_core.body.model import BodyModel
    from d3pose_core.export.track import MotionTrack

_AXES_HELP = (
    "optical: the camera's own (x right, y down, z forward); y-up and z-up: turned so that the camera's "
    "up is y or z (default: %(default)s)"
)


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Register `export` under the `d3pose` command."""
    parser = subparsers.add_parser(
        "export", help="motion as BVH, glTF or AMASS files; the network as ONNX"
    )
    formats = parser.add_subparsers(metavar="FORMAT", required=True)
    bvh = _add_motion_format(
        formats, "bvh", "y-up", "skeleton motion, for Blender and motion tools"
    )
    bvh.add_argument("--unit", choices=("cm", "m"), default="cm", help="default: %(default)s")
    _add_rate(bvh)
    glb = _add_motion_format(formats, "glb", "y-up", "the skinned, moving mesh as glTF 2.0")
    glb.add_argument(
        "--no-correctives",
        action="store_true",
        help="leave out SMPL's pose correctives: a simpler file, a skin that is off by up to a "
        "centimetre or two at bent joints",
    )
    amass = _add_motion_format(formats, "amass", "z-up", "SMPL parameters in the layout of AMASS")
    amass.add_argument(
        "--layout",
        choices=("smplh", "smpl"),
        default="smplh",
        help="smplh: poses [T, 156] as in AMASS; smpl: poses [T, 72] (default: %(default)s)",
    )
    _add_rate(amass)

    onnx = formats.add_parser("onnx", help="the network's streaming step, for ONNX Runtime")
    onnx.add_argument(
        "--weights", default="d3pose-landmarks", metavar="W", help="default: %(default)s"
    )
    onnx.add_argument("--out", type=Path, required=True, metavar="STEP.onnx")
    onnx.set_defaults(run=_run_onnx)


def _add_motion_format(
    formats: argparse._SubParsersAction, name: str, axes: str, what: str
) -> argparse.ArgumentParser:
    parser = formats.add_parser(name, help=what)
    parser.add_argument(
        "people", type=Path, metavar="people.npz", help="of `d3pose video` or replay"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="default: beside people.npz")
    parser.add_argument("--track", type=int, metavar="ID", help="only this person (default: all)")
    parser.add_argument(
        "--body",
        metavar="B",
        help="that the people were recovered with (default: as in the summary.json beside "
        "people.npz, else free-mid)",
    )
    parser.add_argument(
        "--axes", choices=("optical", "y-up", "z-up"), default=axes, help=_AXES_HELP
    )
    parser.set_defaults(run=_run_motion, format=name)
    return parser


def _add_rate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--rate", type=float, metavar="HZ", help="frames a second (default: those of the recording)"
    )


def _run_motion(args: argparse.Namespace) -> int:
    from d3pose_core.body import load_body
    from d3pose_core.export.track import tracks_of
    from d3pose_core.recording import PeopleTable

    tracks = tracks_of(PeopleTable.load(args.people), args.track)
    body = load_body(args.body or _recorded_body(args.people))
    write, suffix = _writer(args, body)
    folder = args.out or args.people.parent
    for track in tracks:
        path = folder / f"track_{track.track_id}{suffix}"
        write(track.turned(args.axes), path)
        print(f"written: {path} ({len(track.time_s)} frames)")
    return 0


def _writer(
    args: argparse.Namespace, body: BodyModel
) -> tuple[Callable[[MotionTrack, Path], None], str]:
    """What writes a track to a path, and the suffix of its files."""

    def rate_of(track: MotionTrack) -> float:
        return track.usual_rate_hz() if args.rate is None else args.rate

    if args.format == "bvh":
        from d3pose_core.export.bvh import write_bvh

        return (
            lambda track, path: write_bvh(
                track, track.rest_joints(body), rate_of(track), path, args.unit
            )
        ), ".bvh"
    if args.format == "glb":
        from d3pose_core.export.glb import write_glb

        return (lambda track, path: write_glb(track, body, path, not args.no_correctives)), ".glb"
    from d3pose_core.export.amass import write_amass

    return (
        lambda track, path: write_amass(track, body, rate_of(track), path, args.layout)
    ), "_amass.npz"


def _recorded_body(people: Path) -> str:
    """The body named in the summary beside `people`, or the one that `d3pose video` takes by itself."""
    summary = people.with_name("summary.json")
    try:
        return str(json.loads(summary.read_text(encoding="utf-8"))["body"])
    except FileNotFoundError:
        return "free-mid"
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{summary} does not name a body ({error!r}); give --body") from error


def _run_onnx(args: argparse.Namespace) -> int:
    from d3pose_core.export.onnx_network import export_step
    from d3pose_core.model.checkpoint import load_model

    export_step(load_model(args.weights), args.out)
    print(f"written: {args.out}")
    return 0
