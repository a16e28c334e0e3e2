"""What conditions cost or give: rolled cameras, back views, sides mistaken by the landmark network, gaps,
landmarks as exact as those of a real person in good light, and twice as many frames.

    python benchmarks/robustness.py SHARD.npz [SHARD.npz ...] [--split test] [--weights W]

The same held-out sequences every time (d3pose_core/evaluation/held_out.py), changed as the row says; at
60 Hz there are others, in all rows the same.
First the network alone; then as on a robot: both ways (d3pose_core/runtime/both_ways.py), with left and right
kept apart before it (d3pose_core/sides.py).
"""

from __future__ import annotations

import argparse
import math
from functools import partial

import torch

from d3pose_core.body import load_body
from d3pose_core.data.landmark_noise import Realism
from d3pose_core.data.measured import rolled
from d3pose_core.data.motions import MotionLibrary
from d3pose_core.data.simulator import TrainingBatch
from d3pose_core.evaluation.held_out import (
    RATE_HZ,
    as_on_a_robot,
    free_run,
    held_out_batches,
    score,
)
from d3pose_core.evaluation.robustness import (
    CLEAR,
    every_second,
    facing,
    in_runs,
    lost,
    sides_mistaken,
)
from d3pose_core.model.checkpoint import load_model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shards", nargs="+", help="motion shards (docs/training.md)")
    parser.add_argument("--split", default="test", choices=("val", "test"))
    parser.add_argument("--weights", default="d3pose-landmarks")
    parser.add_argument("--sequences", type=int, default=128, help="of 3 s each")
    args = parser.parse_args()
    torch.set_num_threads(1)

    body, model = load_body("free-low"), load_model(args.weights)
    people = MotionLibrary(args.shards, args.split)

    def observed(errors: float = 1.0, rate_hz: int = RATE_HZ) -> list[TrainingBatch]:
        return held_out_batches(
            people, body, args.sequences, realism=Realism(errors=errors), rate_hz=rate_hz
        )

    plain, clear = observed(), observed(CLEAR)
    rng = torch.Generator().manual_seed(7)

    def mistaken(batches: list[TrainingBatch], length_s: float) -> list[TrainingBatch]:
        """In 35 % of the frames, in runs of so many seconds."""
        return [sides_mistaken(b, in_runs(b, 0.35, length_s, rng)) for b in batches]

    def only(batch: TrainingBatch, low: float, high: float) -> TrainingBatch:
        """The sequences seen from `low` to `high` degrees, on average."""
        angle = facing(batch).mean(1)
        keep = (angle >= low) & (angle < high)
        return TrainingBatch(batch.observations[keep], batch.truth[keep])

    def roll(batch: TrainingBatch, degrees: float) -> TrainingBatch:
        return rolled(batch, torch.full((len(batch.truth.betas),), math.radians(degrees)))

    rows = {
        "as simulated": plain,
        f"landmark errors times {CLEAR}": clear,
        **{f"camera rolled by {a:+d} degrees": [roll(b, a) for b in plain] for a in (-20, 20)},
        "seen from the front": [only(b, 0, 60) for b in plain],
        "seen from the side": [only(b, 60, 120) for b in plain],
        "seen from behind": [only(b, 120, 180.1) for b in plain],
        "sides mistaken in 35 %, runs of 0.3 s": mistaken(plain, 0.3),
        "sides mistaken in 35 %, runs of 1 s": mistaken(plain, 1.0),
        f"errors times {CLEAR}, and sides in runs of 1 s": mistaken(clear, 1.0),
        "not found in 20 %, runs of 0.2 s": [lost(b, in_runs(b, 0.2, 0.2, rng)) for b in plain],
    }
    clear_60 = observed(CLEAR, rate_hz=60)
    at_60_hz = {
        "60 Hz": observed(rate_hz=60),
        f"60 Hz, errors times {CLEAR}": clear_60,
        f"60 Hz, errors times {CLEAR}, and sides in runs of 1 s": mistaken(clear_60, 1.0),
    }
    for label, batches in at_60_hz.items():
        rows |= {label: batches, f"{label}, halved": [every_second(b) for b in batches]}
    runs = (free_run, partial(as_on_a_robot, body=body))
    heads = "".join(f"{head:>8s}" for head in ("MPJPE", "PA", "accel"))
    print(f"{'':58s}{heads}  {heads}   mm, mm, mm/frame^2; network, and as on a robot")
    for label, batches in rows.items():
        some = [b for b in batches if len(b.truth.betas)]
        if not some:
            print(f"{label:58s}{'no such sequence':>24s}", flush=True)
            continue
        columns = (score(model, some, body, run) for run in runs)
        text = "  ".join(
            "".join(f"{scores[name]:8.1f}" for name in ("mpjpe", "pa_mpjpe", "accel"))
            for scores in columns
        )
        print(f"{label:58s}{text}", flush=True)


if __name__ == "__main__":
    main()
