"""A thread that processes the newest item and drops what it has no time for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class NewestWorker(Generic[T]):
    """Calls `process(item)` in its own thread. While it is busy only the newest submitted item waits.

    `process` must not raise: an exception ends the thread, and the interpreter reports it.
    """

    def __init__(self, process: Callable[[T], None], name: str) -> None:
        self._process = process
        self._waiting: T | None = None
        self._stopping = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, item: T) -> T | None:
        """Hands over an item; returns the one that it replaced, which is now dropped."""
        with self._changed:
            replaced, self._waiting = self._waiting, item
            self._changed.notify()
            return replaced

    def stop(self) -> None:
        """Drops what waits, lets the item in work finish, and ends the thread."""
        with self._changed:
            self._stopping = True
            self._waiting = None
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                while self._waiting is None and not self._stopping:
                    self._changed.wait()
                if self._stopping:
                    return
                item, self._waiting = self._waiting, None
            assert item is not None
            self._process(item)
