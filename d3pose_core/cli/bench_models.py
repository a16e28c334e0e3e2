"""`d3pose bench-models CONFIG`: D3Pose against its peers, trained and scored on the same footing."""

from __future__ import annotations

import argparse


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    parser = subparsers.add_parser(
        "bench-models", help="train the networks that D3Pose is compared with, and compare"
    )
    parser.add_argument("config", help="e.g. config/bench_models.yaml")
    parser.add_argument("--only", help="train this network, and do not compare (for a second core)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from d3pose_core.training.comparison import ComparisonConfig, compare
    from d3pose_core.training.peers import train_peer

    config = ComparisonConfig.load(args.config)
    if args.only:
        best = train_peer(args.only, config.training_of(args.only), config.sizes.get(args.only))
        print(f"best checkpoint: {best}")
    else:
        print(compare(config))
    return 0
