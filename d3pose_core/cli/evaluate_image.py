"""`d3pose evaluate image`: a checkpoint of the image variant on clips of crops."""

from __future__ import annotations

import argparse
from pathlib import Path

from d3pose_core.cli.options import check_output_folder


def add_image_clips(datasets: argparse._SubParsersAction) -> None:
    """Register `image` under `d3pose evaluate`."""
    parser = datasets.add_parser(
        "image",
        help="the image variant on clips of crops",
        description="Scores a checkpoint of the image variant on clips of `python -m tools.render_crops` "
        "in the three modes of the original research log, as mean square error and in mm.",
    )
    parser.add_argument("--root", type=Path, required=True, metavar="CLIPS.npz")
    parser.add_argument(
        "--weights",
        type=Path,
        required=True,
        metavar="W",
        help="best.safetensors of `d3pose train`",
    )
    parser.add_argument(
        "--mean-of",
        type=Path,
        metavar="TRAIN.npz",
        help="also score the mean pose of these clips: what has to be beaten",
    )
    parser.add_argument("--out", type=Path, default=Path("out/evaluate"), metavar="DIR")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Exit status 0; D3PoseError for files that won't do."""
    import torch

    from d3pose_core.body import load_body
    from d3pose_core.data.image_clips import ImageClips
    from d3pose_core.evaluation.image_evaluation import evaluate_image, save_image_results
    from d3pose_core.model.image.checkpoint import load_image_model

    torch.set_num_threads(1)
    clips = ImageClips.load(args.root)
    training = None if args.mean_of is None else ImageClips.load(args.mean_of)
    network, backbone = load_image_model(args.weights)
    check_output_folder(args.out)
    result = evaluate_image(network, backbone, clips, load_body("free-low"), training)
    print(save_image_results(result, args.out, f"{args.weights.name} on {args.root.name}"))
    return 0
