"""What happens to one image in the worker's thread: convert, recover, publish, count."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from time import monotonic, perf_counter
from typing import TYPE_CHECKING

from rclpy.lifecycle import LifecyclePublisher
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from d3pose_core.recovery import MeshRecovery, RecoveredPerson
from d3pose_ros import diagnostics, input_topics, markers, stream
from d3pose_ros.camera_view import CameraView
from d3pose_ros.depth_stage import DepthStage
from d3pose_ros.images import DecodedImage, ImageError, to_bgr
from d3pose_ros.mesh_detail import mesh_body
from d3pose_ros.messages import people_to_message
from d3pose_ros.more_outputs import MoreOutputs
from d3pose_ros.stream import StreamWatch
from d3pose_ros.transform_error import TransformError
from d3pose_ros.world_stage import WorldStage

if TYPE_CHECKING:
    from d3pose_ros.node import D3PoseNode

LOG_PERIOD_S = 5.0
LONGEST_LOG = 600  # characters
RECOVERY_ERROR = "recovery_error"


@dataclass(frozen=True)
class Outputs:
    """The publishers that belong to people."""

    people: LifecyclePublisher
    mesh: LifecyclePublisher | None  # None: the parameter mesh is off
    skeleton: LifecyclePublisher
    more: MoreOutputs

    def __iter__(self) -> Iterator[LifecyclePublisher]:
        return iter(p for p in (self.people, self.mesh, self.skeleton) if p is not None)

    def wanted(self) -> bool:
        """Whether anybody subscribes to any of them."""
        return self.more.wanted() or any(p.get_subscription_count() for p in self)


class FramePipeline:
    """One configured recovery with its outputs. `process` runs in the worker's thread, the rest in any."""

    def __init__(
        self,
        node: D3PoseNode,
        recovery: MeshRecovery,
        outputs: Outputs,
        statistics: diagnostics.FrameStatistics,
    ) -> None:
        self.outputs = outputs
        self._node = node
        self._logger = node.get_logger()
        self._recovery = recovery
        self._statistics = statistics
        topic = input_topics.image_topic(node, node.parameters.image_transport)
        self.camera = CameraView(topic, self._logger.warning, self._logger.info)
        self.depth: DepthStage | None = None
        if node.parameters.use_depth:
            self.depth = DepthStage(recovery.body, statistics.happened, self._warn)
        self.world: WorldStage | None = None
        if node.parameters.target_frame:
            self.world = WorldStage(
                node.parameters.target_frame, statistics.happened, node.parameters.target_frame_z
            )
            recovery.smooth_distance = False
        self._mesh_body = mesh_body(node.parameters, recovery.body)
        self._max_people = node.parameters.max_people
        self._stream = StreamWatch()
        self._reset_requested = threading.Event()
        self._next_log_s: dict[str, float] = {}
        self._shown_meshes = markers.ShownMarkers([markers.MESH_NAMESPACE])
        self._shown_skeletons = markers.ShownMarkers(
            [markers.BONES_NAMESPACE, markers.JOINTS_NAMESPACE, markers.LABELS_NAMESPACE]
        )
        self._next_markers_s = 0.0

    def begin(self) -> None:
        """The next image begins a stream. Only while the worker does not run."""
        self._stream.clear()
        self.request_reset()

    def request_reset(self) -> None:
        """Forgets all motion before the next image: in the worker's thread, which owns the recovery."""
        self._reset_requested.set()

    def clear_markers(self) -> None:
        """Takes all markers off the viewers' screens. Only while the worker does not run."""
        if self.outputs.mesh is not None:
            self.outputs.mesh.publish(self._shown_meshes.clear())
        self.outputs.skeleton.publish(self._shown_skeletons.clear())
        self.outputs.more.clear()

    def close(self) -> None:
        """Frees the device's memory. Only while the worker does not run."""
        on_cuda = self._node.parameters.device.startswith("cuda")
        del self._recovery, self._mesh_body
        self.depth = None
        gc.collect()  # modules may refer to each other, and then live until somebody looks
        if on_cuda:
            import torch

            torch.cuda.empty_cache()

    def process(self, image: Image | CompressedImage | DecodedImage) -> None:
        """One image, from message to messages. Never raises: what goes wrong is counted and logged."""
        try:
            self._process(image)
        except ImageError as error:
            self._drop(error.cause, str(error))
        except TransformError as error:
            self._drop(error.cause.value, f"no people in {self._target_frame()}: {error}")
        except Exception as error:
            if not self._node.context.ok():
                return  # the process is ending, and took the publishers away
            self._drop(RECOVERY_ERROR, f"an image could not be processed: {error!r}")

    def _process(self, received: Image | CompressedImage | DecodedImage) -> None:
        started = perf_counter()
        if isinstance(received, DecodedImage):
            image, frame = received.message, received.pixels()
            started -= received.took_s  # as if it had been done here
        else:
            image, frame = received, to_bgr(received)
        stamp_s = image.header.stamp.sec + image.header.stamp.nanosec * 1e-9
        height, width = frame.shape[:2]
        self._watch_stream(image, width, height)
        intrinsics = self.camera.intrinsics(width, height, self._node.parameters)
        if intrinsics is None:
            self._statistics.dropped(diagnostics.WAITING_FOR_CAMERA_INFO)
            return
        if self.camera.is_of_other_frame(image.header.frame_id):
            self._statistics.happened("camera_info/other_frame")
        self._limit_people(self._node.parameters.max_people)
        converted = perf_counter()
        stages = {"convert": (converted - started) * 1e3}
        camera = up = None
        if self.world is not None:
            camera = self.world.camera(image.header, self._node.parameters.tf_timeout_s)
            up = self.world.up(camera)
            if odd := self.world.odd_tilt(up):
                self._statistics.happened("tf/odd_tilt")
                self._warn("tf/odd_tilt", odd)
                up = None
            stages["tf"] = (perf_counter() - converted) * 1e3
            if far := self.world.far_from_origin(camera):
                self._statistics.happened("tf/far_from_origin")
                self._warn("tf/far_from_origin", far)
        people = self._recovery(frame, stamp_s, intrinsics, up)
        stages.update(self._recovery.stage_times_ms)
        if self._recovery.turned:
            self._statistics.happened("people/turned")
        if self._recovery.not_finite:
            self._statistics.happened("people/not_finite")
            self._warn(
                "people/not_finite",
                f"{self._recovery.not_finite} people of an image came out as nan or inf: left out, and "
                "begun anew. Are weights or camera_info damaged?",
            )

        recovered = perf_counter()
        if self.depth is not None:
            people = self.depth(people, image.header, intrinsics, self._node.parameters)
            stages["depth"] = (perf_counter() - recovered) * 1e3
            recovered = perf_counter()
        header = image.header
        if self.world is not None and camera is not None:
            header, people = self.world(people, camera, header)
        body = self._recovery.body
        self.outputs.people.publish(people_to_message(header, people, body.name, body.gender))
        self.outputs.more.publish(image.header, header, people, width, height)
        published = perf_counter()
        stages["publish"] = (published - recovered) * 1e3
        stages["total"] = (published - started) * 1e3
        stages[diagnostics.AGE] = self._node.get_clock().now().nanoseconds * 1e-6 - stamp_s * 1e3
        if self._markers_due():
            self._publish_markers(header, people)
            stages["markers"] = (perf_counter() - published) * 1e3
        ids = [person.track_id for person in people]
        self._statistics.processed(ids, stages, self.camera.cause)

    def _watch_stream(self, image: Image | CompressedImage, width: int, height: int) -> None:
        """Starts anew where the image says so, or somebody asked for it. Raises ImageError."""
        for event in self._stream.check(image, width, height):
            name = f"stream/{event.name}"
            self._statistics.happened(name)
            self._warn(name, event.text)
            if event.starts_anew:
                self._reset_requested.set()
            if event.name == stream.TIME_WENT_BACK and self.world is not None:
                self.world.time_restarted(image.header.stamp)
        if self._reset_requested.is_set():
            self._reset_requested.clear()
            self._recovery.reset()
            if self.world is not None:
                self.world.reset()
            if self.depth is not None:
                self.depth.reset()

    def _limit_people(self, max_people: int) -> None:
        """Follows the parameter, in the thread that owns the recovery."""
        if max_people != self._max_people:
            self._max_people = max_people
            self._recovery.limit(max_people)

    def _markers_due(self) -> bool:
        """At most `marker_rate_hz` times a second."""
        rate = self._node.parameters.marker_rate_hz
        now = monotonic()
        if rate > 0 and now < self._next_markers_s:
            return False
        if rate > 0:
            # Counting from the last due time keeps the rate; after a pause there is no burst.
            self._next_markers_s += 1 / rate
            if self._next_markers_s <= now:
                self._next_markers_s = now + 1 / rate
        return True

    def _publish_markers(self, header: Header, people: list[RecoveredPerson]) -> None:
        values = self._node.parameters
        ids = [person.track_id for person in people]
        if self.outputs.mesh is not None and self.outputs.mesh.get_subscription_count():
            body = self._mesh_body
            message = markers.mesh_message(
                header,
                dict(zip(ids, body.meshes(people), strict=True)),
                body.faces,
                values.marker_lifetime_s,
                self._shown_meshes.deletions(header, ids),
            )
            self.outputs.mesh.publish(message)
        if self.outputs.skeleton.get_subscription_count():
            gone = self._shown_skeletons.deletions(header, ids)
            message = markers.skeleton_message(
                header, people, values.marker_lifetime_s, gone, values.labels
            )
            self.outputs.skeleton.publish(message)

    def _target_frame(self) -> str:
        return self.world.target_frame if self.world is not None else ""

    def _drop(self, cause: str, message: str) -> None:
        """Counts the image, and says why."""
        self._statistics.dropped(cause)
        self._warn(cause, message)

    def _warn(self, cause: str, message: str) -> None:
        """Each cause at most every LOG_PERIOD_S."""
        now = monotonic()
        if now >= self._next_log_s.get(cause, 0.0):
            self._next_log_s[cause] = now + LOG_PERIOD_S
            self._logger.warning(_clipped(message))


def _clipped(message: str) -> str:
    """Without the middle of what a message's long field made of it."""
    if len(message) <= LONGEST_LOG:
        return message
    return f"{message[: LONGEST_LOG // 2]} [...] {message[-LONGEST_LOG // 2 :]}"
