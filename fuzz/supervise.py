"""Starts a worker and watches it: one that hangs is ended, and one that ended is started again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from fuzz.slot import Slot
from fuzz.worker import save_finding

_POLL_S = 0.1
_START_S = 600.0  # torch takes long to load on a busy machine
_MOST_RESTARTS = 20


@dataclass
class Result:
    """What became of the inputs of one target."""

    target: str
    engine: str
    runs: int = 0
    accepted: int = 0
    refused: int = 0
    seconds: float = 0.0
    peak_mb: float = 0.0
    findings: list[Path] = field(default_factory=list)


def fuzz(
    target: str, engine: str, runs: int, seed: int, folder: Path, hang_s: float, memory_mb: int
) -> Result:
    """`runs` inputs of one target; findings are written to `folder`.

    Args:
        hang_s: an input may take so much time of the processor; thirty times as much on the clock, because
            others may be using it.
        memory_mb: and so much memory.
    """
    folder.mkdir(parents=True, exist_ok=True)
    result = Result(target, engine)
    started = time.monotonic()
    for restart in range(_MOST_RESTARTS):
        if result.runs >= runs:
            break
        left = runs - result.runs
        _one_worker(result, engine, left, seed + restart, folder, hang_s, memory_mb)
    result.seconds = time.monotonic() - started
    result.findings = sorted(path for path in folder.iterdir() if path.suffix == ".txt")
    return result


def _one_worker(
    result: Result,
    engine: str,
    runs: int,
    seed: int,
    folder: Path,
    hang_s: float,
    memory_mb: int,
) -> None:
    """Until it has done its runs, hangs, or dies."""
    (folder / "slot").unlink(missing_ok=True)
    slot = Slot(folder / "slot")
    command = [sys.executable, "-m", "fuzz.worker", result.target, "--engine", engine]
    command += ["--runs", str(runs), "--seed", str(seed), "--folder", str(folder)]
    command += ["--memory-mb", str(memory_mb)]
    with (folder / "worker.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        hung = _watch(process, slot, hang_s)
    done, accepted, refused = slot.counts
    result.runs += done
    result.accepted += accepted
    result.refused += refused
    result.peak_mb = max(result.peak_mb, hung.peak_mb)
    data = slot.in_work
    log_text = (folder / "worker.log").read_text(errors="replace")
    if data is not None:
        kind = "hang" if hung.hung else "died"
        save_finding(folder, kind, data, f"exit status {process.returncode}\n{log_text[-6000:]}")
        result.runs += 1
    elif not done:
        raise RuntimeError(f"the worker of {result.target} does not start:\n{log_text[-4000:]}")
    (folder / "slot").unlink(missing_ok=True)


@dataclass
class _Watched:
    hung: bool = False
    peak_mb: float = 0.0


def _watch(process: subprocess.Popen, slot: Slot, hang_s: float) -> _Watched:
    watched = _Watched()
    known, since, cpu_since = (0, False), time.monotonic(), 0.0
    while process.poll() is None:
        time.sleep(_POLL_S)
        watched.peak_mb = max(watched.peak_mb, _resident_mb(process.pid))
        busy = slot.in_work is not None
        if known != (slot.counts[0], busy):
            known, since = (slot.counts[0], busy), time.monotonic()
            cpu_since = _cpu_s(process.pid)
        on_clock_s, on_cpu_s = time.monotonic() - since, _cpu_s(process.pid) - cpu_since
        if on_clock_s > (30 * hang_s if busy else _START_S) or (busy and on_cpu_s > hang_s):
            watched.hung = busy
            process.send_signal(signal.SIGUSR1)  # it writes where it is
            time.sleep(0.5)
            process.kill()
            process.wait()
    return watched


def _cpu_s(pid: int) -> float:
    """Of the processor, by all threads so far."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (OSError, IndexError):
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _resident_mb(pid: int) -> float:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0.0
    return pages * 4096 / 1024**2
