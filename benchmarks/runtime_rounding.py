"""How far torch in single precision and ONNX Runtime part from torch in double precision.

    OMP_NUM_THREADS=1 python benchmarks/runtime_rounding.py [--weights W] [--streams 4] [--people 8]

Each on its own outputs, over 210 frames, of synthetic people who move and of noise: the largest difference
of an entry of a rotation matrix. It tells rounding, which is every runtime's, from a mistake, which is one's.
"""

from __future__ import annotations

import argparse

import torch

from d3pose_core.model.checkpoint import load_model
from d3pose_core.model.tokens import ObservationBatch
from d3pose_core.runtime.choice import StepRuntime, open_runtime
from d3pose_core.runtime.frames import in_double, made_up_frame, moving_people

FRAMES = 210


def frames_of(kind: str, people: int, seed: int) -> list[ObservationBatch]:
    if kind == "people":
        batch = moving_people(people, FRAMES, seed)
        return [batch[:, t : t + 1] for t in range(FRAMES)]
    random = torch.Generator().manual_seed(seed)
    return [made_up_frame(people, random) for _ in range(FRAMES)]


def rotations(step: StepRuntime, frames: list[ObservationBatch]) -> torch.Tensor:
    """[FRAMES, B, 1, 24, 3, 3], double precision."""
    state, said = step.initial_state(len(frames[0].seen)), []
    for frame in frames:
        prediction, _, state = step.step(frame, state)
        said.append(prediction.rotations.double())
    return torch.stack(said)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", default="d3pose-landmarks")
    parser.add_argument("--streams", type=int, default=4)
    parser.add_argument("--people", type=int, default=8)
    args = parser.parse_args()
    torch.set_num_threads(1)
    model = load_model(args.weights)
    torch_step, onnx_step = (open_runtime(model, name) for name in ("torch", "onnx"))
    torch.set_default_dtype(torch.float64)
    exact = open_runtime(load_model(args.weights).double(), "torch")
    torch.set_default_dtype(torch.float32)
    print("| | stream | torch, single | onnx | between the two |\n|---|---|---|---|---|")
    for kind in ("people", "noise"):
        for seed in range(args.streams):
            frames = frames_of(kind, args.people, seed)
            a, b = rotations(torch_step, frames), rotations(onnx_step, frames)
            torch.set_default_dtype(torch.float64)
            c = rotations(exact, [in_double(frame) for frame in frames])
            torch.set_default_dtype(torch.float32)
            apart = (float((x - y).abs().max()) for x, y in ((a, c), (b, c), (a, b)))
            print(
                f"| {kind} | {seed} | " + " | ".join(f"{d:.1e}" for d in apart) + " |", flush=True
            )


if __name__ == "__main__":
    main()
