"""The d3pose lifecycle node: images in, people and markers out.

Transitions: configure loads the model, activate subscribes and starts the worker, deactivate stops it,
cleanup frees the model. The executor's thread only hands images over; everything slow happens in the
worker's thread (`pipeline.FramePipeline`).
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.exceptions import InvalidNamespaceException
from rclpy.executors import (
    MultiThreadedExecutor,
    SingleThreadedExecutor,
)
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.signals import SignalHandlerOptions
from rclpy.subscription import Subscription
from sensor_msgs.msg import CompressedImage, Image
from std_srvs.srv import Trigger
from visualization_msgs.msg import MarkerArray

from d3pose_core.errors import D3PoseError
from d3pose_core.recovery import MeshRecovery
from d3pose_ros import diagnostics, input_topics, parameters, qos, resources, shared_memory
from d3pose_ros.entry_points import end_process
from d3pose_ros.graph_watch import GraphWatch
from d3pose_ros.images import DecodedImage
from d3pose_ros.mesh_detail import MESH_OFF
from d3pose_ros.more_outputs import MoreOutputs
from d3pose_ros.msg import SmplPersonArray
from d3pose_ros.parameters import NodeParameters
from d3pose_ros.pipeline import LOG_PERIOD_S, FramePipeline, Outputs
from d3pose_ros.spinning import ending_on_signals, spin
from d3pose_ros.worker import AheadWorker, NewestWorker

# Makes the recovery of one configured node.
RecoveryFactory = Callable[[NodeParameters], MeshRecovery]


def load_recovery(values: NodeParameters) -> MeshRecovery:
    """The recovery that the parameters ask for. Raises D3PoseError, e.g. where model files are missing."""
    import torch

    torch.set_num_threads(values.threads)
    return MeshRecovery.from_pretrained(
        values.weights,
        device=values.device,
        body=values.body,
        max_people=values.max_people,
        stature_m=values.stature_m or None,
        runtime=values.runtime,
        landmarks=values.landmarks,
    )


class D3PoseNode(LifecycleNode):
    """See the module. Publishes ~/people, ~/mesh, ~/skeleton and /diagnostics; serves ~/reset."""

    def __init__(self, recovery_factory: RecoveryFactory = load_recovery, **kwargs: Any) -> None:
        """`kwargs` go to rclpy's LifecycleNode. Raises D3PoseError for an invalid parameter."""
        # Before anything that can fail: destroy_node() needs them.
        self._pipeline: FramePipeline | None = None
        self._worker: NewestWorker[Any] | AheadWorker[Any, Any] | None = None
        self._subscriptions_while_active: list[Subscription] = []
        self.statistics = diagnostics.FrameStatistics()
        self._graph_watch = GraphWatch(self, self.statistics.happened)
        self._failure = ""
        self._recovery_factory = recovery_factory

        super().__init__("d3pose", **kwargs)
        self.parameters = parameters.declare(self)
        self.add_on_set_parameters_callback(self._on_set_parameters)

        # Also while unconfigured: this is where an operator sees why.
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        # By a clock that never stands still or jumps, as simulated time does.
        self.create_timer(
            self.parameters.diagnostics_period_s,
            self._publish_diagnostics,
            clock=Clock(clock_type=ClockType.STEADY_TIME),
        )
        self.create_service(Trigger, "~/reset", self._on_reset)

    # -- Lifecycle

    def autostart(self) -> None:
        """Configures and activates; where that fails, the node waits in the state that it reached."""
        if self.trigger_configure() == TransitionCallbackReturn.SUCCESS:
            self.trigger_activate()

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Loads the model and makes the publishers. On failure the node stays unconfigured."""
        before = list(self.publishers)
        try:
            self._configure(self.parameters)
        except Exception as error:  # torch and others raise many types; none may end the process
            for publisher in list(self.publishers):
                if publisher not in before:
                    self.destroy_lifecycle_publisher(publisher)
            return self._fail("configured", error)
        self._failure = ""
        return super().on_configure(state)

    def _configure(self, values: NodeParameters) -> None:
        self.get_logger().info(
            f"loading {values.weights} on {values.device} with body {values.body}"
        )
        recovery = self._recovery_factory(values)
        overridable = {"qos_overriding_options": qos.overridable()}
        outputs = Outputs(
            people=self.create_lifecycle_publisher(
                SmplPersonArray, "~/people", qos.people(), **overridable
            ),
            mesh=None
            if values.mesh == MESH_OFF
            else self.create_lifecycle_publisher(
                MarkerArray, "~/mesh", qos.markers(), **overridable
            ),
            skeleton=self.create_lifecycle_publisher(
                MarkerArray, "~/skeleton", qos.markers(), **overridable
            ),
            more=MoreOutputs(self, values),
        )
        self._pipeline = FramePipeline(self, recovery, outputs, self.statistics)

    def _fail(self, to_be: str, error: Exception) -> TransitionCallbackReturn:
        """Says why a transition failed, in the log and the diagnostics."""
        # An error made for users is a sentence; of any other the type helps too.
        text = str(error) if isinstance(error, D3PoseError) else f"{type(error).__name__}: {error}"
        self._failure = f"cannot be {to_be}: {text}"
        self.get_logger().error(self._failure)
        return TransitionCallbackReturn.FAILURE

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribes, and begins to process. On failure the node stays inactive."""
        assert self._pipeline is not None
        result = super().on_activate(state)
        before = list(self.subscriptions)
        self._pipeline.begin()
        self._worker = self._start_worker(self._pipeline)
        self.statistics.activated()
        try:
            if self._pipeline.world is not None:
                self._pipeline.world.open(self)
            self._subscriptions_while_active = input_topics.subscribe(
                self,
                self.parameters,
                self._on_image,
                self._pipeline.camera.on_camera_info,
                self._pipeline.depth.buffer.add if self._pipeline.depth else None,
                self._graph_watch.image_events(),
            )
        except Exception as error:  # e.g. a QoS override that does not exist
            self._subscriptions_while_active = [
                subscription for subscription in self.subscriptions if subscription not in before
            ]
            self._stop()
            super().on_deactivate(state)
            return self._fail("activated", error)
        self._failure = ""
        images = self._subscriptions_while_active[-1]
        self._graph_watch.watch(images)
        self.get_logger().info(f"active: waiting for images on {images.topic_name}")
        return result

    def _start_worker(self, pipeline: FramePipeline) -> NewestWorker[Any] | AheadWorker[Any, Any]:
        """Compressed images are decoded in a thread of their own, while the one before is worked on."""
        name = "d3pose-recovery"
        if self.parameters.image_transport == parameters.COMPRESSED:
            return AheadWorker(DecodedImage.of, pipeline.process, name)
        return NewestWorker(pipeline.process, name)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stops, and takes the markers off the viewers' screens."""
        self._stop()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Frees the model."""
        self._free()
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """As deactivate and cleanup, from any state."""
        self._stop()
        self._free()
        return super().on_shutdown(state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """After an unexpected exception in a transition: back to unconfigured."""
        self._stop()
        self._free()
        return super().on_error(state)

    def destroy_node(self) -> None:
        """Also ends the worker."""
        self._stop()
        super().destroy_node()

    def _stop(self) -> None:
        self._graph_watch.watch(None)
        for subscription in self._subscriptions_while_active:
            self.destroy_subscription(subscription)
        self._subscriptions_while_active = []
        if self._worker is not None:
            self._worker.stop()
            self._worker = None
            self.statistics.deactivated()
            if self._pipeline is not None and self.context.ok():
                self._pipeline.clear_markers()
        if self._pipeline is not None and self._pipeline.world is not None:
            self._pipeline.world.close()

    def _free(self) -> None:
        if self._pipeline is not None:
            for publisher in self._pipeline.outputs:
                self.destroy_lifecycle_publisher(publisher)
            self._pipeline.outputs.more.close()
            self._pipeline.close()
            self._pipeline = None

    def callback_failed(self, error: Exception) -> None:
        """Counts and logs an error that nobody caught in a callback of this process."""
        self.statistics.happened("callback_error")
        place = traceback.extract_tb(error.__traceback__)[-1]
        self.get_logger().error(
            f"a callback failed, the node goes on: {error!r} at {place.filename}:{place.lineno}",
            throttle_duration_sec=LOG_PERIOD_S,
        )

    # -- Callbacks; all quick

    def _on_image(self, image: Image | CompressedImage) -> None:
        self.statistics.received()
        if self._worker is None or self._pipeline is None:
            return
        if self.parameters.lazy and not self._pipeline.outputs.wanted():
            self.statistics.dropped(diagnostics.NO_SUBSCRIBER)
        elif self._worker.submit(image) is not None:
            self.statistics.dropped(diagnostics.BUSY)

    def _on_reset(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.success = self._pipeline is not None
        if self._pipeline is not None:
            self._pipeline.request_reset()
            response.message = (
                "the motion of everyone so far is forgotten; track ids go on counting"
            )
        else:
            response.message = "the node is not configured"
        return response

    def _on_set_parameters(self, requested: list[Parameter]) -> SetParametersResult:
        try:
            self.parameters = parameters.changed(
                self.parameters, requested, configured=self._pipeline is not None
            )
        except D3PoseError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def _publish_diagnostics(self) -> None:
        values = self.parameters
        state = diagnostics.NodeState(
            lifecycle=self._state_machine.current_state[1],
            failure=self._failure,
            calibration=self._pipeline.camera.problem if self._pipeline else "",
            silence=self._graph_watch.silence(),
            graph=list(self._graph_watch.problems()),
            thresholds=values,
            settings={
                "weights": values.weights,
                "body": values.body,
                "device": values.device,
                "image publishers": str(self._graph_watch.publishers()),
                **resources.usage(values.device),
            },
        )
        name = self.get_fully_qualified_name()
        self._diagnostics.publish(
            self.statistics.message(
                self.get_clock().now().to_msg(), f"{name.lstrip('/')}: people", "camera", state
            )
        )


def run(make_nodes: Callable[[], Sequence[D3PoseNode]], argv: Sequence[str] | None = None) -> int:
    """Runs nodes until SIGINT or SIGTERM. Exit status 2 for an invalid parameter, name or setting."""
    asked_to_end = ending_on_signals()
    remarks = shared_memory.prepare()
    try:
        rclpy.init(args=argv, signal_handler_options=SignalHandlerOptions.NO)
    except (
        Exception
    ) as error:  # of many types: wrong --ros-args, a log folder that cannot be written, ...
        print(f"d3pose: error: ROS cannot be initialised: {error}", file=sys.stderr)
        return 2
    try:
        nodes = make_nodes()
    except (D3PoseError, InvalidNamespaceException) as error:
        print(f"d3pose: error: {error}", file=sys.stderr)
        rclpy.try_shutdown()
        return 2

    def callback_failed(error: Exception) -> None:
        for node in nodes:
            node.callback_failed(error)

    executor = SingleThreadedExecutor() if len(nodes) == 1 else MultiThreadedExecutor(len(nodes))
    for node in nodes:
        executor.add_node(node)
    for remark in remarks:
        nodes[0].get_logger().warning(remark)
    try:
        for node in nodes:
            if node.parameters.autostart and not asked_to_end.is_set():
                node.autostart()
        spin(executor, asked_to_end, callback_failed)
    finally:
        for node in nodes:
            node.destroy_node()
        executor.shutdown()
        rclpy.try_shutdown()
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """One node; see `d3pose_ros.cameras` for several."""
    return run(lambda: [D3PoseNode()], argv)


if __name__ == "__main__":
    end_process(main())
