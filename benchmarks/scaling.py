"""`d3pose process` with more and more workers on this machine, and what a fleet of cameras would need.

    python -m benchmarks.scaling                      # 1 and 2 workers, two minutes
    python -m benchmarks.scaling --workers 1 2 4 8 --frames 300 --json out/scaling.json
    python -m benchmarks.scaling --cameras 100 --rate 15    # the fleet at the end

Bags of the demo clip (two people), 640x480, JPEG and raw images. Throughput by the clock is for a machine
that has nothing else to do; processor time for each frame is told besides, which other work disturbs less.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from d3pose_core.recording import atomic_path
from test.helpers.clip_bag import write_demo_bag

ROOT = Path(__file__).resolve().parents[1]
SHORT_FRAMES = 10  # of the recordings that show what a recording costs besides its frames
GIB, TIB = 2**30, 2**40


@dataclass(frozen=True)
class Measured:
    """One call of `d3pose process`."""

    workers: int
    recordings: int
    frames: int
    wall_s: float  # of the processing, as the command says
    cpu_s: float  # of all its processes
    peak_mib: float  # of its largest process

    @property
    def frames_per_s(self) -> float:
        return self.frames / self.wall_s


@dataclass(frozen=True)
class Costs:
    """What a fleet's needs are worked out from."""

    cpu_s_per_frame: float
    cpu_s_per_recording: float  # loading the weights and the like
    cpu_s_per_worker: float  # starting a process
    peak_mib: float
    jpeg_bytes_per_frame: float
    raw_bytes_per_frame: float
    result_bytes_per_frame: float


@dataclass(frozen=True)
class Fleet:
    """Cameras that record all the time, in recordings of some minutes."""

    cameras: int
    rate_hz: float
    minutes: float

    def needs(self, costs: Costs) -> dict[str, float]:
        """By the formulas of docs/scaling.md."""
        frames = self.rate_hz * 60 * self.minutes  # of one recording
        per_frame = costs.cpu_s_per_frame + costs.cpu_s_per_recording / frames
        cores_each = self.rate_hz * per_frame
        cores = self.cameras * cores_each
        frames_per_s = self.cameras * self.rate_hz
        return {
            "frames/s of one core": 1 / per_frame,
            "core hours for one camera hour": cores_each,
            "cores that keep up with all cameras": math.ceil(cores),
            "memory of their processes, GiB": math.ceil(cores) * costs.peak_mib / 1024,
            "images in, MiB/s": frames_per_s * costs.jpeg_bytes_per_frame / 2**20,
            "images in as raw, MiB/s": frames_per_s * costs.raw_bytes_per_frame / 2**20,
            "results out, MiB/s": frames_per_s * costs.result_bytes_per_frame / 2**20,
            "images in a day, TiB": 86400 * frames_per_s * costs.jpeg_bytes_per_frame / TIB,
            "results in a day, GiB": 86400 * frames_per_s * costs.result_bytes_per_frame / GIB,
            "read by one core, Mbit/s": 8e-6 * costs.jpeg_bytes_per_frame / per_frame,
        }


def process(bags: list[Path], out: Path, workers: int) -> Measured:
    """Runs the command on the bags. Raises RuntimeError if a recording fails."""
    command = [sys.executable, "-m", "d3pose_core.cli.main", "process", *map(str, bags)]
    command += ["--out", str(out), "--workers", str(workers)]
    child = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    totals = json.loads((out / "process.json").read_text())
    if child.returncode or totals["failed"]:
        raise RuntimeError(f"d3pose process failed: {totals['failed']}")
    return Measured(
        workers=workers,
        recordings=totals["done"],
        frames=totals["frames"],
        wall_s=totals["wall_s"],
        cpu_s=used.ru_utime + used.ru_stime,
        peak_mib=used.ru_maxrss / 1024,
    )


