"""The real network: cameras that die, come late or show a poster of sixty people."""

from __future__ import annotations

import array
import subprocess
import sys
from collections.abc import Callable, Iterator

import cv2
import numpy as np
import pytest
from sensor_msgs.msg import Image

from d3pose_core import model_files
from d3pose_core.video import ClipReader
from test.helpers import camera_process
from test.helpers.fault_node import ROOT, FaultNode, stamp

MAX_PEOPLE = 5


@pytest.fixture(scope="module")
def real(start_node) -> FaultNode:
    """It is there before any camera."""
    return start_node(
        "no_image_warn_s:=0.5",
        f"max_people:={MAX_PEOPLE}",
        module="d3pose_ros.node",
        namespace="real",
    )


@pytest.fixture
def start_camera() -> Iterator[Callable[[], subprocess.Popen]]:
    started = []

    def start() -> subprocess.Popen:
        command = [sys.executable, "-m", camera_process.__name__, "/real/image"]
        started.append(subprocess.Popen([*command, "--info", "/real/camera_info"], cwd=ROOT))
        return started[-1]

    yield start
    for camera in started:
        camera.kill()
        camera.wait(20)


def test_a_camera_comes_late_dies_and_comes_back(real: FaultNode, start_camera):
    node = real
    node.wait_until(lambda: node.state() == "active", "the node to be active")
    node.graph.node.destroy_publisher(node.images)  # that of the tests
    node.wait_until(
        lambda: node.status().message == "no image: nobody publishes /real/image", "the report"
    )
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
    stamps = [(m.header.stamp.sec, m.header.stamp.nanosec) for m in node.people]
    assert stamps == sorted(set(stamps))
    assert "Traceback" not in node.log.read_text()


@pytest.fixture
def stills(real: FaultNode) -> FaultNode:
    """The node with images from the tests, in a stream that begins anew."""
    real.images = real.graph.node.create_publisher(Image, "/real/image", 5)
    real.wait_until(real.images.get_subscription_count, "the image subscription")
    real.connect()
    return real


def still(node: FaultNode, pixels: np.ndarray, step_ms: int) -> Image:
    node.stamp_ms += step_ms
    height, width = pixels.shape[:2]
    image = Image(width=width, height=height, step=3 * width, encoding="bgr8")
    image.header.frame_id = camera_process.FRAME_ID
    stamp(image, node.stamp_ms)
    image.data = array.array("B", pixels.tobytes())
    return image


@pytest.fixture(scope="module")
def man() -> np.ndarray:
    """The man in the demo clip, from head to foot."""
    clip = ClipReader(model_files.model_path("demo.mp4"), max_frames=1)
    return next(iter(clip)).image[70:490, 540:760]


def test_sixty_people_on_a_poster(stills: FaultNode, man):
    """As many as may be are tracked; the others cost nothing."""
    poster = np.tile(cv2.resize(man, (96, 180)), (6, 10, 1))
    for _ in range(100):
        message = stills.answer(still(stills, poster, 33))
        assert len(message.persons) <= MAX_PEOPLE
        if len(message.persons) == MAX_PEOPLE:
            break
    ids = {person.track_id for person in message.persons}
    assert len(ids) == MAX_PEOPLE
    stills.settle()
    assert stills.values()["people"] == str(MAX_PEOPLE)


def test_one_image_a_second(stills: FaultNode, man):
    """People keep their ids, though every image is a second after the last."""
    picture = cv2.copyMakeBorder(man, 30, 30, 200, 200, cv2.BORDER_REPLICATE)
    ids = []
    for _ in range(6):
        message = stills.answer(still(stills, picture, 1000))
        ids.append([person.track_id for person in message.persons])
    assert ids[-1]
    assert ids[-1] == ids[-2] == ids[-3]
    assert stills.stop() == 0
