"""/diagnostics: what became of every image, how long it took, and what to do when something is wrong."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from time import monotonic

import numpy as np
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

# Thresholds of the levels.
NO_IMAGE_WARN_S = 2.0  # active without an image for so long: WARN
DROPPED_WARN = 0.5  # more than this share of the images dropped because the node was busy: WARN
BAD_IMAGES_ERROR = 0.5  # more than this share of the images unusable: ERROR

# Rates and latencies are those of the last seconds or images.
RATE_WINDOW_S = 5.0
LATENCY_WINDOW = 200

# Causes that are not the fault of an image.
BUSY = "busy"
NO_SUBSCRIBER = "no_subscriber"
WAITING_FOR_CAMERA_INFO = "waiting_for_camera_info"
_HARMLESS = frozenset((BUSY, NO_SUBSCRIBER, WAITING_FOR_CAMERA_INFO))


@dataclass(frozen=True)
class NodeState:
    """What the node knows about itself when diagnostics are published."""

    lifecycle: str  # "unconfigured", "inactive", "active", "finalized"
    failure: str = ""  # why configuring failed last, if it did
    calibration: str = ""  # what is wrong with the camera_info in use, if anything
    settings: Mapping[str, str] = field(default_factory=dict)  # weights, device, ...


class FrameStatistics:
    """Counts images and times; called from the executor and from the worker thread.

    Every received image is sooner or later counted once more: as processed, or as dropped by one cause.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        """`clock`: s, never goes back."""
        self._clock = clock
        self._lock = threading.Lock()
        self._started = clock()
        self._received = 0
        self._processed = 0
        self._uncalibrated = 0
        self._people = 0
        self._dropped: Counter[str] = Counter()
        self._recent: dict[str, deque[float]] = {
            name: deque() for name in ("received", "processed", BUSY, "bad")
        }
        self._latencies: dict[str, deque[float]] = {}

    def received(self) -> None:
        """An image came in."""
        with self._lock:
            self._received += 1
            self._mark("received")

    def dropped(self, cause: str) -> None:
        """An image was not processed."""
        with self._lock:
            self._dropped[cause] += 1
            if cause == BUSY:
                self._mark(BUSY)
            elif cause not in _HARMLESS:
                self._mark("bad")

    def processed(self, people: int, latencies_ms: Mapping[str, float], calibrated: bool) -> None:
        """An image was processed; `latencies_ms` are times by stage."""
        with self._lock:
            self._processed += 1
            self._people = people
            self._uncalibrated += not calibrated
            self._mark("processed")
            for stage, latency in latencies_ms.items():
                self._latencies.setdefault(stage, deque(maxlen=LATENCY_WINDOW)).append(latency)

    def message(
        self, stamp: Time, name: str, hardware_id: str, state: NodeState
    ) -> DiagnosticArray:
        """The report as of now; `stamp` is the node's clock, because it belongs to no image."""
        with self._lock:
            level, text = self._assess(state)
            values = {**self._counts(), **self._percentiles(), **state.settings}
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
        """The level and one sentence: the worst first."""
        if state.lifecycle != "active":
            if state.failure:
                return DiagnosticStatus.ERROR, f"{state.lifecycle}: {state.failure}"
            return DiagnosticStatus.OK, state.lifecycle
        received = self._recent_count("received")
        if received and self._recent_count("bad") > BAD_IMAGES_ERROR * received:
            return DiagnosticStatus.ERROR, "most images cannot be used: see dropped/* and the log"
        if self._silence() > NO_IMAGE_WARN_S:
            return DiagnosticStatus.WARN, "no image: check the topic, its QoS and the camera driver"
        if state.calibration:
            return DiagnosticStatus.WARN, state.calibration
        if received and self._recent_count(BUSY) > DROPPED_WARN * received:
            return DiagnosticStatus.WARN, "most images come faster than they can be processed"
        return DiagnosticStatus.OK, f"{self._people} people"

    def _silence(self) -> float:
        times = self._recent["received"]
        return self._clock() - (times[-1] if times else self._started)

    def _counts(self) -> dict[str, str]:
        counts = {
            "images received": str(self._received),
            "images processed": str(self._processed),
            "images received per s": f"{self._rate('received'):.1f}",
            "images processed per s": f"{self._rate('processed'):.1f}",
            "images without calibration": str(self._uncalibrated),
            "people": str(self._people),
        }
        counts.update((f"dropped/{cause}", str(n)) for cause, n in sorted(self._dropped.items()))
        return counts

    def _percentiles(self) -> dict[str, str]:
        values = {}
        for stage, latencies in self._latencies.items():
            p50, p95 = np.percentile(list(latencies), (50, 95))
            values[f"{stage} ms p50"] = f"{p50:.1f}"
            values[f"{stage} ms p95"] = f"{p95:.1f}"
        return values
