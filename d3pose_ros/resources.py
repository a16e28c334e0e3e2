"""What the node runs on and how much memory it takes, for the diagnostics."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

from d3pose_core.machine import processor_name

NO_CUDA = "no such CUDA device"
_MIB = 2**20
_STATM = Path("/proc/self/statm")


def usage(device: str) -> dict[str, str]:
    """Name and memory of the device, as of now; "" where the platform does not say.

    "memory MiB" is the resident memory of the whole process, "GPU memory MiB" what torch holds on the
    device, its cache included.
    """
    values = {"device name": device_name(device), "memory MiB": _resident_mib()}
    if device.startswith("cuda"):
        import torch

        if device_name(device) != NO_CUDA:
            values["GPU memory MiB"] = f"{torch.cuda.memory_reserved(device) / _MIB:.0f}"
    return values


@lru_cache(maxsize=4)
def device_name(device: str) -> str:
    """The name of the processor or GPU behind a torch device."""
    if device.startswith("cuda"):
        import torch

        try:
            return torch.cuda.get_device_name(device)
        except (AssertionError, RuntimeError, ValueError):  # no CUDA, or no such number
            return NO_CUDA
    return processor_name()


def _resident_mib() -> str:
    try:
        pages = int(_STATM.read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return ""
    return f"{pages * os.sysconf('SC_PAGE_SIZE') / _MIB:.0f}"
