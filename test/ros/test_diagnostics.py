"""Every image is counted, and the level says what to do."""

import pytest
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus

from d3pose_ros import diagnostics
from d3pose_ros.diagnostics import FrameStatistics, NodeState
from d3pose_ros.parameters import NodeParameters

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
        statistics.processed([4, 7], {"network": float(next(latencies))}, "no_camera_info")

    stream(statistics, clock, seconds=10, hz=10, each=process)
    got = values(statistics)
    assert got["images received"] == got["images processed"] == "100"
    assert got["uncalibrated/no_camera_info"] == "100"
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


def test_what_is_wrong_in_the_graph_is_said_and_why_no_image_comes(statistics, clock):
    state = NodeState("active", graph=["two nodes of one name"], silence="nobody publishes /image")
    assert status(statistics, state).level == DiagnosticStatus.WARN
    assert status(statistics, state).message == "two nodes of one name"
    clock.now += 3.0
    assert status(statistics, state).message == "two nodes of one name"
    clock.now += 30.0
    assert status(statistics, state).level == DiagnosticStatus.ERROR
    assert status(statistics, state).message == "no image: nobody publishes /image"


def test_images_that_waited_when_the_node_was_deactivated_are_accounted_for(statistics):
    for _ in range(4):
        statistics.received()
    statistics.processed([], {})
    statistics.dropped("busy")
    for _ in range(2):
        statistics.deactivated()
    got = values(statistics)
    assert got["dropped/deactivated"] == "2"
    assert status(statistics).level == DiagnosticStatus.OK
    statistics.received()
    statistics.processed([], {})
    statistics.deactivated()
    assert values(statistics)["dropped/deactivated"] == "2"


def test_silence(statistics, clock):
    clock.now += 100  # inactive for long
    statistics.activated()
    assert status(statistics).level == DiagnosticStatus.OK
    for seconds, level in ((2.1, DiagnosticStatus.WARN), (8.0, DiagnosticStatus.ERROR)):
        clock.now += seconds
        assert status(statistics).level == level
        assert "no image" in status(statistics).message
    statistics.received()
    assert status(statistics).level == DiagnosticStatus.OK
    # Now it counts from the last image, however long ago that was.
    for seconds, level in (
        (1.9, DiagnosticStatus.OK),
        (4.0, DiagnosticStatus.WARN),
        (4.0, DiagnosticStatus.WARN),
        (0.2, DiagnosticStatus.ERROR),
    ):
        clock.now += seconds
        assert status(statistics).level == level


def test_age(statistics, clock):
    def age(ms, images=200):
        for _ in range(images):
            statistics.received()
            statistics.processed([], {diagnostics.AGE: ms})
        return status(statistics)

    assert age(100.0).level == DiagnosticStatus.OK
    assert age(300.0, 8).level == DiagnosticStatus.OK, "fewer than 1 in 20"
    assert age(300.0, 8).level == DiagnosticStatus.WARN
    assert "300 ms after their image" in status(statistics).message
    assert age(1200.0).level == DiagnosticStatus.ERROR
    for another_clock in (1.7e12, 3.6e6, -5e3):
        assert age(another_clock).level == DiagnosticStatus.WARN
        assert "use_sim_time" in status(statistics).message
    never = NodeState("active", thresholds=NodeParameters(age_warn_ms=0.0, age_error_ms=0.0))
    assert status(statistics, never).level == DiagnosticStatus.OK


@pytest.mark.parametrize(
    ("thresholds", "level"),
    [
        ({}, DiagnosticStatus.ERROR),  # 3 of 5 are bad
        ({"bad_image_error_ratio": 0.7}, DiagnosticStatus.WARN),
        ({"bad_image_error_ratio": 0.7, "bad_image_warn_ratio": 0.7}, DiagnosticStatus.OK),
        ({"bad_image_error_ratio": 0.0, "bad_image_warn_ratio": 0.0}, DiagnosticStatus.OK),
    ],
)
def test_thresholds_of_bad_images(statistics, thresholds, level):
    for bad in (True, False, True, True, False):
        statistics.received()
        if bad:
            statistics.dropped("malformed_image")
    state = NodeState("active", thresholds=NodeParameters(**thresholds))
    assert status(statistics, state).level == level


def test_threshold_of_busy_drops_can_be_raised(statistics, clock):
    stream(statistics, clock, 2, 10, lambda: statistics.dropped("busy"))
    state = NodeState("active", thresholds=NodeParameters(busy_warn_ratio=1.0))
    assert status(statistics, state).level == DiagnosticStatus.OK


def test_an_error_goes_before_a_warning(statistics):
    statistics.received()
    statistics.dropped("malformed_image")
    state = NodeState("active", calibration="no camera_info received")
    assert status(statistics, state).level == DiagnosticStatus.ERROR


def test_window_fill(statistics):
    for frame in range(40):
        statistics.processed([1] if frame < 25 else [1, 2], {})
    assert (values(statistics)["window/1"], values(statistics)["window/2"]) == ("30/30", "15/30")
    statistics.processed([2], {})
    assert "window/1" not in values(statistics), "who is not seen has left"
    statistics.activated()
    statistics.processed([2], {})
    assert values(statistics)["window/2"] == "1/30"


def test_events_are_counted(statistics):
    statistics.happened("depth/used")
    statistics.happened("depth/used")
    assert values(statistics)["depth/used"] == "2"


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
