"""What smoothing the distance does: position and acceleration errors of the pelvis, held-out motion.

    python benchmarks/distance_smoothing.py SHARD.npz [SHARD.npz ...] [--split val] [--weights W]

Rows are cutoffs and speed gains of the One-Euro filter; "none" is the network alone.
"""

from __future__ import annotations

import argparse

import torch
from torch import Tensor

from d3pose_core.body import load_body
from d3pose_core.data.motions import MotionLibrary
from d3pose_core.evaluation.held_out import free_run, held_out_batches
from d3pose_core.model.checkpoint import load_model
from d3pose_core.smoothing import OneEuroFilter

FPS = 30.0
SETTINGS = (None, (0.5, 0.0), (0.5, 4.0), (1.0, 0.0), (1.0, 1.0), (1.0, 4.0), (2.0, 4.0))


def smoothed(pelvis: Tensor, seen: Tensor, setting: tuple[float, float] | None) -> Tensor:
    """Pelvis [B, T, 3] with its distance filtered over the seen frames [B, T]."""
    if setting is None:
        return pelvis
    log_distance = pelvis.norm(dim=-1).log()
    out = log_distance.clone()
    for person in range(len(pelvis)):
        smooth = OneEuroFilter(*setting)
        for frame in seen[person].nonzero()[:, 0].tolist():
            out[person, frame] = smooth(float(log_distance[person, frame]), frame / FPS)
    return pelvis * (out - log_distance).exp()[..., None]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shards", nargs="+", help="motion shards (docs/training.md)")
    parser.add_argument("--split", default="val", choices=("val", "test"))
    parser.add_argument("--weights", default="d3pose-landmarks")
    parser.add_argument("--sequences", type=int, default=64, help="of 3 s each")
    args = parser.parse_args()
    torch.set_num_threads(1)

    model = load_model(args.weights)
    motions = MotionLibrary(args.shards, args.split)
    batches = held_out_batches(motions, load_body("free-low"), args.sequences)
    runs = [(batch, free_run(model, batch).pelvis) for batch in batches]
    print("cutoff Hz, gain   position, median % of distance   acceleration, median mm/frame^2")
    for setting in SETTINGS:
        position, acceleration = [], []
        for batch, pelvis in runs:
            truth, seen = batch.truth.pelvis, batch.observations.seen
            error = smoothed(pelvis, seen, setting) - truth
            position.append((100 * error.norm(dim=-1) / truth.norm(dim=-1))[seen])
            second = error[:, 2:] - 2 * error[:, 1:-1] + error[:, :-2]
            run = seen[:, 2:] & seen[:, 1:-1] & seen[:, :-2]
            acceleration.append(1000 * second.norm(dim=-1)[run])
        print(
            f"{setting or 'none'!s:17s} {torch.cat(position).median():10.2f} "
            f"{torch.cat(acceleration).median():30.1f}"
        )


if __name__ == "__main__":
    main()
