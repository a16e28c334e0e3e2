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
    ended = node.stop(number)

    assert ended == (-number if number == signal.SIGKILL else 0)
    assert "Traceback" not in node.log.read_text()
    assert "terminate called" not in node.log.read_text()
    if number != signal.SIGKILL:
        # The frame in work is finished, and its people are told to whoever listens.
        node.graph.wait_until(lambda: len(node.people) > answers, "people of the last frame")


def test_a_second_interrupt_while_it_ends_does_no_harm(start_node):
    """As people press Ctrl-C."""
    node = start_node(namespace="impatient")
    node.wait_until_active()
    node.begin()
    node.send(node.next(count=1, first=3, event=SLOW))
    node.wait_for_log(IN_WORK)
    for _ in range(3):
        node.process.send_signal(signal.SIGINT)
    assert node.process.wait(20) == 0
    assert "Traceback" not in node.log.read_text()
