"""What this machine can do at best: float32 arithmetic, and reading memory.

    python -m d3pose_core.bench.floor --threads 2 --cached-mb 12.5      # prints one line of JSON

Measured in a process of its own, where the BLAS library has one thread and no torch threads spin; several
threads are several independent products, as no network could do better. Rates are the best of many short
runs: whatever else the machine does can only lower them.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass

import numpy as np

from d3pose_core.bench.work import Work
from d3pose_core.errors import D3PoseError

_GEMM_SIDES = (384, 768)
_MEMORY_MB = 128.0  # more than any cache holds, to be copied by all threads together
_BLAS_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Floor:
    """Rates of `threads` threads together."""

    threads: int
    gflops: float  # float32 matrix products, 10^9 operations/s (a multiplication and an addition are two)
    cached_gbps: float  # 10^9 bytes/s of weights read again and again (matrix times vector)
    memory_gbps: float  # 10^9 bytes/s read and written by a copy that fits into no cache

    def time_ms(self, work: Work, in_cache: bool = True) -> float:
        """The least time that the work can take: its arithmetic or its bytes, whichever takes longer."""
        rate = self.cached_gbps if in_cache else self.memory_gbps
        return max(work.mflop / self.gflops, work.megabytes / rate)


def measure(threads: int, cached_mb: float, seconds: float = 0.6) -> Floor:
    """In a new process; `cached_mb` are the network's weights, `seconds` for each of the rates.

    Raises D3PoseError when the process fails.
    """
    command = [sys.executable, "-m", __name__, "--threads", str(threads)]
    command += ["--cached-mb", f"{cached_mb:g}", "--seconds", f"{seconds:g}"]
    environment = {**os.environ, **dict.fromkeys(_BLAS_THREADS, "1")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise D3PoseError(f"measuring the machine's floor failed: {done.stderr.strip()[-500:]}")
    return Floor(**json.loads(done.stdout))


def _measure_here(threads: int, cached_mb: float, seconds: float) -> Floor:
    with ThreadPoolExecutor(threads) as pool:

        def rate(amount: float, job: Callable[[int], object]) -> float:
            """Best amount per s of `threads` jobs side by side."""
            best, end = 0.0, time.perf_counter() + seconds
            while time.perf_counter() < end:
                started = time.perf_counter()
                for future in [pool.submit(job, number) for number in range(threads)]:
                    future.result()
                best = max(best, amount / (time.perf_counter() - started))
            return best

        rng = np.random.default_rng(0)

        def matrices(*shape: int) -> list[np.ndarray]:
            return [rng.random(shape, np.float32) for _ in range(threads)]

        gflops = 0.0
        for side in _GEMM_SIDES:
            a, b, out = matrices(side, side), matrices(side, side), matrices(side, side)
            repeats = max(1, 2 * _GEMM_SIDES[-1] ** 3 // side**3)  # else threads meet too often

            def multiply(number: int, a=a, b=b, out=out, repeats=repeats) -> None:
                for _ in range(repeats):
                    np.matmul(a[number], b[number], out=out[number])

            gflops = max(gflops, rate(2e-9 * threads * repeats * side**3, multiply))

        rows = max(1, int(cached_mb * 1e6 / 4 / 1024 / threads))
        weights, vector, result = matrices(rows, 1024), matrices(1024), matrices(rows)
        passes = 8

        def read(number: int) -> None:
            for _ in range(passes):
                np.matmul(weights[number], vector[number], out=result[number])

        cached = rate(1e-9 * threads * passes * weights[0].nbytes, read)

        size = int(_MEMORY_MB * 1e6 / 4 / threads)
        source, target = matrices(size), matrices(size)
        memory = rate(2e-9 * threads * source[0].nbytes, lambda i: np.copyto(target[i], source[i]))
    return Floor(threads, round(gflops, 1), round(cached, 1), round(memory, 1))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--cached-mb", type=float, default=10.0)
    parser.add_argument("--seconds", type=float, default=0.6)
    args = parser.parse_args()
    print(json.dumps(asdict(_measure_here(args.threads, args.cached_mb, args.seconds))))
