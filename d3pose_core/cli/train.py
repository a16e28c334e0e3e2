"""`d3pose train CONFIG`: train a network, or go on where a run stopped."""

from __future__ import annotations

import argparse


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    parser = subparsers.add_parser("train", help="train a network from a YAML configuration")
    parser.add_argument("config", help="e.g. config/train/landmarks.yaml")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from d3pose_core.training.image_config import ImageTrainConfig, is_image_config

    if is_image_config(args.config):
        from d3pose_core.training.image_loop import train_image

        print(f"best checkpoint: {train_image(ImageTrainConfig.load(args.config))}")
        return 0
    from d3pose_core.training.config import TrainConfig
    from d3pose_core.training.loop import train

    print(f"best checkpoint: {train(TrainConfig.load(args.config))}")
    return 0
