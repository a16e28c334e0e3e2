"""What a process holds, as Linux counts it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_KIB_PER_MIB = 1024


@dataclass(frozen=True)
class ProcessSample:
    """A process at one moment."""

    resident_mib: float  # with the shared memory of the transport
    private_mib: float  # without files and shared memory: what a leak grows
    threads: int
    descriptors: int
    cpu_s: float  # of all its threads, since its start

    @classmethod
    def of(cls, pid: int) -> ProcessSample:
        """Raises FileNotFoundError or ProcessLookupError when there is no such process."""
        folder = Path(f"/proc/{pid}")
        status = dict(
            line.split(":", 1) for line in (folder / "status").read_text().splitlines() if line
        )
        times = (folder / "stat").read_text().rpartition(")")[2].split()
        return cls(
            resident_mib=_mib(status["VmRSS"]),
            private_mib=_mib(status["RssAnon"]),
            threads=int(status["Threads"]),
            descriptors=len(os.listdir(folder / "fd")),
            cpu_s=(int(times[11]) + int(times[12])) / os.sysconf("SC_CLK_TCK"),
        )


def _mib(text: str) -> float:
    return int(text.split()[0]) / _KIB_PER_MIB
