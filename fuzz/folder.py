"""Files for targets that read files: one folder a process, in memory where there is such a place."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import lru_cache
from pathlib import Path


@lru_cache(maxsize=1)
def folder() -> Path:
    """An empty folder of this process; gone when it ends, unless it is killed."""
    memory = Path("/dev/shm")
    path = Path(tempfile.mkdtemp(prefix="d3pose-fuzz-", dir=memory if memory.is_dir() else None))
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path


def written(name: str, data: bytes) -> Path:
    """A file with these bytes."""
    path = folder() / name
    path.write_bytes(data)
    return path
