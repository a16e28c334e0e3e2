"""Times of the free bodies: joints only, landmarks, and the whole mesh, for 1, 4 and 8 people; one thread.

python benchmarks/body_speed.py
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial

import torch

from d3pose_core.body import FREE_BODIES, load_body

REPEATS = 100


def median_ms(job: Callable[[], object]) -> float:
    """Of the thread's processor time."""
    times = []
    for _ in range(REPEATS):
        began = time.thread_time()
        job()
        times.append(1e3 * (time.thread_time() - began))
    return statistics.median(times[REPEATS // 10 :])


@torch.inference_mode()
def main() -> None:
    """Prints a table."""
    torch.set_num_threads(1)
    random = torch.Generator().manual_seed(0)
    print("body       vertices   people   joints ms   landmarks ms   mesh ms")
    for name in FREE_BODIES:
        body = load_body(name)
        for people in (1, 4, 8):
            shapes = ((people, 3), (people, 23, 3), (people, 10), (people, 3))
            pose = [0.3 * torch.randn(shape, generator=random) for shape in shapes]
            times = [median_ms(partial(way, *pose)) for way in (body.joints, body.landmarks, body)]
            columns = f"{times[0]:11.2f} {times[1]:14.2f} {times[2]:9.2f}"
            print(f"{name:10} {body.num_vertices:8} {people:8} {columns}")


if __name__ == "__main__":
    main()
