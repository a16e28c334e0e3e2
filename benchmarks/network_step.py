"""Time of the network's streaming step by runtime, beside what the machine could do, and a window's cost.

    OMP_NUM_THREADS=1 python benchmarks/network_step.py [--weights W] [--steps 210] [--people 1 2 4 8]
        [--skip-window]

One thread, synthetic people who move. The runtimes take turns, block by block of steps, so that whatever else
the machine does falls on all of them; each runs on its own outputs, and how far their rotation matrices part
from torch's is the largest difference of the whole run. *both ways* is the step as it runs on a robot
(`d3pose_core.runtime.both_ways`); the others are its parts. *In a row* is a step right after another;
*after other work* one that finds the caches full of something else, as between two images of a camera. Two
floors are measured in the same run:

* *products*: the step's own matrix products with their weights, in ONNX Runtime, and nothing else;
* *machine*: the step's arithmetic at the speed of large matrix products, or its weights and state at the
  speed at which a matrix-vector product reads what is in a cache, whichever takes longer
  (`d3pose_core.bench.floor`).

The window: 30 frames of the image variant and of the landmark network; and as the original research code runs
its network, the whole window through all of it, twice for every frame. For that the image variant of this
package stands in, in its default size (features of 30 x 200 x 192, 48 wide, depths 2-2-6-2), which is the
original's: 60 times one pass over 30 frames, of which a few are timed. Backbones, which make features or
landmarks of images, are in none of them.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor, nn

from d3pose_core.bench import floor
from d3pose_core.bench.work import network_work
from d3pose_core.errors import InputError
from d3pose_core.model.checkpoint import load_model
from d3pose_core.model.d3pose import D3Pose
from d3pose_core.model.decoder import FEEDBACK_SIZE
from d3pose_core.model.image.config import ImageConfig
from d3pose_core.model.image.features import FrameFeatures
from d3pose_core.model.image.network import ImageD3Pose
from d3pose_core.model.tokens import ObservationBatch
from d3pose_core.runtime import AUTO, ONNX, RUNTIMES, TORCH
from d3pose_core.runtime.both_ways import BothWays
from d3pose_core.runtime.choice import StepRuntime, open_runtime
from d3pose_core.runtime.frames import OBSERVATION_NAMES, made_up_frame, moving_people
from d3pose_core.runtime.layers import Affine
from d3pose_core.runtime.onnx_graph import onnx_model
from d3pose_core.runtime.single_frame import SingleFrame, state_shapes

PRODUCTS = "*products*"
BLOCK, UNTIMED = 21, 3  # steps in a row of each runtime, and how many of them warm the caches
BOTH_WAYS = ", both ways"
OTHER_WORK_MB = 64  # more than any cache holds
WINDOW = 30
REPEATS = 5


class Products(nn.Module):
    """All matrix products of a step, each on an input of its own."""

    def __init__(self, layers: list[Affine]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        return tuple(f(x.flatten(0, 1)) for f, x in zip(self.layers, inputs, strict=True))


def products_of(model: D3Pose) -> Callable[[int], Callable[[], object]]:
    """For a number of people: a function that runs the step's products in ONNX Runtime."""
    import onnxruntime as ort

    single = SingleFrame(model)
    calls: list[tuple[Affine, torch.Size]] = []
    hooks = [
        module.register_forward_pre_hook(lambda f, args: calls.append((f, args[0].shape)))
        for module in single.modules()
        if isinstance(module, Affine)
    ]
    frame = made_up_frame(1, torch.Generator().manual_seed(0))
    state = [torch.zeros(1, *s, dtype=d) for s, d in state_shapes(model.config).values()]
    with torch.no_grad():
        single(*(getattr(frame, name) for name in OBSERVATION_NAMES), *state)
    for hook in hooks:
        hook.remove()

    def inputs(people: int) -> dict[str, Tensor]:
        return {f"x{i}": torch.randn(people, *shape) for i, (_, shape) in enumerate(calls)}

    names = [f"y{i}" for i in range(len(calls))]
    content = onnx_model(Products([f for f, _ in calls]), inputs, names, {})
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])

    def of_people(people: int) -> Callable[[], object]:
        make = ort.OrtValue.ortvalue_from_numpy
        values = {name: make(x.numpy()) for name, x in inputs(people).items()}
        return lambda: session.run_with_ort_values(names, values)

    return of_people


def timed(run: Callable[[], object]) -> float:
    """ms"""
    started = time.perf_counter()
    run()
    return 1e3 * (time.perf_counter() - started)


@dataclass
class Times:
    """ms of each step."""

    in_a_row: list[float]
    after_other_work: list[float]
    apart: float = 0.0  # largest difference of a rotation matrix' entry from torch's


def compare(
    runtimes: dict[str, StepRuntime], people: int, steps: int, products: Callable[[], object]
) -> dict[str, Times]:
    """By runtime, and of the products."""
    batch = moving_people(people, steps)
    frames = [batch[:, t : t + 1] for t in range(steps)]
    streams = {name: Stream(runtime, people) for name, runtime in runtimes.items()}
    results = {name: Times([], []) for name in (*runtimes, PRODUCTS)}
    other = torch.ones(OTHER_WORK_MB * 250_000)
    for start in range(0, steps, BLOCK):
        block = frames[start : start + BLOCK]
        said = {}
        for name, stream in streams.items():
            times = [timed(partial(stream.step, frame)) for frame in block]
            results[name].in_a_row += times[UNTIMED:]
            said[name] = stream.take_rotations()
            torchs = said[TORCH + BOTH_WAYS if name.endswith(BOTH_WAYS) else TORCH]
            results[name].apart = max(results[name].apart, float((said[name] - torchs).abs().max()))
        results[PRODUCTS].in_a_row += [timed(products) for _ in block][UNTIMED:]
        for name, stream in streams.items():
            other.mul_(1.0)
            results[name].after_other_work.append(timed(partial(stream.step, block[-1])))
            stream.take_rotations()
        other.mul_(1.0)
        results[PRODUCTS].after_other_work.append(timed(products))
    return results


