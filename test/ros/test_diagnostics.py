"""Every image is counted, and the level says what to do."""

import pytest
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus

from d3pose_ros import diagnostics
from d3pose_ros.diagnostics import FrameStatistics, NodeState

ACTIVE = NodeState(lifecycle="active")


class Clock:
    """Time that passes when told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def statistics(clock) -> FrameStatistics:
    return FrameStatistics(clock)


def status(statistics, state=ACTIVE) -> DiagnosticStatus:
    return statistics.message(Time(sec=1), "d3pose: people", "camera", state).status[0]


def values(statistics) -> dict:
    return {pair.key: pair.value for pair in status(statistics).values}


def stream(statistics, clock, seconds, hz, each=lambda: None):
    for _ in range(int(seconds * hz)):
        clock.now += 1 / hz
        statistics.received()
        each()


def test_counts_rates_and_percentiles(statistics, clock):
    latencies = iter(range(1, 1000))

    def process():
        statistics.processed(2, {"network": float(next(latencies))}, calibrated=False)

    stream(statistics, clock, seconds=10, hz=10, each=process)
    got = values(statistics)
    assert got["images received"] == got["images processed"] == "100"
    assert got["images without calibration"] == "100"
    assert got["people"] == "2"
    assert float(got["images received per s"]) == pytest.approx(10, abs=0.3)
    assert float(got["network ms p50"]) == pytest.approx(50.5)
    assert float(got["network ms p95"]) == pytest.approx(95.05, abs=0.1)
    assert status(statistics).level == DiagnosticStatus.OK


def test_rates_forget(statistics, clock):
    stream(statistics, clock, seconds=2, hz=10)
    clock.now += 60
    assert values(statistics)["images received per s"] == "0.0"


def test_drops_are_counted_by_cause(statistics):
    for cause in ("busy", "busy", "empty_image"):
        statistics.dropped(cause)
    got = values(statistics)
    assert (got["dropped/busy"], got["dropped/empty_image"]) == ("2", "1")


def test_no_image_warns(statistics, clock):
    clock.now += diagnostics.NO_IMAGE_WARN_S + 0.1
    assert status(statistics).level == DiagnosticStatus.WARN
    assert "no image" in status(statistics).message
    statistics.received()
    assert status(statistics).level == DiagnosticStatus.OK


def test_mostly_busy_warns(statistics, clock):
    stream(statistics, clock, 2, 10, lambda: statistics.dropped("busy"))
    assert status(statistics).level == DiagnosticStatus.WARN


def test_mostly_bad_images_are_an_error(statistics, clock):
    stream(statistics, clock, 2, 10, lambda: statistics.dropped("unsupported_encoding"))
    assert status(statistics).level == DiagnosticStatus.ERROR


def test_no_subscriber_is_no_fault(statistics, clock):
    stream(statistics, clock, 2, 10, lambda: statistics.dropped("no_subscriber"))
    assert status(statistics).level == DiagnosticStatus.OK


def test_missing_calibration_warns(statistics):
    statistics.received()
    state = NodeState(lifecycle="active", calibration="no camera_info received")
    assert status(statistics, state).level == DiagnosticStatus.WARN
    assert status(statistics, state).message == "no camera_info received"


def test_failed_configuration_is_an_error(statistics):
    state = NodeState(lifecycle="unconfigured", failure="run `d3pose models fetch`")
    assert status(statistics, state).level == DiagnosticStatus.ERROR
    assert "d3pose models fetch" in status(statistics, state).message
    assert status(statistics, NodeState(lifecycle="inactive")).level == DiagnosticStatus.OK
