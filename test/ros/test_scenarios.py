"""What happens around a node: cameras that die, people who leave, an end in the middle of the work.

The scenarios of test/launch/, with processes instead of `launch`, which comes with a ROS 2 installation only.
"""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from lifecycle_msgs.msg import Transition
from visualization_msgs.msg import Marker, MarkerArray

from test.helpers import camera_process
from test.helpers.node_process import HEIGHT, WIDTH, NodeProcess, clip_frames, to_message

ROOT = Path(__file__).resolve().parents[2]
LEAVING_MS = 1000  # markers of people who left are gone after so long
STEP_MS = 200  # between images


@pytest.fixture
def start_camera() -> Iterator[Callable[[], subprocess.Popen]]:
    started = []

    def start() -> subprocess.Popen:
        command = [sys.executable, "-m", camera_process.__name__, "image"]
        started.append(subprocess.Popen(command, cwd=ROOT))
        return started[-1]

    yield start
    for camera in started:
        camera.kill()
        camera.wait(20)


def test_a_camera_dies_and_comes_back(start_node, start_camera):
    node = start_node("no_image_warn_s:=0.5", "age_warn_ms:=0.0", "age_error_ms:=0.0")
    camera = start_camera()
    node.wait_until(lambda: node.people, "people of the first camera")
    camera.kill()
    camera.wait(20)
    node.wait_until(lambda: "no image" in node.status().message, "the loss to be reported")
    before = len(node.people)
    assert node.state() == "active"

    start_camera()
    node.wait_until(lambda: len(node.people) > before + 2, "people of the second camera")
    node.wait_until(lambda: "no image" not in node.status().message, "the report to be withdrawn")
    stamps = [
        message.header.stamp.sec + message.header.stamp.nanosec * 1e-9 for message in node.people
    ]
    assert stamps == sorted(set(stamps))
    # In the middle of its work.
    assert node.stop() == 0
    assert "Traceback" not in node.log.read_text()


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
