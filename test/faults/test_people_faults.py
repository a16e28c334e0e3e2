"""Too many people, people who are no numbers, people who come and go at once."""

from __future__ import annotations

import numpy as np
from visualization_msgs.msg import MarkerArray

from test.helpers.fault_node import FaultNode
from test.helpers.scripted_node import NAN


def test_sixty_people(node: FaultNode, graph):
    """Of an observer that knows no limit; BlazePose's keeps to max_people, see the poster."""
    meshes: list[bytes] = []  # unpacking a message with 60 meshes takes Python seconds
    subscription = graph.node.create_subscription(
        MarkerArray, f"{node.name}/mesh", meshes.append, 1, raw=True
    )
    try:
        message = node.answer(count=60, first=100)
        assert [person.track_id for person in message.persons] == list(range(100, 160))
        node.wait_until(lambda: node.values().get("people") == "60", "60 people in the diagnostics")
        node.wait_until(
            lambda: meshes and len(meshes[-1]) > 60 * 100_000,
            "60 meshes",
            between=lambda: node.send(node.next(count=60, first=100)),
        )
    finally:
        graph.node.destroy_subscription(subscription)


def test_people_who_change_in_every_image_leave_nothing_behind(node: FaultNode):
    images = 20

    def change() -> None:
        for k in range(images):
            node.stamp_ms += 400  # longer than somebody out of sight is carried on
            node.answer(count=10, first=10 * (k % 20))

    change()
    memory_mib = int(node.values()["memory MiB"])
    change()
    node.settle()
    assert node.added("images processed") == 2 * images
    assert int(node.values()["memory MiB"]) < memory_mib + 10
    assert sum(key.startswith("window/") for key in node.values()) == 10


def test_who_comes_out_as_nan_is_left_out_and_begun_anew(node: FaultNode):
    node.answer(count=2, first=3)
    assert node.answer(count=2, first=3, event=NAN).persons == []
    node.wait_for("people/not_finite")
    node.wait_for_log("2 people of an image came out as nan or inf")
    for person in node.answer(count=2, first=3).persons:
        assert np.isfinite([person.joints[5].x, *person.body_pose, *person.betas]).all()
