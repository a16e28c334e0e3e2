"""A process that spins until SIGINT or SIGTERM asks for its end, whatever its callbacks do."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable

import rclpy
from rclpy.executors import Executor, ExternalShutdownException

SIGNAL_CHECK_S = 0.1  # an idle process looks so often whether it is to end


def ending_on_signals() -> threading.Event:
    """An event that SIGINT and SIGTERM set, and do nothing else.

    rclpy's own handlers would take the context away at once, under the hands of a thread that publishes, and
    that can crash the process; so give its `init` SignalHandlerOptions.NO.
    """
    asked_to_end = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: asked_to_end.set())
    return asked_to_end


def spin(
    executor: Executor, asked_to_end: threading.Event, failed: Callable[[Exception], None]
) -> None:
    """Until the end is asked for. A callback that fails is told to `failed`, and the others go on."""
    while not asked_to_end.is_set() and rclpy.ok():
        try:
            executor.spin_once(timeout_sec=SIGNAL_CHECK_S)
        except ExternalShutdownException:
            return
        except Exception as error:  # rclpy's own too: its parameter service raises on unknown types
            failed(error)
