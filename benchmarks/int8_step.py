"""What int8 weights would gain and cost: the streaming step in ONNX Runtime with and without them.

    OMP_NUM_THREADS=1 python benchmarks/int8_step.py SHARD.npz [--sequences 64] [--weights W]

The matrix products of the graph are quantized dynamically (`onnxruntime.quantization`, weights int8 by
column, activations uint8 when they are met); the rest stays float32. Printed are the median times of steps in
turns, and the errors on held-out people, each on its own outputs as on a robot. Needs the package onnx.
"""

from __future__ import annotations

import argparse
import logging
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path

import torch
from onnxruntime.quantization import QuantType, quantize_dynamic

from d3pose_core.body import load_body
from d3pose_core.data.motions import MotionLibrary
from d3pose_core.evaluation.held_out import free_run, held_out_batches, score_run
from d3pose_core.model.checkpoint import load_model
from d3pose_core.runtime.frames import moving_people
from d3pose_core.runtime.onnx_step import OnnxStep, step_as_onnx

STEPS = 210
PEOPLE = (1, 8)
SCORES = ("mpjpe", "pa_mpjpe", "pve", "accel")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shards", nargs="+", help="motion shards (docs/training.md)")
    parser.add_argument("--sequences", type=int, default=64, help="of 3 s each")
    parser.add_argument("--weights", default="d3pose-landmarks")
    args = parser.parse_args()
    torch.set_num_threads(1)
    logging.getLogger().setLevel(logging.ERROR)  # the quantizer's advice on images

    steps = both_steps(args.weights)
    for people in PEOPLE:
        times = in_turns(steps, people)
        print(f"{people} people: " + ", ".join(f"{k} {ms:.2f} ms" for k, ms in times.items()))

    body = load_body("free-low")
    batches = held_out_batches(MotionLibrary(args.shards, "test"), body, args.sequences)
    scores = {
        name: score_run(partial(free_run, step), batches, body) for name, step in steps.items()
    }
    for key in SCORES:
        plain, quantized = (scores[name][key] for name in steps)
        change = 100 * (quantized / plain - 1)
        print(f"{key:9s} float32 {plain:6.2f}  int8 {quantized:6.2f}  {change:+.1f} %")


def both_steps(weights: str) -> dict[str, OnnxStep]:
    plain = step_as_onnx(load_model(weights))
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "float32.onnx"), Path(folder, "int8.onnx")
        source.write_bytes(plain)
        quantize_dynamic(source, target, weight_type=QuantType.QInt8, per_channel=True)
        quantized = target.read_bytes()
    print(f"graph: float32 {len(plain) / 1e6:.1f} MB, int8 {len(quantized) / 1e6:.1f} MB")
    return {"float32": OnnxStep(plain), "int8": OnnxStep(quantized)}


def in_turns(steps: dict[str, OnnxStep], people: int) -> dict[str, float]:
    """Median time of a step, ms, by name."""
    batch = moving_people(people, STEPS)
    states = {name: step.initial_state(people) for name, step in steps.items()}
    times: dict[str, list[float]] = {name: [] for name in steps}
    for t in range(STEPS):
        for name, step in steps.items():
            started = time.perf_counter()
            _, _, states[name] = step.step(batch[:, t : t + 1], states[name])
            times[name].append(1e3 * (time.perf_counter() - started))
    return {name: statistics.median(values) for name, values in times.items()}


if __name__ == "__main__":
    main()
