"""A node that has faults done to it: what it is sent, what it counted and said since."""

from __future__ import annotations

import array
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import rclpy.parameter
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.msg import Parameter, ParameterValue
from rcl_interfaces.srv import SetParameters
from rclpy.client import Client
from rclpy.task import Future
from sensor_msgs.msg import CameraInfo, Image

from d3pose_ros.msg import SmplPersonArray
from test.helpers.node_process import NodeProcess
from test.helpers.scripted_node import NOTHING

ROOT = Path(__file__).resolve().parents[2]
SCRIPTED = "test.helpers.scripted_node"
WIDTH, HEIGHT = 64, 48
FRAME_ID = "camera_optical_frame"
STEP_MS = 40


class FaultNode(NodeProcess):
    """One node process that serves many scenarios, one after the other, in a single stream of images.

    Counts are of the whole life of a process: scenarios look at what was added. `begin` marks where one
    begins.
    """

    def __init__(self, graph, log: Path, *parameters: str, module: str, **options) -> None:
        # Stamps are of a clock of their own, which the diagnostics would remark on.
        quiet = ("age_warn_ms:=0.0", "age_error_ms:=0.0", "camera_info_timeout_s:=0.0")
        super().__init__(
            graph, log, *quiet, *parameters, module=module, PYTHONPATH=str(ROOT), **options
        )
        self._set_parameters = graph.node.create_client(
            SetParameters, f"{self.name}/set_parameters"
        )
        self.stamp_ms = 0
        self._counts: dict[str, str] = {}
        self._log_begin = 0

    def begin(self) -> FaultNode:
        """A scenario begins: the node takes an image without anybody in it, a while after the last."""
        self.stamp_ms += 10_000
        self.answer()
        self.settle()
        self.mark()
        return self

    def settle(self) -> None:
        """Until the diagnostics have everything that was sent."""
        seen = len(self.diagnostics)
        self.wait_until(
            lambda: (
                self.own_reports(seen) > 1
                and self.handled() == int(self.values()["images received"])
            ),
            "the diagnostics to be up to date",
        )

    def own_reports(self, since: int) -> int:
        """How many diagnostics have come of this node; others are in the graph too."""
        name = f"{self.name}: people"
        return sum(message.status[0].name == name for message in self.diagnostics[since:])

    def mark(self) -> None:
        """From here on count and listen."""
        del self.people[:], self.diagnostics[:-1]
        self._counts = self.values()
        self._log_begin = len(self.log.read_text())

    def added(self, key: str) -> int:
        """How much a count has grown in this scenario."""
        return int(self.values().get(key, 0)) - int(self._counts.get(key, 0))

    def said(self) -> str:
        """What the node logged in this scenario."""
        return self.log.read_text()[self._log_begin :]

    def wait_for(self, key: str, count: int = 1) -> None:
        """Until a count has grown by so much."""
        self.wait_until(lambda: self.added(key) == count, f"{key} to grow by {count}")

    def wait_for_log(self, text: str) -> None:
        """In its whole life: what was said a moment ago, for an earlier scenario, is not said again."""
        self.wait_until(lambda: text in self.log.read_text(), f"the log to say {text!r}")

    def send(self, image: Image) -> None:
        self.images.publish(image)

    def next(self, **fields) -> Image:
        """The next image of the stream: see `picture`."""
        self.stamp_ms += STEP_MS
        return picture(self.stamp_ms, **fields)

    def answer(self, image: Image | None = None, **fields) -> SmplPersonArray:
        """Sends an image; the people in it."""
        before = len(self.people)
        image = image or self.next(**fields)
        self.send(image)

        def answers() -> list[SmplPersonArray]:
            return [m for m in self.people[before:] if m.header.stamp == image.header.stamp]

        self.wait_until(answers, "people of an image")
        return answers()[0]

    def dropped(self, cause: str, image: Image, times: int = 1) -> None:
        """Sends an image, and waits until it has been counted as dropped by this cause."""
        before = self.added(f"dropped/{cause}")
        for k in range(1, times + 1):
            self.send(image)
            self.wait_for(f"dropped/{cause}", before + k)

    def set(self, name: str, value: ParameterValue) -> str:
        """Asks for a parameter as `ros2 param set` does; why it was refused, "" if it was not."""
        future = self.ask(name, value)
        self.wait_until(future.done, f"the answer to {name}")
        (result,) = future.result().results
        assert result.successful != bool(result.reason)
        return result.reason

    def ask(self, name: str, value: ParameterValue) -> Future:
        """The same without waiting for the answer."""
        self.wait_until(self._set_parameters.service_is_ready, "the service of parameters")
        request = SetParameters.Request(parameters=[Parameter(name=name, value=value)])
        return self._set_parameters.call_async(request)

    def transition(self, id: int = 0, label: str = "") -> ChangeState.Response:
        """Requests a transition; the answer to that."""
        request = ChangeState.Request(transition=Transition(id=id, label=label))
        return self.call(self._change_state, request)

    def call(self, client: Client, request: object) -> Any:
        """The response of one of the node's services."""
        self.wait_until(client.service_is_ready, "the service")
        future = client.call_async(request)
        self.wait_until(future.done, f"the answer to {request}")
        return future.result()

    def reconfigure(self, **parameters: object) -> None:
        """Through all states, with other parameters."""
        self.change_state(Transition.TRANSITION_DEACTIVATE, "inactive")
        self.change_state(Transition.TRANSITION_CLEANUP, "unconfigured")
        for name, value in parameters.items():
            assert not self.set(
                name, rclpy.parameter.Parameter(name, value=value).get_parameter_value()
            )
        self.change_state(Transition.TRANSITION_CONFIGURE, "inactive")
        self.change_state(Transition.TRANSITION_ACTIVATE, "active")
        self.wait_until(self.images.get_subscription_count, "the image subscription")

    def connect(self) -> None:
        """Until the node's new publishers reach us: the first answers get lost."""
        before = len(self.people)
        self.wait_until(
            lambda: len(self.people) > before,
            "the node's answers to reach us",
            between=lambda: self.send(self.next()),
        )

    def is_well(self) -> None:
        """Answers an image with somebody in it, who is somewhere."""
        self.stamp_ms += 1000  # whoever was seen before is not carried on any more
        message = self.answer(count=1, first=7)
        (person,) = message.persons
        assert person.track_id == 7
        assert np.isfinite([person.joints[0].x, person.joints[0].y, person.joints[0].z]).all()
        assert "Traceback" not in self.log.read_text()


