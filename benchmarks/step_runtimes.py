"""Time of one streaming step in torch and in ONNX Runtime, one thread each.

    python benchmarks/step_runtimes.py [--weights W] [--steps 200] [--people 1 4 8]

The two take turns, step by step, so that whatever else the machine does falls on both. Times are medians,
wall and of the process' CPU; on a busy machine the second is the one to read.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import torch

from d3pose_core.export.onnx_network import export_step
from d3pose_core.model.checkpoint import load_model
from d3pose_core.model.onnx_step import OnnxStep
from d3pose_core.model.tokens import ObservationBatch
from d3pose_core.skeleton import NUM_LANDMARKS

WARM_UP = 10


def made_up_frame(people: int) -> ObservationBatch:
    """Landmarks of nobody, all of them seen."""
    return ObservationBatch(
        rays=0.1 * torch.randn(people, 1, NUM_LANDMARKS, 2),
        depth_hint=0.1 * torch.randn(people, 1, NUM_LANDMARKS),
        landmarks=0.3 * torch.randn(people, 1, NUM_LANDMARKS, 3),
        visibility=torch.rand(people, 1, NUM_LANDMARKS),
        presence=torch.ones(people, 1, NUM_LANDMARKS),
        seen=torch.ones(people, 1, dtype=torch.bool),
        step_s=torch.full((people, 1), 1 / 30),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", default="d3pose-landmarks")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--people", type=int, nargs="+", default=[1, 4, 8])
    args = parser.parse_args()
    torch.set_num_threads(1)
    model = load_model(args.weights)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "step.onnx"
        export_step(model, path)
        runtimes = {"torch": model, "onnx": OnnxStep(path, threads=1)}

        print(
            f"{'people':>6}  {'runtime':8} {'wall ms':>8} {'CPU ms':>8}   median of {args.steps} steps"
        )
        for people in args.people:
            states = {name: runtime.initial_state(people) for name, runtime in runtimes.items()}
            difference = 0.0
            wall: dict[str, list[float]] = {name: [] for name in runtimes}
            cpu: dict[str, list[float]] = {name: [] for name in runtimes}
            for _ in range(WARM_UP + args.steps):
                frame = made_up_frame(people)
                rotations = {}
                for name, runtime in runtimes.items():
                    started, started_cpu = time.perf_counter(), time.process_time()
                    prediction, _, states[name] = runtime.step(frame, states[name])
                    cpu[name].append(1e3 * (time.process_time() - started_cpu))
                    wall[name].append(1e3 * (time.perf_counter() - started))
                    rotations[name] = prediction.rotations
                apart = (rotations["torch"] - rotations["onnx"]).abs().max()
                difference = max(difference, float(apart))
            for name in runtimes:
                medians = (statistics.median(times[name][WARM_UP:]) for times in (wall, cpu))
                print(f"{people:6}  {name:8} " + " ".join(f"{value:8.2f}" for value in medians))
            print(f"        rotation matrices differ by at most {difference:.1e} over the stream")


if __name__ == "__main__":
    main()
