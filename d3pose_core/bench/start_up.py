"""How long a process takes to its first frame, and the memory that it needs then.

    python -m d3pose_core.bench.start_up --people 1      # prints one line of JSON

In a new process each time: what is imported and loaded once costs nothing the second time.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass

from d3pose_core.landmark_models import FULL, LANDMARKS

_FRAMES = 45
_IMAGES = 8  # of the clip: the images themselves should not weigh on the memory measured


@dataclass(frozen=True)
class StartUp:
    """One process that recovers `people` people at 640 x 480."""

    people: int
    tracked: int
    import_s: float  # from the start of the process
    load_s: float  # weights, body, landmark networks
    first_frame_s: float
    peak_mib: float  # resident, after some frames with everybody

    @property
    def total_s(self) -> float:
        """From the start of the process to the first people."""
        return self.import_s + self.load_s + self.first_frame_s


def measure(people: int, options: list[str]) -> StartUp:
    """In a new process; `options`: `--weights W` and the like. Raises D3PoseError when it fails."""
    from d3pose_core.errors import D3PoseError

    command = [sys.executable, "-m", __name__, "--people", str(people), *options]
    command += ["--began", str(time.monotonic())]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise D3PoseError(f"measuring the start failed: {done.stderr.strip()[-500:]}")
    return StartUp(**json.loads(done.stdout.splitlines()[-1]))


def _measure_here(args: argparse.Namespace) -> StartUp:
    import resource

    import torch

    from d3pose_core.camera import Intrinsics
    from d3pose_core.observe import BlazePoseObserver
    from d3pose_core.recovery import MeshRecovery

    imported = time.monotonic()
    torch.set_num_threads(1)
    observer = BlazePoseObserver(args.people + 1, landmarks=args.landmarks)
    recovery = MeshRecovery.from_pretrained(args.weights, observer=observer, runtime=args.runtime)
    loaded = time.monotonic()

    from d3pose_core.bench.crowd import crowd, read_man

    images = crowd(read_man(_IMAGES), args.people, 640, 480).images
    camera = Intrinsics.from_hfov(60.0, 640, 480)
    began = time.monotonic()
    found = recovery(images[0], 0.0, camera)
    first = time.monotonic()
    for index in range(1, _FRAMES):
        found = recovery(images[index % len(images)], index / 30, camera)
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return StartUp(
        people=args.people,
        tracked=len(found),
        import_s=round(imported - args.began, 3),
        load_s=round(loaded - imported, 3),
        first_frame_s=round(first - began, 3),
        peak_mib=round(peak_mib, 1),
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Time to the first frame, and memory.")
    parser.add_argument("--people", type=int, default=1)
    parser.add_argument("--weights", default="d3pose-landmarks")
    parser.add_argument("--runtime", default="auto")
    parser.add_argument("--landmarks", choices=LANDMARKS, default=FULL)
    parser.add_argument("--began", type=float, default=time.monotonic(), help="monotonic clock, s")
    args = parser.parse_args()
    print(json.dumps(asdict(_measure_here(args))))
