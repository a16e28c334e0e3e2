"""/diagnostics: what became of every image, how long it took, and what to do when something is wrong.

docs/diagnostics.md describes every value and level.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic

import numpy as np
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from d3pose_ros.parameters import NodeParameters

# Rates and latencies are those of the last seconds or images.
RATE_WINDOW_S = 5.0
LATENCY_WINDOW = 200
# The network looks back over so many frames.
WINDOW_FRAMES = 30
# An image from the future, or older than any delay of a live camera, was stamped by another clock than the
# node's: mostly when a bag was recorded.
CLOCK_SKEW_MS, ANOTHER_CLOCK_MS = 1e3, 60e3

AGE = "age at publish"

# Causes that are not the fault of an image.
BUSY = "busy"
NO_SUBSCRIBER = "no_subscriber"
WAITING_FOR_CAMERA_INFO = "waiting_for_camera_info"
DEACTIVATED = "deactivated"
_HARMLESS = frozenset((BUSY, NO_SUBSCRIBER, WAITING_FOR_CAMERA_INFO, DEACTIVATED))


@dataclass(frozen=True)
class NodeState:
    """What the node knows about itself when diagnostics are published."""

    lifecycle: str  # "unconfigured", "inactive", "active", "finalized"
    failure: str = ""  # why configuring failed last, if it did
    calibration: str = ""  # what is wrong with the camera_info in use, if anything
    silence: str = "check the topic, its QoS and the camera driver"  # why no image may be coming
    graph: Sequence[str] = ()  # what is wrong with the nodes and topics about this one
    thresholds: NodeParameters = field(default_factory=NodeParameters)
    settings: Mapping[str, str] = field(default_factory=dict)  # weights, device, ...


class FrameStatistics:
    """Counts images and times; called from the executor and from the worker thread.

    Every received image is sooner or later counted once more: as processed, or as dropped by one cause.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        """`clock`: s, never goes back."""
        self._clock = clock
        self._lock = threading.Lock()
        self._started = self._last_received_s = clock()
        self._received = 0
        self._processed = 0
        self._people = 0
        self._dropped: Counter[str] = Counter()
        self._events: Counter[str] = Counter()
        self._window: deque[frozenset[int]] = deque(maxlen=WINDOW_FRAMES)
        self._recent: dict[str, deque[float]] = {
            name: deque() for name in ("received", "processed", BUSY, "bad")
        }
        self._latencies: dict[str, deque[float]] = {}

    def activated(self) -> None:
        """From now on images are expected; those seen before are no part of anybody's window."""
        with self._lock:
            self._started = self._last_received_s = self._clock()
            self._window.clear()
            self._latencies.clear()
            for times in self._recent.values():
                times.clear()

    def deactivated(self) -> None:
        """No image is in work any more: those that were waiting are dropped."""
        with self._lock:
            waiting = self._received - self._processed - self._dropped.total()
            if waiting > 0:
                self._dropped[DEACTIVATED] += waiting

    def received(self) -> None:
        """An image came in."""
        with self._lock:
            self._received += 1
            self._last_received_s = self._clock()
            self._mark("received")

    def dropped(self, cause: str) -> None:
        """An image was not processed."""
        with self._lock:
            self._dropped[cause] += 1
            if cause == BUSY:
                self._mark(BUSY)
            elif cause not in _HARMLESS:
                self._mark("bad")

    def happened(self, event: str) -> None:
        """Something to be counted that ends no image, e.g. "depth/used"."""
        with self._lock:
            self._events[event] += 1

    def processed(
        self, track_ids: Collection[int], latencies_ms: Mapping[str, float], uncalibrated: str = ""
    ) -> None:
        """An image was processed.

        Args:
            track_ids: of the people in it.
            latencies_ms: times by stage.
            uncalibrated: why its camera is not known as it should be, by cause; "" if it is.
        """
        with self._lock:
            self._processed += 1
            self._people = len(track_ids)
            self._window.append(frozenset(track_ids))
            if uncalibrated:
                self._events[f"uncalibrated/{uncalibrated}"] += 1
            self._mark("processed")
            for stage, latency in latencies_ms.items():
                self._latencies.setdefault(stage, deque(maxlen=LATENCY_WINDOW)).append(latency)

    def message(
        self, stamp: Time, name: str, hardware_id: str, state: NodeState
    ) -> DiagnosticArray:
        """The report as of now; `stamp` is the node's clock, because it belongs to no image."""
        with self._lock:
            level, text = self._assess(state)
            values = {
                "state": state.lifecycle,
                **self._counts(),
                **self._window_fill(),
                **self._percentiles(),
                **state.settings,
            }
        status = DiagnosticStatus(
            level=level,
            name=name,
            message=text,
            hardware_id=hardware_id,
            values=[KeyValue(key=key, value=value) for key, value in values.items()],
        )
        array = DiagnosticArray(status=[status])
        array.header.stamp = stamp
        return array

    def _mark(self, name: str) -> None:
        self._recent[name].append(self._clock())

    def _recent_count(self, name: str) -> int:
        times = self._recent[name]
        while times and times[0] < self._clock() - RATE_WINDOW_S:
            times.popleft()
        return len(times)

    def _rate(self, name: str) -> float:
        elapsed = min(max(self._clock() - self._started, 1e-3), RATE_WINDOW_S)
        return self._recent_count(name) / elapsed

    def _assess(self, state: NodeState) -> tuple[bytes, str]:
        """The worst level with one sentence that says what to do."""
        if state.lifecycle != "active":
            if state.failure:
                return DiagnosticStatus.ERROR, f"{state.lifecycle}: {state.failure}"
            return DiagnosticStatus.OK, state.lifecycle
        problems = list(self._problems(state))
        for wanted in (DiagnosticStatus.ERROR, DiagnosticStatus.WARN):
            for level, text in problems:
                if level == wanted:
                    return level, text
        return DiagnosticStatus.OK, f"{self._people} people"

    def _problems(self, state: NodeState) -> Iterator[tuple[bytes, str]]:
        """Everything that is wrong; of one level, the first is the one to be mended first."""
        limits = state.thresholds
        warn, error = DiagnosticStatus.WARN, DiagnosticStatus.ERROR
        for problem in state.graph:
            yield warn, problem
        silence = self._clock() - self._last_received_s
        for level, limit in ((error, limits.no_image_error_s), (warn, limits.no_image_warn_s)):
            if 0 < limit < silence:
                yield level, f"no image: {state.silence}"
        received = max(self._recent_count("received"), 1)
        bad = self._recent_count("bad") / received
        for level, limit in (
            (error, limits.bad_image_error_ratio),
            (warn, limits.bad_image_warn_ratio),
        ):
            if 0 < limit < bad:
                yield level, f"{bad:.0%} of the images cannot be used: see dropped/* and the log"
        if state.calibration:
            yield warn, state.calibration
        busy = self._recent_count(BUSY) / received
        if 0 < limits.busy_warn_ratio < busy:
            yield warn, f"{busy:.0%} of the images come faster than they can be processed"
        yield from self._age_problems(limits.age_warn_ms, limits.age_error_ms)

    def _age_problems(self, warn_ms: float, error_ms: float) -> Iterator[tuple[bytes, str]]:
        ages = list(self._latencies.get(AGE, ()))
        if not ages:
            return
        median, p95 = np.percentile(ages, (50, 95))
        if not -CLOCK_SKEW_MS < median < ANOTHER_CLOCK_MS:
            if warn_ms or error_ms:
                text = (
                    f"images are stamped {median * 1e-3:.0f} s before the node's clock: for a bag, play "
                    "with --clock and set use_sim_time; else synchronise the clocks"
                )
                yield DiagnosticStatus.WARN, text
            return
        text = f"people are published {p95:.0f} ms after their image: see the stages' times"
        for level, limit in (
            (DiagnosticStatus.ERROR, error_ms),
            (DiagnosticStatus.WARN, warn_ms),
        ):
            if 0 < limit < p95:
                yield level, text

    def _counts(self) -> dict[str, str]:
        counts = {
            "images received": str(self._received),
            "images processed": str(self._processed),
            "images received per s": f"{self._rate('received'):.1f}",
            "images processed per s": f"{self._rate('processed'):.1f}",
            "people": str(self._people),
        }
        counts.update((f"dropped/{cause}", str(n)) for cause, n in sorted(self._dropped.items()))
        counts.update((event, str(n)) for event, n in sorted(self._events.items()))
        return counts

    def _window_fill(self) -> dict[str, str]:
        """In how many of the last frames each person of the newest one was seen."""
        newest = sorted(self._window[-1]) if self._window else []
        return {
            f"window/{track_id}": f"{sum(track_id in ids for ids in self._window)}/{WINDOW_FRAMES}"
            for track_id in newest
        }

    def _percentiles(self) -> dict[str, str]:
        values = {}
        for stage, latencies in self._latencies.items():
            p50, p95 = np.percentile(list(latencies), (50, 95))
            values[f"{stage} ms p50"] = f"{p50:.1f}"
            values[f"{stage} ms p95"] = f"{p95:.1f}"
        return values