def size_of(folder: Path) -> int:
    """Bytes of all files in it."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def measure(args: argparse.Namespace, folder: Path) -> tuple[list[Measured], Costs]:
    """Makes the bags and processes them, by each number of workers."""
    count = args.recordings or 2 * max(args.workers)
    # All bags are alike, so that it does not matter who gets which.
    long = [folder / f"long{index}" for index in range(count)]
    write_demo_bag(long[0], args.frames, compressed=True)
    write_demo_bag(folder / "raw", SHORT_FRAMES)
    short = folder / "short0", folder / "short1"
    write_demo_bag(short[0], SHORT_FRAMES, compressed=True)
    for copy, first in ((short[1], short[0]), *((bag, long[0]) for bag in long[1:])):
        copy.mkdir()
        for file in first.iterdir():
            (copy / file.name).hardlink_to(file)
    results = []
    for workers in args.workers:
        results.append(process(long, folder / f"out{workers}", workers))
        print_row(results[-1], results[0])
    # Three equations for what a frame, a recording and a process cost.
    one = process([short[0]], folder / "one", 1)
    two = process(list(short), folder / "two", 1)
    single = process([long[0]], folder / "single", 1)
    per_frame = (single.cpu_s - one.cpu_s) / (single.frames - one.frames)
    per_recording = max(0.0, two.cpu_s - one.cpu_s - SHORT_FRAMES * per_frame)
    costs = Costs(
        cpu_s_per_frame=per_frame,
        cpu_s_per_recording=per_recording,
        cpu_s_per_worker=max(0.0, one.cpu_s - per_recording - SHORT_FRAMES * per_frame),
        peak_mib=max(each.peak_mib for each in results),
        jpeg_bytes_per_frame=size_of(long[0]) / args.frames,
        raw_bytes_per_frame=size_of(folder / "raw") / SHORT_FRAMES,
        result_bytes_per_frame=size_of(folder / "single" / long[0].name) / args.frames,
    )
    return results, costs


HEADER = ("workers", "recordings", "frames", "s", "frames/s", "against one", "CPU ms a frame")


def print_row(one: Measured, first: Measured) -> None:
    """A line of the table."""
    speed_up = one.frames_per_s / first.frames_per_s * first.workers
    cells = (
        one.workers,
        one.recordings,
        one.frames,
        f"{one.wall_s:.1f}",
        f"{one.frames_per_s:.1f}",
        f"{speed_up:.2f}",
        f"{1e3 * one.cpu_s / one.frames:.1f}",
    )
    print("| " + " | ".join(map(str, cells)) + " |", flush=True)


def main() -> int:
    """Prints Markdown tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--frames", type=int, default=240, help="of each bag")
    parser.add_argument("--recordings", type=int, help="default: twice the most workers")
    parser.add_argument("--cameras", type=int, default=100, help="of the fleet")
    parser.add_argument("--rate", type=float, default=15.0, help="of its cameras, Hz")
    parser.add_argument("--minutes", type=float, default=5.0, help="of its recordings")
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args()
    if args.frames <= SHORT_FRAMES:
        parser.error(f"--frames must be more than {SHORT_FRAMES}, got {args.frames}")
    with tempfile.TemporaryDirectory() as folder:
        print("| " + " | ".join(HEADER) + " |\n|" + "---|" * len(HEADER), flush=True)
        results, costs = measure(args, Path(folder))
    print("\n| cost | |\n|---|---|")
    for name, value in asdict(costs).items():
        print(f"| {name.replace('_', ' ')} | {value:.4g} |")
    fleet = Fleet(args.cameras, args.rate, args.minutes)
    needs = fleet.needs(costs)
    print(f"\n| {fleet.cameras} cameras at {fleet.rate_hz:g} Hz | |\n|---|---|")
    for name, value in needs.items():
        print(f"| {name} | {value:.4g} |")
    print(f"\nload of the machine {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    if args.json:
        content = {
            "measured": [asdict(each) for each in results],
            "costs": asdict(costs),
            "fleet": {**asdict(fleet), **needs},
        }
        with atomic_path(args.json) as partial:
            partial.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
