"""The real node in a process of its own, and images of a real clip to send it."""

from __future__ import annotations

import array
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CameraInfo, Image

from d3pose_core import model_files
from d3pose_core.camera import Intrinsics
from d3pose_core.video import ClipReader, View
from d3pose_ros.msg import SmplPersonArray

WIDTH, HEIGHT = 884, 497  # 1.3 MB: more than Fast DDS' default segment takes
FRAME_ID = "head_camera_optical_frame"
# Python and torch have started after 3 s on two free cores; a busy machine may take its time.
START_S = 180.0
CAMERA = Intrinsics.from_hfov(60.0, WIDTH, HEIGHT)


def clip_frames(count: int) -> list[np.ndarray]:
    """The first frames of the demo clip, where a man stands on a block."""
    path = model_files.model_path("demo.mp4")
    clip = ClipReader(path, View(size=(WIDTH, HEIGHT)), max_frames=count)
    return [frame.image for frame in clip]


class NodeProcess:
    """The node in a process of its own, with everything that a test says to it and hears from it."""

    def __init__(
        self,
        graph,
        log: Path,
        *parameters: str,
        module: str = "d3pose_ros.node",
        namespace: str = "",
        prefix: Sequence[str] = (),
        **environment: str,
    ) -> None:
        """`namespace` of all topics; `prefix`: a command that starts the process, e.g. one that limits it."""
        self.graph = graph
        self.log = log
        self.name = f"{namespace}/d3pose".lstrip("/")
        arguments = ["--ros-args", *(["-r", f"__ns:=/{namespace}"] if namespace else [])]
        for parameter in ("image_reliability:=reliable", "diagnostics_period_s:=0.1", *parameters):
            arguments += ["-p", parameter]
        with log.open("w") as output:
            self.process = subprocess.Popen(
                [*prefix, sys.executable, "-m", module, *arguments],
                env={**os.environ, **environment},
                cwd=log.parent,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        space = f"/{namespace}" if namespace else ""
        self.images = graph.node.create_publisher(Image, f"{space}/image", QoSProfile(depth=50))
        self.infos = graph.node.create_publisher(CameraInfo, f"{space}/camera_info", 1)
        self.people = graph.collect(SmplPersonArray, f"{self.name}/people", 100)
        self.diagnostics = graph.collect(DiagnosticArray, "/diagnostics")
        self._get_state = graph.node.create_client(GetState, f"{self.name}/get_state")
        self._change_state = graph.node.create_client(ChangeState, f"{self.name}/change_state")

    def wait_until(
        self, condition, what: str, between=lambda: None, timeout_s: float = 60.0
    ) -> None:
        def checked():
            assert self.process.poll() is None, f"the node ended; it said:\n{self.log.read_text()}"
            return condition()

        try:
            self.graph.wait_until(checked, what, timeout_s, between)
        except AssertionError as error:
            raise AssertionError(
                f"{error}\nits diagnostics: {self.values()}\nthe node said:\n{self.log.read_text()}"
            ) from error

    def state(self) -> str:
        """Asks again where no answer comes: a service is announced before its replies can reach us."""
        self.wait_until(
            self._get_state.service_is_ready, "the get_state service", timeout_s=START_S
        )
        for _ in range(20):
            future = self._get_state.call_async(GetState.Request())
            deadline = time.monotonic() + 2.0
            self.wait_until(lambda f=future, d=deadline: f.done() or time.monotonic() > d, "")
            if future.done():
                return future.result().current_state.label
        raise AssertionError(f"get_state is not answered; the node said:\n{self.log.read_text()}")

    def change_state(self, transition: int, expected: str) -> None:
        """Requests a transition, and waits for the state that it leads to."""
        self.wait_until(self._change_state.service_is_ready, "the change_state service")
        request = ChangeState.Request(transition=Transition(id=transition))
        self._change_state.call_async(request)
        self.wait_until(lambda: self.state() == expected, f"the state {expected}")

    def wait_until_active(self, camera_info: bool = False) -> None:
        """Returns once an image has been answered; `self.handled()` counts the images it took.

        They are black and stamped below 1 s. With `camera_info` the node has that too.
        """
        self.wait_until(lambda: self.state() == "active", "the node to be active")
        self.wait_until(self.images.get_subscription_count, "the image subscription")
        if camera_info:
            info = CameraInfo(width=WIDTH, height=HEIGHT)
            info.k = [CAMERA.fx, 0.0, CAMERA.cx, 0.0, CAMERA.fy, CAMERA.cy, 0.0, 0.0, 1.0]
            self.wait_until(self.infos.get_subscription_count, "the camera_info subscription")
            self.infos.publish(info)
        black = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        for k in range(1, 1000):
            self.images.publish(to_message(black, k))
            self.wait_until(lambda n=k: self.handled() == n, f"black image {k} to be handled")
            if self.people:
                break
        self.people.clear()

    def handled(self) -> int:
        """How many images were processed or dropped."""
        return sum(
            int(value)
            for key, value in self.values().items()
            if key == "images processed" or key.startswith("dropped/")
        )

    def values(self) -> dict[str, str]:
        """The newest diagnostics."""
        status = self._newest_status()
        return {pair.key: pair.value for pair in status.values} if status else {}

    def status(self) -> DiagnosticStatus:
        """The newest one; the first one is waited for."""
        self.wait_until(self._newest_status, "diagnostics")
        return self._newest_status()

    def _newest_status(self) -> DiagnosticStatus | None:
        for message in reversed(self.diagnostics):
            if message.status[0].name == f"{self.name}: people":
                return message.status[0]
        return None

    def wait_for_count(self, key: str, value: int) -> None:
        self.wait_until(lambda: self.values().get(key) == str(value), f"{key} = {value}")

    def stop(self, how: int = signal.SIGINT) -> int:
        """Ends the process like Ctrl-C or a launch file; its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            status = self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        if status:
            print(self.log.read_text())
        return status


def to_message(frame: np.ndarray, milliseconds: int) -> Image:
    image = Image(width=WIDTH, height=HEIGHT, encoding="bgr8", step=3 * WIDTH)
    image.header.frame_id = FRAME_ID
    image.header.stamp.sec = milliseconds // 1000
    image.header.stamp.nanosec = milliseconds % 1000 * 10**6
    # rclpy checks every single one of `bytes`, which takes longer than recovery.
    image.data = array.array("B", frame.tobytes())
    return image


def stamp_ms(message: SmplPersonArray) -> int:
    return message.header.stamp.sec * 1000 + message.header.stamp.nanosec // 10**6
