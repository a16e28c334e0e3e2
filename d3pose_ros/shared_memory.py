"""The shared memory of Fast DDS: what killed processes leave in it, and that there is too little.

Every process holds a segment there, 34 MB with our profile, which is real memory. One that is killed cannot
give it back, so that a node that is killed and started again, over and over, would eat the machine's memory.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from d3pose_ros.transport import PROFILE_VARIABLE

FOLDER = Path("/dev/shm")
# A segment that is being made is not locked yet.
_MADE_AFTER_S = 60.0
# What a process needs, bytes: one segment, and some kB for its ports.
_SEGMENT, _SEGMENT_OF_PROFILE = 2**20, 36 * 2**20


def prepare(environment: Mapping[str, str] = os.environ, folder: Path = FOLDER) -> list[str]:
    """Before ROS is initialised: frees what killed processes left.

    Returns what a user should know, a sentence each.
    """
    remarks = []
    if freed := reclaim(folder):
        remarks.append(
            f"freed {freed / 2**20:.0f} MiB of shared memory that killed ROS processes left in {folder}"
        )
    needed = _SEGMENT_OF_PROFILE if environment.get(PROFILE_VARIABLE) else _SEGMENT
    left = room(folder)
    if left < needed:
        remarks.append(
            f"{folder} has {left / 2**20:.1f} MiB left, of {needed / 2**20:.0f} that Fast DDS needs: images "
            "come by UDP, which is slower and loses large ones unless both sides are reliable. Free or "
            f"enlarge it (`ls -lS {folder}`; containers: docker run --shm-size=512m)"
        )
    return remarks


def room(folder: Path = FOLDER) -> int:
    """Bytes that are left; plenty where there is no such folder, because then nothing uses it."""
    try:
        status = os.statvfs(folder)
    except OSError:
        return 2**63
    return status.f_bavail * status.f_frsize


def reclaim(folder: Path = FOLDER) -> int:
    """Removes the segments whose processes are gone, as `fastdds shm clean` does; returns their bytes.

    A living process holds the lock of its segment. What belongs to other users stays.
    """
    freed = 0
    for lock, segment in _segments(folder):
        try:
            if time.time() - lock.stat().st_mtime < _MADE_AFTER_S:
                continue
            with lock.open("r+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                size = segment.stat().st_blocks * 512 if segment.exists() else 0
                segment.unlink(missing_ok=True)
                lock.unlink(missing_ok=True)
                freed += size
        except OSError:  # held, not ours, or just removed by somebody else
            continue
    return freed


def _segments(folder: Path) -> Iterator[tuple[Path, Path]]:
    """Each segment's lock and memory. Ports, which are small and shared, are left to Fast DDS."""
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return
    for name in names:
        if name.startswith("fastdds_") and name.endswith("_el") and "_port" not in name:
            yield folder / name, folder / name[: -len("_el")]
