"""What fitting a pose to the landmarks gives before any training: a network without refinement, the same with
the fit of each frame, and with the fit carried on from frame to frame.

    python benchmarks/refinement.py SHARD.npz --weights WITHOUT.safetensors [--rendered RECORDING.npz ...]

`val` people, simulated with landmark errors times 0.05, 0.4 and 1, and BlazePose's real reports of rendered
ones (12 limb joints there). Left and right are kept apart before the network, which runs one way.
"""

from __future__ import annotations

import argparse
import dataclasses
from functools import partial

import torch

from d3pose_core.body import load_body
from d3pose_core.data.landmark_noise import Realism
from d3pose_core.data.motions import MotionLibrary
from d3pose_core.data.rendered import RenderedSet
from d3pose_core.evaluation.held_out import held_out_batches, score, with_sides_kept
from d3pose_core.evaluation.rendered import limb_scores
from d3pose_core.evaluation.robustness import CLEAR
from d3pose_core.model.checkpoint import load_model
from d3pose_core.model.d3pose import D3Pose
from d3pose_core.training.loop import start_from

AT_ONCE = 20.0  # of a rate: the correction is the frame's own


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("shards", nargs="+", help="motion shards (docs/training.md)")
    parser.add_argument("--weights", required=True, help="of a network without refinement")
    parser.add_argument("--split", default="val", choices=("val", "test"))
    parser.add_argument("--sequences", type=int, default=96, help="of 3 s each")
    parser.add_argument("--rendered", nargs="*", default=[], metavar="RECORDING")
    args = parser.parse_args()
    torch.set_num_threads(1)

    body = load_body("free-low")
    without = load_model(args.weights)
    if without.config.refinement:
        parser.error(f"{args.weights} has a refinement already")
    networks = [without, refined(without, at_once=True), refined(without)]
    run = partial(with_sides_kept, body=body)

    def show(label: str, scores: list[dict[str, float]]) -> None:
        cells = (
            ", ".join(f"{row[name]:.1f}" for name in ("mpjpe", "pa_mpjpe", "accel"))
            for row in scores
        )
        print(f"| {label} | " + " | ".join(cells) + " |", flush=True)

    for errors in (0.05, CLEAR, 1.0):
        people = MotionLibrary(args.shards, args.split)
        batches = held_out_batches(people, body, args.sequences, realism=Realism(errors=errors))
        scores = [score(network, batches, body, run) for network in networks]
        show(f"landmark errors times {errors:g}", scores)
    for path in args.rendered:
        recorded = RenderedSet.load(path)
        show(path, [limb_scores(network, recorded, body, run) for network in networks])


def refined(network: D3Pose, at_once: bool = False) -> D3Pose:
    """`network` with a new refinement; `at_once`: one that keeps nothing from frame to frame."""
    model = D3Pose(dataclasses.replace(network.config, refinement=True)).eval()
    start_from(model, network)
    if at_once:
        rates = model.refinement.trust_head.out_features // 2
        with torch.no_grad():
            model.refinement.trust_head.bias[rates:] = AT_ONCE
    return model


if __name__ == "__main__":
    main()
