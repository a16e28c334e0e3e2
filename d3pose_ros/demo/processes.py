"""The demo's child processes: started on a graph of their own, watched, and stopped in order."""

from __future__ import annotations

import ctypes
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from d3pose_core.errors import D3PoseError
from d3pose_ros.events import parse
from d3pose_ros.transport import with_shared_memory

STOP_TIMEOUT_S = 15.0
_LOG_TAIL_LINES = 12
_POLL_PERIOD_S = 0.05

# Anything that would lead the demo's processes out of this machine, or another graph into it.
_FOREIGN_VARIABLES = (
    "ROS_LOCALHOST_ONLY",
    "ROS_DISCOVERY_SERVER",
    "ROS_STATIC_PEERS",
    "ROS_SUPER_CLIENT",
    "ROS_NAMESPACE",
    # Of the ROS wheels: a child that thinks it was bootstrapped does not find their libraries.
    "_ROS_WHEELS_BOOTSTRAP_COMPLETE",
)
_PR_SET_PDEATHSIG = 1


class ProcessFailed(D3PoseError):
    """A child process ended by itself, or never came up."""


def graph_environment(domain_id: int, log_folder: Path) -> dict[str, str]:
    """The environment of the demo's processes: a graph on this machine only, which nobody shares."""
    environment = {
        name: value for name, value in os.environ.items() if name not in _FOREIGN_VARIABLES
    }
    environment.update(
        ROS_DOMAIN_ID=str(domain_id),
        ROS_AUTOMATIC_DISCOVERY_RANGE="LOCALHOST",
        ROS_LOG_DIR=str(log_folder.resolve()),
        PYTHONUNBUFFERED="1",
    )
    # Several threads that spin are far slower than one where there are more processes than cores.
    environment.setdefault("OMP_NUM_THREADS", "1")
    return with_shared_memory(environment)


class Child:
    """One process: its events as they come, everything else it says in a log file."""

    def __init__(
        self, name: str, module: str, arguments: Sequence[str], environment: Mapping[str, str]
    ) -> None:
        """Starts `python -m module arguments`; the log goes to the environment's ROS_LOG_DIR."""
        self.name = name
        self.log_path = Path(environment["ROS_LOG_DIR"]) / f"{name}.log"
        self.log_path.unlink(missing_ok=True)  # also a link to somewhere else
        self._log: IO[str] = self.log_path.open("w", encoding="utf-8")
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=dict(environment),
            text=True,
            # Ctrl-C in the terminal is for the demo, which then stops its children in order.
            start_new_session=True,
            preexec_fn=_die_with_parent if sys.platform == "linux" else None,
        )
        self._events: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, name=f"{name}-events", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """The process' number."""
        return self._process.pid

    def tell(self, line: str) -> None:
        """Write a line to the child's stdin."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            self.check()

    def events(self, timeout_s: float = 0.0) -> list[dict[str, Any]]:
        """What it said since the last call; waits up to `timeout_s` for a first event."""
        events: list[dict[str, Any]] = []
        try:
            if timeout_s:
                events.append(self._events.get(timeout=timeout_s))
            while True:
                events.append(self._events.get_nowait())
        except queue.Empty:
            return events

    def check(self) -> None:
        """Raise ProcessFailed, with the end of its log, if it has ended."""
        status = self._process.poll()
        if status is not None:
            self._reader.join()
            raise ProcessFailed(
                f"the {self.name} process ended with status {status}; {self.log_tail()}"
            )

    def log_tail(self) -> str:
        """The end of the log, with the path of the file, for a message."""
        self._log.flush()
        lines = self.log_path.read_text(encoding="utf-8", errors="replace").splitlines()
        shown = "\n  ".join(lines[-_LOG_TAIL_LINES:]) or "(empty)"
        return f"the end of its log {self.log_path}:\n  {shown}"

    def wait(self, timeout_s: float) -> bool:
        """Whether it ended by itself within so long."""
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def stop(self) -> None:
        """Interrupt it as Ctrl-C would, and wait; kill it, and say so, if that does not help."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            if not self.wait(STOP_TIMEOUT_S):
                print(
                    f"d3pose: the {self.name} process did not end within {STOP_TIMEOUT_S:g} s "
                    f"of an interrupt and is killed; its log is {self.log_path}",
                    file=sys.stderr,
                )
                self._process.kill()
                self._process.wait()
        self._reader.join()
        for stream in (self._process.stdin, self._process.stdout, self._log):
            if stream is not None:
                try:
                    stream.close()
                except BrokenPipeError:
                    continue

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            event = parse(line)
            if event is not None:
                self._events.put(event)
            else:
                self._log.write(line)
                self._log.flush()


def wait_until(
    condition: Callable[[], bool], children: Sequence[Child], timeout_s: float, what: str
) -> None:
    """Call `condition` until it is true; ProcessFailed if a child ends or it takes too long."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        for child in children:
            child.check()
        if time.monotonic() > deadline:
            logs = "\n".join(f"{child.name}: {child.log_tail()}" for child in children)
            raise ProcessFailed(f"waited {timeout_s:g} s in vain for {what}\n{logs}")
        time.sleep(_POLL_PERIOD_S)


def _die_with_parent() -> None:
    """In the child, before it becomes the program: end when the demo is killed outright."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
