"""Stamps that repeat, jump, stand still or are no time, and clocks that step."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from rcl_interfaces.msg import ParameterType, ParameterValue
from rosgraph_msgs.msg import Clock

import d3pose_core
import d3pose_ros
from test.helpers.fault_node import FaultNode, picture, stamp

HOUR_MS = 3_600_000


def test_a_stamp_that_repeats_is_dropped(node: FaultNode):
    image = node.next(count=1, first=3)
    node.answer(image)
    node.dropped("duplicate_stamp", image)
    node.wait_for_log("it is the newest image's stamp")


def test_an_image_that_was_overtaken_is_dropped(node: FaultNode):
    """Also a clock that is set back by less than a second: for as long as that, no image is taken."""
    node.answer()
    node.dropped("out_of_order", picture(node.stamp_ms - 300, count=1))
    node.wait_for_log("newer images came before it")


def test_time_that_goes_back_starts_anew(node: FaultNode):
    """A bag that begins again, or a clock that is set back."""
    node.stamp_ms += HOUR_MS
    node.answer(count=1, first=3)
    node.stamp_ms -= HOUR_MS
    assert len(node.answer(count=1, first=3).persons) == 1
    node.wait_for("stream/time_went_back")
    node.wait_for_log("starting anew")


def test_time_that_leaps_ahead_and_back_is_two_new_beginnings(node: FaultNode):
    """One image with a wild stamp costs no image after it."""
    node.answer(count=1, first=3)
    node.answer(picture(node.stamp_ms + 30 * 365 * 24 * HOUR_MS, count=1, first=3))
    for _ in range(2):
        assert len(node.answer(count=1, first=3).persons) == 1
    node.wait_for("stream/gap")
    node.wait_for("stream/time_went_back")
    node.wait_for_log("no image for")


def test_stamps_that_are_always_zero(node: FaultNode):
    """A driver that does not fill them: the first image passes, as that of a simulation may."""
    node.answer(stamp(node.next(), 0))
    node.dropped("zero_stamp", stamp(node.next(), 0), times=3)
    node.wait_for_log("the camera driver does not fill header.stamp")


@pytest.mark.parametrize(("sec", "nanosec"), [(-5, 0), (10**9, 10**9), (-(2**31), 2**32 - 1)])
def test_stamps_that_are_no_time(node: FaultNode, sec, nanosec):
    image = node.next()
    image.header.stamp.sec, image.header.stamp.nanosec = sec, nanosec
    node.dropped("invalid_stamp", image)


def test_the_largest_stamp_is_a_time(node: FaultNode):
    """Of 2038; the images after it are those of today again."""
    last = node.next(count=1, first=3)
    last.header.stamp.sec, last.header.stamp.nanosec = 2**31 - 1, 999_999_999
    assert node.answer(last).header.stamp == last.header.stamp
    node.answer()
    node.wait_for("stream/time_went_back")


def test_nobody_for_an_hour(node: FaultNode):
    """An hour by the images' stamps, after and before somebody; nothing grows meanwhile."""
    node.answer(count=1, first=3)
    memory_mib = int(node.values()["memory MiB"])
    for _ in range(60):
        for _ in range(9):
            node.stamp_ms += 6000
            node.send(node.next())
        node.stamp_ms += 6000
        assert node.answer().persons == []
    assert [person.track_id for person in node.answer(count=1, first=4).persons] == [4]
    node.wait_until(lambda: node.values().get("people") == "1", "somebody again")
    assert int(node.values()["memory MiB"]) < memory_mib + 20
    assert node.values()["window/4"] == "1/30"


def test_a_camera_at_one_hertz(node: FaultNode):
    for k in range(4):
        node.stamp_ms += 1000
        (person,) = node.answer(count=1, first=3).persons
        assert person.track_id == 3, k
    assert node.added("stream/gap") == 0


def test_a_simulated_clock_that_jumps_or_stands_still(node: FaultNode, graph):
    """Diagnostics go on by a clock that does neither; images are told apart by their own stamps."""
    clock = graph.node.create_publisher(Clock, "/clock", 10)

    def diagnosed(what: str) -> None:
        seen = len(node.diagnostics)
        node.wait_until(lambda: node.own_reports(seen) > 2, f"diagnostics with {what}")

    simulated = ParameterValue(type=ParameterType.PARAMETER_BOOL, bool_value=True)
    assert node.set("use_sim_time", simulated) == ""
    try:
        diagnosed("a clock that nobody publishes")
        node.wait_until(clock.get_subscription_count, "the node to listen to /clock")
        node.answer(count=1, first=3)
        node.wait_until(lambda: "no time has come on /clock" in node.status().message, "why")
        assert node.status().level == DiagnosticStatus.WARN
        for seconds in (1000, 5000, 10, 10):
            message = Clock()
            message.clock.sec = seconds
            node.wait_until(
                lambda s=seconds: node.diagnostics[-1].header.stamp.sec == s,
                "the node's clock to follow",
                between=lambda m=message: clock.publish(m),
            )
            diagnosed(f"a clock at {seconds} s")
            assert "/clock" not in node.status().message
            assert len(node.answer(count=1, first=3).persons) == 1
    finally:
        simulated.bool_value = False
        assert node.set("use_sim_time", simulated) == ""
        graph.node.destroy_publisher(clock)


def test_durations_are_measured_by_monotonic_clocks():
    """Nobody may set the system's clock in a test. Who reads it stamps recordings, or compares files."""
    readers_with_a_reason = {"recorder.py", "play.py", "player.py", "shared_memory.py"}
    wall_clock = re.compile(r"\btime\.time\(|\btime_ns\(|\bdatetime\.(now|today|utcnow)\(")
    packages = (Path(package.__path__[0]) for package in (d3pose_core, d3pose_ros))
    readers = {
        path.name
        for package in packages
        for path in package.rglob("*.py")
        if wall_clock.search(path.read_text(encoding="utf-8"))
    }
    assert readers == readers_with_a_reason
