"""Errors of a network on people that it was not trained on, and what a step costs.

    python benchmarks/held_out.py SHARD.npz [SHARD.npz ...] [--split test] [--weights W]

Recorded motions, simulated observations at 30 Hz, run step by step from an empty state: see
d3pose_core/evaluation/held_out.py. The last row is what the observations themselves know of the
limbs, before the network.
"""

from __future__ import annotations

import argparse
import time

import torch

from d3pose_core.body import load_body
from d3pose_core.data.motions import MotionLibrary
from d3pose_core.evaluation.held_out import held_out_batches, score
from d3pose_core.model.checkpoint import load_model

ROWS = {
    "mpjpe": "MPJPE, 24 joints, mm",
    "pa_mpjpe": "PA-MPJPE, 24 joints, mm",
    "pve": "PVE, mm",
    "accel": "acceleration error, mm/frame^2",
    "translation": "distance of the pelvis, median, % of depth",
    "reprojection": "reprojection, % of body height",
    "limbs_pa_mpjpe": "PA-MPJPE, 12 limb joints, mm",
    "landmarks_pa_mpjpe": "the same of the observed landmarks, mm",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shards", nargs="+", help="motion shards (docs/training.md)")
    parser.add_argument("--split", default="test", choices=("val", "test"))
    parser.add_argument("--weights", default="d3pose-landmarks")
    parser.add_argument("--sequences", type=int, default=256, help="of 3 s each")
    args = parser.parse_args()
    torch.set_num_threads(1)

    body, model = load_body("free-low"), load_model(args.weights)
    motions = MotionLibrary(args.shards, args.split)
    batches = held_out_batches(motions, body, args.sequences)
    scores = score(model, batches, body)
    print(f"{args.weights}: {args.sequences} sequences from {len(motions)} clips of {args.split}")
    for name, label in ROWS.items():
        print(f"{label:45s} {scores[name]:7.1f}")

    observations = batches[0].observations
    for people in (1, 4, 8):
        state = model.initial_state(people)
        times = []
        for t in range(60):
            frame = observations[:people, t : t + 1]
            started = time.perf_counter()
            _, _, state = model.step(frame, state)
            times.append(time.perf_counter() - started)
        median = 1e3 * sorted(times)[len(times) // 2]
        print(f"one step of {people} people, 1 thread, median, ms      {median:7.1f}")


if __name__ == "__main__":
    main()
