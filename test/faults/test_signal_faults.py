"""Processes that are told to end in the middle of a frame."""

from __future__ import annotations

import signal

import pytest

from test.helpers.fault_node import FaultNode
from test.helpers.scripted_node import IN_WORK, SLOW

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)


@pytest.fixture(scope="module")
def doomed(start_node) -> dict[int, FaultNode]:
    """One node for each signal; they start side by side."""
    return {number: start_node(namespace=number.name.lower()) for number in SIGNALS}


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_in_the_middle_of_a_frame(doomed, number):
    node = doomed[number]
    node.wait_until_active()
    node.begin()
    node.send(node.next(count=1, first=3, event=SLOW))
    node.wait_for_log(IN_WORK)
    answers = len(node.people)
    if number == signal.SIGINT:  # twice, as people press Ctrl-C
        node.process.send_signal(number)
    ended = node.stop(number)

    assert ended == (-number if number == signal.SIGKILL else 0)
    assert "Traceback" not in node.log.read_text()
    assert "terminate called" not in node.log.read_text()
    if number != signal.SIGKILL:
        # The frame in work is finished, and its people are told to whoever listens.
        node.graph.wait_until(lambda: len(node.people) > answers, "people of the last frame")


def test_a_node_that_is_suspended_goes_on_with_the_newest_image(node: FaultNode):
    """As with a laptop's lid; the images of meanwhile are late, and dropped."""
    node.process.send_signal(signal.SIGSTOP)
    for _ in range(40):
        node.send(node.next(count=1, first=3))
    node.process.send_signal(signal.SIGCONT)
    assert len(node.answer(count=1, first=3).persons) == 1
    node.settle()
    assert node.added("images received") <= 41
