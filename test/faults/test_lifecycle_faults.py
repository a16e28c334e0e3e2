"""Transitions while images come, transitions that there are not, and many of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from lifecycle_msgs.msg import Transition

from test.helpers.fault_node import FaultNode

ROUNDS = 16


def resources(node: FaultNode) -> tuple[int, int, float]:
    """Threads, descriptors, and resident MiB of the node's process."""
    process = Path(f"/proc/{node.process.pid}")
    pages = int((process / "statm").read_text().split()[1])
    return (
        len(list((process / "task").iterdir())),
        len(list((process / "fd").iterdir())),
        pages * 4096 / 2**20,
    )


def cycle(node: FaultNode, transitions=("deactivate", "cleanup", "configure", "activate")) -> None:
    for transition in transitions:
        response = node.transition(label=transition)
        assert response.success, transition


def test_many_configurations_while_images_come_leave_nothing_behind(node: FaultNode):
    """Each loads the network and its publishers anew, in the middle of a stream."""
    timer = node.graph.node.create_timer(0.02, lambda: node.send(node.next(count=1, first=3)))
    try:
        for _ in range(4):
            cycle(node)
        before = resources(node)
        for _ in range(ROUNDS):
            cycle(node)
        after = resources(node)
    finally:
        node.graph.node.destroy_timer(timer)
    assert after[0] <= before[0] + 1, "threads"
    assert after[1] <= before[1] + 3, "descriptors"
    assert after[2] < before[2] + 30, "MiB"
    for topic in ("people", "mesh", "skeleton"):
        node.wait_until(
            lambda t=topic: node.graph.node.count_publishers(f"{node.name}/{t}") == 1,
            f"one publisher of {topic}",
        )
    node.wait_until(lambda: node.images.get_subscription_count() == 1, "one subscription")
    node.connect()


def test_activation_and_deactivation_in_the_middle_of_frames(node: FaultNode):
    timer = node.graph.node.create_timer(0.01, lambda: node.send(node.next(count=1, first=3)))
    try:
        for _ in range(ROUNDS):
            cycle(node, ("deactivate", "activate"))
    finally:
        node.graph.node.destroy_timer(timer)
    node.connect()
    node.settle()  # what waited at each deactivation is accounted for, too


@pytest.mark.parametrize(
    "request_",
    [
        {"label": "fly"},
        {"label": "configure"},  # it is active
        {"id": 200},
        {"id": Transition.TRANSITION_CLEANUP},
        {"id": Transition.TRANSITION_ON_CONFIGURE_SUCCESS},
    ],
)
def test_a_transition_that_there_is_not_is_refused(node: FaultNode, request_):
    assert not node.transition(**request_).success
    assert node.state() == "active"
