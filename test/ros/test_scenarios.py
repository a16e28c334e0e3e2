"""What happens around a node: people who leave. What goes wrong around it is in test/faults/.

The scenarios of test/launch/, with processes instead of `launch`, which comes with a ROS 2 installation only.
"""

from __future__ import annotations

import itertools

import numpy as np
from lifecycle_msgs.msg import Transition
from visualization_msgs.msg import Marker, MarkerArray

from test.helpers.node_process import HEIGHT, WIDTH, NodeProcess, clip_frames, to_message

LEAVING_MS = 1000  # markers of people who left are gone after so long
STEP_MS = 200  # between images


def test_markers_of_people_who_left_are_deleted(start_node, graph):
    node = start_node("marker_rate_hz:=0.0", "age_warn_ms:=0.0", "age_error_ms:=0.0")
    outputs = [graph.collect(MarkerArray, f"d3pose/{name}", 100) for name in ("mesh", "skeleton")]
    node.wait_until_active(camera_info=True)
    stamps = itertools.count(5000, STEP_MS)
    for frame in clip_frames(4):
        answered(node, frame, next(stamps))
    for markers in outputs:
        node.wait_until(lambda m=markers: shown(m), "markers of a person")

    empty = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    for _ in range(LEAVING_MS // STEP_MS):
        answered(node, empty, next(stamps))
    # No later image asks for it: what is shown now stays.
    for markers in outputs:
        node.wait_until(lambda m=markers: not shown(m), "the markers to be deleted")

    node.change_state(Transition.TRANSITION_DEACTIVATE, "inactive")
    for markers in outputs:
        node.wait_until(lambda m=markers: m[-1].markers[0].action == Marker.DELETEALL, "DELETEALL")
    assert node.stop() == 0


def answered(node: NodeProcess, image: np.ndarray, stamp: int) -> None:
    """Sends an image, and waits until it has been taken in."""
    before = node.handled()
    node.images.publish(to_message(image, stamp))
    node.wait_until(lambda: node.handled() > before, f"the image of {stamp} ms")


def shown(messages: list[MarkerArray]) -> set[tuple[str, int]]:
    """What a viewer shows that ignores lifetimes."""
    now: set[tuple[str, int]] = set()
    for marker in itertools.chain.from_iterable(message.markers for message in messages):
        key = (marker.ns, marker.id)
        if marker.action == Marker.ADD:
            now.add(key)
        elif marker.action == Marker.DELETEALL:
            now.clear()
        else:
            now.discard(key)
    return now