class Stream:
    """A runtime with its state."""

    def __init__(self, runtime: StepRuntime, people: int) -> None:
        self._runtime, self._state = runtime, runtime.initial_state(people)
        self._rotations: list[Tensor] = []

    def step(self, frame: ObservationBatch) -> None:
        prediction, _, self._state = self._runtime.step(frame, self._state)
        self._rotations.append(prediction.rotations)

    def take_rotations(self) -> Tensor:
        """Those since the last call."""
        taken, self._rotations = torch.stack(self._rotations), []
        return taken


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def report_steps(model: D3Pose, runtimes: dict[str, StepRuntime], args: argparse.Namespace) -> None:
    work = {people: network_work(model, people) for people in args.people}
    machine = floor.measure(1, work[args.people[0]].megabytes)
    products = products_of(model)
    print(
        f"machine, one thread: {machine.gflops:.0f} GFLOP/s, weights read at {machine.cached_gbps:.0f} "
        f"GB/s, memory copied at {machine.memory_gbps:.0f} GB/s; one person's step: "
        f"{work[args.people[0]].mflop:.1f} MFLOP, {work[args.people[0]].megabytes:.1f} MB\n"
    )
    print("| people | | in a row, ms | p95 | over products | after other work, ms | from torch |")
    print("|---|---|---|---|---|---|---|")
    for people in args.people:
        results = compare(runtimes, people, args.steps, products(people))
        least = statistics.median(results[PRODUCTS].in_a_row)
        for name, times in results.items():
            median = statistics.median(times.in_a_row)
            print(
                f"| {people} | {name} | {median:.2f} | {percentile(times.in_a_row, 0.95):.2f} | "
                f"{median / least:.1f} | {statistics.median(times.after_other_work):.2f} | "
                f"{'' if name == PRODUCTS else f'{times.apart:.0e}'} |"
            )
        limit = machine.time_ms(work[people])
        print(f"| {people} | *machine* | {limit:.2f} | | {limit / least:.1f} | | |", flush=True)


@torch.inference_mode()
def report_window(landmarks: StepRuntime) -> None:
    """30 frames of one person."""
    config = ImageConfig()
    torch.manual_seed(0)
    model = ImageD3Pose(config).eval()
    random = torch.Generator().manual_seed(0)
    frames = FrameFeatures(
        torch.randn(1, WINDOW, config.tokens, config.width, generator=random),
        torch.zeros(1, WINDOW, 2),
        torch.full((1, WINDOW), 0.3),
        torch.ones(1, WINDOW, dtype=torch.bool),
        torch.full((1, WINDOW), 1 / 30),
    )
    past = torch.zeros(1, WINDOW, FEEDBACK_SIZE)
    whole = statistics.median(timed(lambda: model(frames, past)) for _ in range(REPEATS))

    def stream(runtime, frame_of) -> None:
        state = runtime.initial_state(1)
        for t in range(WINDOW):
            _, _, state = runtime.step(frame_of(t), state)

    def clip_at_once() -> None:
        """The encoder over all frames in one pass, the decoder pose by pose: equal to `stream`."""
        state = model.initial_state(1)
        encoded = model.encode(frames, state)
        for t in range(WINDOW):
            one = replace(
                encoded,
                seen=encoded.seen[:, t : t + 1],
                step_s=encoded.step_s[:, t : t + 1],
                stage_tokens=[token[:, t : t + 1] for token in encoded.stage_tokens],
            )
            state = model.decode(state.past[:, None], one, state).state

    made_up = [made_up_frame(1, random) for _ in range(WINDOW)]
    image = statistics.median(
        timed(lambda: stream(model, lambda t: frames[:, t : t + 1])) for _ in range(REPEATS)
    )
    at_once = statistics.median(timed(clip_at_once) for _ in range(REPEATS))
    body = statistics.median(
        timed(lambda: stream(landmarks, made_up.__getitem__)) for _ in range(9)
    )
    original = 2 * WINDOW * whole
    print(f"\n{WINDOW} frames of one person, one thread, backbones not included:\n")
    print("| | ms | times less |\n|---|---|---|")
    print(f"| as the original: 60 passes of {whole:.0f} ms | {original:.0f} | 1 |")
    print(f"| image variant, frame by frame, torch | {image:.0f} | {original / image:.0f} |")
    print(
        f"| image variant, encoder over the clip at once, torch | {at_once:.0f} | "
        f"{original / at_once:.0f} |"
    )
    print(
        f"| landmarks, frame by frame, {landmarks.runtime}{BOTH_WAYS} | {body:.1f} | {original / body:.0f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", default="d3pose-landmarks")
    parser.add_argument("--steps", type=int, default=210)
    parser.add_argument("--people", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--skip-window", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    model = load_model(args.weights)
    runtimes = {}
    for name in RUNTIMES:
        if name != AUTO:
            started = time.process_time()
            try:
                runtimes[name] = open_runtime(model, name)
                runtimes[name + BOTH_WAYS] = BothWays(runtimes[name])
                print(
                    f"{name}: opened and checked in {time.process_time() - started:.2f} s of CPU time"
                )
            except InputError as error:
                print(f"not measured: {error}")
    report_steps(model, runtimes, args)
    if not args.skip_window:
        report_window(runtimes.get(ONNX + BOTH_WAYS, runtimes[TORCH + BOTH_WAYS]))


if __name__ == "__main__":
    main()