def picture(
    stamp_ms: int,
    count: int = 0,
    first: int = 0,
    event: int = NOTHING,
    width: int = WIDTH,
    height: int = HEIGHT,
    frame_id: str = FRAME_ID,
) -> Image:
    """A black bgr8 image whose first pixel tells a scripted node who is in it."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[0, 0] = count, first, event
    image = Image(width=width, height=height, encoding="bgr8", step=3 * width)
    image.header.frame_id = frame_id
    stamp(image, stamp_ms)
    image.data = array.array("B", pixels.tobytes())
    return image


def stamp(image: Image, milliseconds: int) -> Image:
    image.header.stamp.sec, rest = divmod(milliseconds, 1000)
    image.header.stamp.nanosec = rest * 10**6
    return image


def camera_info(width: int = WIDTH, height: int = HEIGHT, focal: float = 60.0) -> CameraInfo:
    info = CameraInfo(width=width, height=height, distortion_model="plumb_bob", d=[0.0] * 5)
    info.k = [focal, 0.0, width / 2, 0.0, focal, height / 2, 0.0, 0.0, 1.0]
    return info


def wait(condition: Callable[[], object], what: str, timeout_s: float = 20.0) -> None:
    """For conditions outside the graph."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"waited {timeout_s} s in vain for: {what}"
        time.sleep(0.01)
