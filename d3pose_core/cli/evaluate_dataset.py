"""`d3pose evaluate 3dpw`, `human36m`, `emdb`: a checkpoint on an official dataset, by a named protocol."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from d3pose_core.cli.options import add_resume_option, check_output_folder, count
from d3pose_core.cli.report import progress_bar
from d3pose_core.errors import InputError

if TYPE_CHECKING:
    from d3pose_core.evaluation.dataset_evaluation import Recover

WEIGHTS = "d3pose-landmarks"
_PROTOCOLS = {
    "3dpw": ("3DPW", "3dpw-official, 3dpw-vibe or 3dpw-wham, which give different numbers"),
    "human36m": ("Human3.6M", "human36m-p2"),
    "emdb": ("EMDB", "emdb-1 (camera space) or emdb-2 (world)"),
}


def add_official_datasets(datasets: argparse._SubParsersAction) -> None:
    """One subcommand of `d3pose evaluate` for each dataset that has a protocol."""
    for name, (title, protocols) in _PROTOCOLS.items():
        parser = datasets.add_parser(
            name,
            help=f"{title}, from its own files",
            description=f"Recovers the people in the images of {title} and scores them by one of its "
            "protocols. docs/datasets.md says how files have to lie, docs/evaluation.md what numbers mean.",
        )
        parser.add_argument("--root", type=Path, required=True, metavar="PATH", help="the dataset")
        parser.add_argument("--protocol", metavar="P", help=protocols)
        parser.add_argument(
            "--smpl",
            type=Path,
            metavar="FOLDER",
            help="your SMPL files by gender (SMPL_NEUTRAL.npz, ...), with which the reference is posed",
        )
        parser.add_argument(
            "--regressor",
            type=Path,
            metavar="FILE",
            help="J_regressor_h36m.npy, where the protocol compares regressed joints",
        )
        parser.add_argument(
            "--observations",
            type=Path,
            metavar="DIR",
            help="what `d3pose prepare` wrote: then images are not read again",
        )
        parser.add_argument(
            "--recovered",
            type=Path,
            metavar="DIR",
            help="instead of recovering: SEQUENCE.npz of any system, in the form of people.npz",
        )
        parser.add_argument("--weights", metavar="W", help=f"default: {WEIGHTS}")
        parser.add_argument(
            "--body",
            default="free-low",
            metavar="B",
            help="that the weights were trained for, or that --recovered has (default: %(default)s)",
        )
        parser.add_argument("--max-people", type=count, metavar="N", help="default: 5")
        parser.add_argument("--out", type=Path, default=Path("out/evaluate"), metavar="DIR")
        add_resume_option(parser)
        parser.set_defaults(run=run, dataset=name)


def run(args: argparse.Namespace) -> int:
    """Exit status 0; D3PoseError for files or a protocol that won't do."""
    from d3pose_core.body import load_body
    from d3pose_core.data.datasets import bodies_in, open_dataset
    from d3pose_core.evaluation.body_points import load_regressor
    from d3pose_core.evaluation.dataset_evaluation import evaluate_dataset
    from d3pose_core.evaluation.dataset_protocols import dataset_protocol
    from d3pose_core.evaluation.dataset_report import save_dataset_results
    from d3pose_core.evaluation.recover_dataset import RecoverOnce

    settle_defaults(args)
    protocol = dataset_protocol(args.dataset, args.protocol)
    bodies = None if args.smpl is None else bodies_in(args.smpl)
    regressor = load_regressor(args.regressor, protocol)
    dataset = open_dataset(args.dataset, args.root, protocol.split, bodies)
    check_output_folder(args.out)
    with progress_bar(0, "recover") as bar:
        recover = _recover(args, bar.update)
        once = None
        if args.recovered is None:
            settings = _settings(args, protocol.split)
            recover = once = RecoverOnce(recover, args.out, settings, args.resume, bar.update)
        result = evaluate_dataset(
            dataset, protocol, recover, load_body(args.body), bodies, regressor
        )
    source = args.weights if args.recovered is None else args.recovered.name
    print(save_dataset_results(result, args.out, str(source)))
    if once is not None:
        once.forget()
    return 0


def settle_defaults(args: argparse.Namespace) -> None:
    """Fills in what was not given. Raises InputError for what was, and would count for nothing."""
    useless = []
    if args.recovered is not None:
        useless = ["weights", "observations", "max_people"]
    elif args.observations is not None:
        useless = ["max_people"]
    given = [f"--{name.replace('_', '-')}" for name in useless if getattr(args, name) is not None]
    if given:
        with_ = "--recovered" if args.recovered is not None else "--observations"
        raise InputError(f"{', '.join(given)} changes nothing with {with_}: leave it out")
    args.weights = args.weights or WEIGHTS
    args.max_people = args.max_people or 5


def _settings(args: argparse.Namespace, split: str) -> dict[str, object]:
    """What recovered people depend on."""
    from d3pose_core.recordings import model_identity

    return {
        "dataset": args.dataset,
        "root": str(args.root.resolve()),
        "split": split,
        "observations": None if args.observations is None else str(args.observations.resolve()),
        "max_people": args.max_people,
        "body": args.body,
        **model_identity(args.weights, args.body),
    }


def _recover(args: argparse.Namespace, progress) -> Recover:
    from d3pose_core.body import load_body
    from d3pose_core.evaluation import recover_dataset as sources

    if args.recovered is not None:
        return sources.RecoverFromFiles(args.recovered, load_body(args.body))
    from d3pose_core.recovery import MeshRecovery

    if args.observations is None:
        recovery = MeshRecovery.from_pretrained(
            args.weights, body=args.body, max_people=args.max_people
        )
        return sources.RecoverFromImages(recovery, progress)
    from d3pose_core.data.observation_cache import ObservationCache
    from d3pose_core.observe.cached import CachedObserver

    cache = ObservationCache.open(args.observations)
    recovery = MeshRecovery.from_pretrained(args.weights, body=args.body, observer=CachedObserver())
    return sources.RecoverFromCache(recovery, cache, progress)
