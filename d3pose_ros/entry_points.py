"""The executables `d3pose_node` and `d3pose_cameras`: how their processes begin and end."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import NoReturn

INTERRUPTED = 130


def end_process(status: int) -> NoReturn:
    """Ends the process at once, after `main` has closed everything that others see.

    Python's own teardown frees every object of torch's modules one by one, for nothing: on a busy machine
    that takes longer than launch waits after SIGINT.
    """
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # a daemon's may be closed
            with suppress(OSError):  # or be a pipe that nobody reads any more
                stream.flush()
    os._exit(status)


def node() -> NoReturn:
    """`d3pose_node`."""
    try:
        from d3pose_ros.node import main
    except KeyboardInterrupt:  # while torch is being loaded
        end_process(INTERRUPTED)
    end_process(main())


def cameras() -> NoReturn:
    """`d3pose_cameras`."""
    try:
        from d3pose_ros.cameras import main
    except KeyboardInterrupt:
        end_process(INTERRUPTED)
    end_process(main())
