"""`d3pose evaluate`: recovered people against a reference. Each kind of data set is one subcommand."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from d3pose_core.cli.evaluate_dataset import WEIGHTS, add_official_datasets
from d3pose_core.cli.evaluate_image import add_image_clips
from d3pose_core.cli.options import add_resume_option, check_output_folder
from d3pose_core.errors import D3PoseError, InputError

DEFAULT_OUT = Path("out/evaluate")


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Register `evaluate` under the `d3pose` command."""
    parser = subparsers.add_parser(
        "evaluate",
        help="score recovered people against a reference",
        description="Scores recovered people against a reference. Writes metrics.json and report.html, "
        "a page that needs no network: error over time and by joint, and the bodies in 3D.",
    )
    datasets = parser.add_subparsers(metavar="DATASET", required=True)
    _add_bag(datasets)
    add_official_datasets(datasets)
    add_image_clips(datasets)


def _add_bag(datasets: argparse._SubParsersAction) -> None:
    parser = datasets.add_parser(
        "bag",
        help="a bag with reference joints, or files",
        description="People in a bag or an .npz file against a reference in another, or in the same bag. "
        "Times must count from the same moment: stamps in bags, the clip's start in people.npz.",
    )
    parser.add_argument(
        "--root",
        type=Path,
        metavar="BAG",
        help="a bag that holds camera images and the reference: it is replayed and scored",
    )
    parser.add_argument(
        "--recovered",
        type=Path,
        metavar="PEOPLE",
        help="instead of replaying: people.mcap or another bag, people.npz, or a folder with either",
    )
    parser.add_argument(
        "--reference", type=Path, metavar="FILE", help="a bag or .npz file (default: --root)"
    )
    parser.add_argument(
        "--recovered-topic", metavar="TOPIC", help="SmplPersonArray (default: the only such topic)"
    )
    parser.add_argument(
        "--reference-topic", metavar="TOPIC", help="SmplPersonArray (default: the only such topic)"
    )
    parser.add_argument(
        "--protocol",
        default="smpl24",
        metavar="P",
        help="smpl24: all SMPL joints; limbs12: 12 limb joints (default: %(default)s)",
    )
    parser.add_argument(
        "--max-distance",
        type=float,
        default=1.0,
        metavar="M",
        help="a recovered person farther from the reference is somebody else, m (default: 1)",
    )
    parser.add_argument(
        "--weights",
        metavar="W",
        help=f"network weights for --root (default: {WEIGHTS})",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=DEFAULT_OUT,
        metavar="DIR",
        help="output folder (default: %(default)s)",
    )
    add_resume_option(parser)
    parser.set_defaults(run=run_bag)


def run_bag(args: argparse.Namespace) -> int:
    """Exit status 0; D3PoseError for files, topics or a protocol that won't do."""
    logging.basicConfig(format="d3pose: %(levelname)s: %(message)s", level=logging.WARNING)
    from d3pose_core.evaluation.matching import MatchingRule
    from d3pose_core.evaluation.protocols import PROTOCOLS
    from d3pose_core.evaluation.results import save_results
    from d3pose_core.evaluation.scores import evaluate

    if args.protocol not in PROTOCOLS:
        raise InputError(f"no protocol {args.protocol!r}; there are {', '.join(PROTOCOLS)}")
    if args.root is None and (args.recovered is None or args.reference is None):
        raise InputError(
            "give --root BAG (images and reference in one bag), or --recovered and --reference"
        )
    if args.recovered is not None and (args.weights is not None or args.resume):
        raise InputError("--weights and --resume change nothing with --recovered: leave them out")
    rule = MatchingRule(max_distance_m=args.max_distance)
    check_output_folder(args.out)
    reference_path = args.reference or args.root
    reference = _tracks(reference_path, args.reference_topic)
    recovered_path = args.recovered or _replayed(
        args.root, args.out, args.weights or WEIGHTS, args.resume
    )
    recovered = _tracks(recovered_path, args.recovered_topic)
    evaluation = evaluate(recovered, reference, PROTOCOLS[args.protocol], rule)
    print(save_results(evaluation, args.out, str(recovered_path), str(reference_path)))
    return 0


def _tracks(path: Path, topic: str | None):
    """People of an .npz file or a bag; of a folder that a command wrote, its bag, which says more."""
    from d3pose_core.evaluation.tracks import load_tracks

    for name in ("people.mcap", "people.npz"):
        if path.is_dir() and (path / name).is_file():
            path = path / name
    if path.suffix == ".npz":
        return load_tracks(path)
    try:
        from d3pose_ros.replay.people import read_tracks
    except ImportError as error:
        raise D3PoseError(
            f"bags need d3pose_ros' messages: {error}; `d3pose doctor` says what is missing"
        ) from error
    return read_tracks(path, topic)


def _replayed(bag: Path, out: Path, weights: str, resume: bool) -> Path:
    """Replays the bag into `out`/replay; returns that folder."""
    from d3pose_ros.replay.run import ReplayOptions, run_replay

    folder = out / "replay"
    check_output_folder(folder)
    run_replay(ReplayOptions(bag=bag, out=folder, weights=weights, resume=resume))
    return folder
