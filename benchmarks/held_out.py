"""Errors of a network on people that it was not trained on, and what a step costs.

    python benchmarks/held_out.py SHARD.npz [SHARD.npz ...] [--split test] [--weights W]
        [--rendered RECORDING.npz ...] [--tilt rough] [--without-rivals]

Recorded motions, simulated observations at 30 Hz, run step by step from an empty state: see
d3pose_core/evaluation/held_out.py. First as on a robot: the network both ways, sides kept. The other
columns are the three ways to run a decoder that reads its own past, of the network alone: free, with the
truth in its loop, and with the complete truth given at once. The last row is what the observations
themselves know of the limbs, before the network.

With `--rendered` (recordings of tools.measure_landmarks of test people), also BlazePose's real reports on
rendered people, against its own metric landmarks. `--tilt rough`: it is known which way is up, as exactly as
a robot's transforms tell it (d3pose_core/data/tilt.py). `--without-rivals` tells what rivals are worth
(docs/observation_errors.md): landmarks have none.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from functools import partial

import torch

from d3pose_core.body import load_body
from d3pose_core.data.motions import MotionLibrary
from d3pose_core.data.rendered import RenderedSet, landmark_scores
from d3pose_core.data.tilt import TILTS, UNKNOWN
from d3pose_core.evaluation.held_out import (
    as_on_a_robot,
    complete_truth,
    free_run,
    held_out_batches,
    score,
    truth_in_loop,
)
from d3pose_core.evaluation.reliability import RADIUS_M, joint_errors, reliability
from d3pose_core.evaluation.rendered import limb_scores
from d3pose_core.model.checkpoint import load_model
from d3pose_core.runtime.both_ways import BothWays
from d3pose_core.training.loop import without_rivals

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
    parser.add_argument("--rendered", nargs="*", default=[], metavar="RECORDING")
    parser.add_argument(
        "--tilt",
        default=UNKNOWN,
        choices=TILTS,
        help="what is known of the camera's (default: unknown)",
    )
    parser.add_argument("--without-rivals", action="store_true", help="landmarks have none")
    args = parser.parse_args()
    torch.set_num_threads(1)

    body, model = load_body("free-low"), load_model(args.weights)
    motions = MotionLibrary(args.shards, args.split)
    batches = held_out_batches(motions, body, args.sequences)
    if args.without_rivals:
        batches = [without_rivals(batch, 1.0, torch.Generator()) for batch in batches]
    robot = partial(as_on_a_robot, body=body)
    runs = (robot, free_run, truth_in_loop, complete_truth)
    columns = [score(model, batches, body, run, args.tilt) for run in runs]
    print(f"{args.weights}: {args.sequences} sequences from {len(motions)} clips of {args.split}")
    print(f"{'':45s}   robot    free    loop  complete")
    for name, label in ROWS.items():
        print(f"{label:45s}" + "".join(f" {scores[name]:7.1f}" for scores in columns))
    errors = reliability(joint_errors(BothWays.of(model), batches, body))
    print(f"{'error of the joint confidences, both ways':45s} {errors.expected_error:7.3f}")
    for said, found, count in zip(errors.said, errors.found, errors.count, strict=True):
        print(f"  said within {RADIUS_M:g} m {said:5.2f}, found {found:5.2f}, {int(count)} joints")

    if args.rendered:
        recorded = RenderedSet.load(*args.rendered)
        if args.without_rivals:
            none = torch.zeros_like(recorded.rival_certainty)
            recorded = replace(recorded, rival_certainty=none)
        network = limb_scores(model, recorded, body, tilt=args.tilt)
        whole = limb_scores(model, recorded, body, robot, args.tilt)
        print(f"rendered people, {len(recorded)} clips, 12 limb joints, mid-hip aligned:")
        for name, own in landmark_scores(recorded).items():
            print(
                f"  {name:10s} BlazePose {own:7.2f}   D3Pose as on a robot {whole[name]:7.2f}   the network "
                f"alone {network[name]:7.2f}"
            )

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
