"""Threads that process the newest item and drop what they have no time for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")
P = TypeVar("P")

# An item is prepared so many times earlier than it takes: rather a little early than late.
_PREPARE_MARGIN = 1.3


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


class AheadWorker(Generic[T, P]):
    """A NewestWorker that has its items prepared: `prepare(item)` in one thread, `process` in another.

    The next item is prepared just before `process` is expected to be done with this one, from how long both
    took last. So it is the newest then, and none is prepared in vain, which would cost a busy machine more
    than waiting does. Neither function must raise.
    """

    def __init__(
        self,
        prepare: Callable[[T], P],
        process: Callable[[P], None],
        name: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`clock`: s, never goes back."""
        self._prepare, self._process, self._clock = prepare, process, clock
        self._waiting: T | None = None
        self._prepared: P | None = None
        self._busy_since: float | None = None  # s, when `process` began; None while it does not run
        self._prepare_s = self._process_s = 0.0  # how long they took last
        self._stopping = False
        self._changed = threading.Condition()
        self._threads = [
            threading.Thread(target=self._run_prepare, name=f"{name}-ahead", daemon=True),
            threading.Thread(target=self._run_process, name=name, daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, item: T) -> T | None:
        """Hands over an item; returns the one that it replaced, which is now dropped."""
        with self._changed:
            replaced, self._waiting = self._waiting, item
            self._changed.notify_all()
            return replaced

    def stop(self) -> None:
        """Drops what waits, lets the items in work finish, and ends both threads."""
        with self._changed:
            self._stopping = True
            self._waiting = self._prepared = None
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _wait_s(self) -> float | None:
        """How long the next item need not be prepared yet: 0 now, None until something changes."""
        if self._waiting is None or self._prepared is not None:
            return None
        if self._busy_since is None:
            return 0.0
        due = self._busy_since + self._process_s - _PREPARE_MARGIN * self._prepare_s
        return max(0.0, due - self._clock())

    def _run_prepare(self) -> None:
        while True:
            with self._changed:
                while not self._stopping and (wait_s := self._wait_s()) != 0.0:
                    self._changed.wait(wait_s)
                if self._stopping:
                    return
                item, self._waiting = self._waiting, None
            assert item is not None
            began = self._clock()
            prepared = self._prepare(item)
            with self._changed:
                self._prepare_s = self._clock() - began
                self._prepared = None if self._stopping else prepared
                self._changed.notify_all()

    def _run_process(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._prepared is not None or self._stopping)
                if self._stopping:
                    return
                item, self._prepared = self._prepared, None
                self._busy_since = began = self._clock()
                self._changed.notify_all()
            assert item is not None
            self._process(item)
            with self._changed:
                self._process_s = self._clock() - began
                self._busy_since = None
                self._changed.notify_all()
