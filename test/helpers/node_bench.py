"""The d3pose node with a stand-in for its network, in a graph of publishers and lists."""

from __future__ import annotations

import threading

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, Image

from d3pose_core.body.load import load_body
from d3pose_ros.msg import SmplPersonArray
from d3pose_ros.node import D3PoseNode

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


class StandInRecovery:
    """Returns `people` for every image, and remembers what it was given."""

    def __init__(self) -> None:
        self.body = load_body("free-low")
        self.people = []
        self.calls = []
        self.ups = []
        self.resets = 0
        self.error = None
        self.not_finite = self.turned = 0
        self.may_go_on = threading.Event()
        self.may_go_on.set()

    def __call__(self, image_bgr, stamp_s, intrinsics, up=None):
        self.calls.append((image_bgr, stamp_s, intrinsics))
        self.ups.append(up)
        assert self.may_go_on.wait(20)
        if self.error is not None:
            raise self.error
        return self.people

    def reset(self):
        self.resets += 1

    def limit(self, max_people):
        self.max_people = max_people

    stage_times_ms = {"network": 1.5}  # noqa: RUF012


class Bench:
    """The node, its stand-in, publishers for its inputs and lists of its outputs."""

    def __init__(self, graph, make_image, make_camera_info, **parameters) -> None:
        self.graph = graph
        self.recovery = StandInRecovery()
        parameters = {"camera_info_timeout_s": 0.0, "diagnostics_period_s": 0.1, **parameters}
        self.node = D3PoseNode(
            recovery_factory=lambda values: self.recovery,
            parameter_overrides=[Parameter(name, value=v) for name, v in parameters.items()],
        )
        graph.add(self.node)
        self.make_image, self.make_camera_info = make_image, make_camera_info
        publish = graph.node.create_publisher
        self.images = publish(Image, "image", qos_profile_sensor_data)
        self.infos = publish(CameraInfo, "camera_info", qos_profile_sensor_data)
        self.people = graph.collect(SmplPersonArray, "d3pose/people")
        self.diagnostics = graph.collect(DiagnosticArray, "/diagnostics")

    def start(self) -> Bench:
        assert self.node.trigger_configure() == SUCCESS
        assert self.node.trigger_activate() == SUCCESS
        self.graph.wait_until(lambda: self.images.get_subscription_count(), "image subscription")
        self.graph.wait_until(lambda: self.infos.get_subscription_count(), "info subscription")
        self.graph.wait_until(self._outputs_connected, "subscribers of people")
        return self

    def _outputs_connected(self) -> bool:
        return self.node._pipeline.outputs.people.get_subscription_count() > 0

    def send(self, stamp_s: float, **image) -> None:
        self.images.publish(self.make_image(stamp_s, **image))

    def counts(self) -> dict[str, str]:
        """The values of the newest diagnostics."""
        return {pair.key: pair.value for pair in self.diagnostics[-1].status[0].values}

    def wait_for_count(self, key: str, value: int) -> None:
        self.graph.wait_until(
            lambda: self.diagnostics and self.counts().get(key) == str(value), f"{key} = {value}"
        )
