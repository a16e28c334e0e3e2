"""Where the camera was when an image was taken: TF look-ups at the image's stamp.

With tf2_ros where it is installed, else with our own buffer (`tf_buffer`) over /tf and /tf_static.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Protocol

from builtin_interfaces.msg import Time
from geometry_msgs.msg import Quaternion, Transform, TransformStamped, Vector3
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from std_msgs.msg import Header

from d3pose_core.errors import InputError
from d3pose_core.rigid import RigidTransform, quaternion_of
from d3pose_ros.tf_buffer import TransformBuffer
from d3pose_ros.transform_error import CURABLE, Cause, TransformError

POLL_S = 0.005
LOG_PERIOD_S = 5.0


class TransformSource(Protocol):
    """Listens to TF while it is open."""

    def lookup(self, target: str, source: str, stamp: Time) -> RigidTransform:
        """The frame `source` in `target`, at once. Raises TransformError."""
        ...

    def wait(self, timeout_s: float) -> None:
        """Until something new may be known, at most `timeout_s`."""
        ...

    def time_restarted(self, stamp: Time) -> None:
        """Images go on from `stamp`, which is earlier than before."""
        ...

    def close(self) -> None:
        """Stops listening. From the thread that made it."""
        ...


def open_source(node: Node, count: Callable[[str], object] = lambda event: None) -> TransformSource:
    """Listens with tf2_ros, or without it. `count` is told events by name; tf2 only logs them.

    Raises:
        InputError: there is neither tf2_ros nor tf2_msgs.
    """
    try:
        import tf2_ros  # noqa: F401
    except ImportError:
        return OwnSource(node, count=count)
    return Tf2Source(node)


def camera_in(
    source: TransformSource, target: str, header: Header, timeout_s: float
) -> RigidTransform:
    """The camera that took the image with `header`, in the frame `target`; waits for at most `timeout_s`.

    For the worker's thread: the executor's has to go on receiving what is waited for.

    Raises:
        TransformError: the cause that was left when the time was over.
    """
    if header.stamp.sec == 0 and header.stamp.nanosec == 0:
        # To tf2 that means "the newest transform": an answer, and not one about this image.
        raise TransformError(
            Cause.UNSTAMPED, "the image has no stamp, so TF cannot be asked for it"
        )
    if not header.frame_id.strip("/"):
        raise TransformError(
            Cause.NAMELESS,
            "the image's header has no frame_id, so TF cannot be asked where its camera is: set the camera "
            "driver's frame_id (often the parameter frame_id or camera_frame_id)",
        )
    deadline = monotonic() + timeout_s
    while True:
        try:
            return source.lookup(target, header.frame_id, header.stamp)
        except TransformError as error:
            left = deadline - monotonic()
            if error.cause not in CURABLE or left <= 0:
                raise
        source.wait(left)


class OwnSource:
    """Our own buffer, filled from /tf and /tf_static."""

    def __init__(
        self,
        node: Node,
        buffer: TransformBuffer | None = None,
        count: Callable[[str], object] = lambda event: None,
    ) -> None:
        self._count = count
        message_type = tf_message_type()
        self.buffer = buffer or TransformBuffer()
        self._node = node
        latched = QoSProfile(
            depth=100,
            durability=DurabilityPolicy.TRANSIENT_LOCAL,
            reliability=ReliabilityPolicy.RELIABLE,
        )
        # Best effort receives from every publisher; what is lost is interpolated.
        volatile = QoSProfile(depth=100, reliability=ReliabilityPolicy.BEST_EFFORT)
        self._subscriptions = [
            node.create_subscription(message_type, "/tf", self._on_tf, volatile),
            node.create_subscription(message_type, "/tf_static", self._on_tf_static, latched),
        ]

    def _on_tf(self, message) -> None:
        self._insert(message.transforms, static=False)

    def _on_tf_static(self, message) -> None:
        self._insert(message.transforms, static=True)

    def _insert(self, transforms: list[TransformStamped], static: bool) -> None:
        for stamped in transforms:
            try:
                before = self.buffer.insert(
                    stamped.header.frame_id,
                    stamped.child_frame_id,
                    nanoseconds(stamped.header.stamp),
                    from_message(stamped.transform),
                    static,
                )
            except InputError as error:
                self._count("tf/invalid_transform")
                self._node.get_logger().warning(
                    f"ignored a transform of {stamped.child_frame_id[:100]}: {error}",
                    throttle_duration_sec=LOG_PERIOD_S,
                )
                continue
            if before:
                self._count("tf/parent_changed")
                self._node.get_logger().warning(
                    f"{stamped.child_frame_id[:100]} was in {before[:100]} and is now in "
                    f"{stamped.header.frame_id[:100]}: a frame has one parent, and where it was before is "
                    "forgotten. Do two nodes publish it?",
                    throttle_duration_sec=LOG_PERIOD_S,
                )

    def lookup(self, target: str, source: str, stamp: Time) -> RigidTransform:
        return self.buffer.lookup(target, source, nanoseconds(stamp))

    def wait(self, timeout_s: float) -> None:
        self.buffer.wait(timeout_s)

    def time_restarted(self, stamp: Time) -> None:
        # Transforms may be a little ahead of the image that showed the restart.
        self.buffer.forget_after(nanoseconds(stamp) + 10**9)

    def close(self) -> None:
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)


class Tf2Source:
    """tf2_ros."""

    def __init__(self, node: Node) -> None:
        import tf2_ros

        self._tf2 = tf2_ros
        # Given the node, it would offer a service /tf2_frames, which stays when the listener goes.
        self._buffer = tf2_ros.Buffer()
        self._listener = tf2_ros.TransformListener(self._buffer, node, spin_thread=False)

    def lookup(self, target: str, source: str, stamp: Time) -> RigidTransform:
        from rclpy.time import Time as ClockTime

        tf2 = self._tf2
        try:
            found = self._buffer.lookup_transform_core(
                target.lstrip("/"), source.lstrip("/"), ClockTime.from_msg(stamp)
            )
        except tf2.ExtrapolationException as error:
            past = "into the past" in str(error)
            raise TransformError(Cause.PAST if past else Cause.FUTURE, str(error)) from error
        except tf2.LookupException as error:
            raise TransformError(Cause.UNKNOWN, str(error)) from error
        except tf2.ConnectivityException as error:
            raise TransformError(Cause.NOT_CONNECTED, str(error)) from error
        except tf2.TransformException as error:
            loop = "loop" in str(error)
            raise TransformError(Cause.LOOP if loop else Cause.OTHER, str(error)) from error
        return from_message(found.transform)

    def wait(self, timeout_s: float) -> None:
        from time import sleep

        sleep(min(timeout_s, POLL_S))  # the buffer tells nobody when it changes

    def time_restarted(self, stamp: Time) -> None:
        self._buffer.clear()  # all that it offers

    def close(self) -> None:
        self._listener.unregister()
        if hasattr(self._buffer, "jump_handle"):  # not in Humble
            self._buffer.jump_handle.unregister()  # it would keep the buffer alive


def tf_message_type() -> type:
    """tf2_msgs/TFMessage. Raises InputError where there is none."""
    try:
        from tf2_msgs.msg import TFMessage
    except ImportError as error:
        raise InputError(
            "TF needs the package tf2_msgs: sudo apt-get install ros-$ROS_DISTRO-tf2-msgs, or build "
            "d3pose_ros with pip, which makes it"
        ) from error
    return TFMessage


def nanoseconds(stamp: Time) -> int:
    """Since 1970, or since the simulation began."""
    return stamp.sec * 10**9 + stamp.nanosec


def from_message(message: Transform) -> RigidTransform:
    """Raises InputError for one that is not a rigid transform."""
    t, q = message.translation, message.rotation
    return RigidTransform.from_quaternion((q.x, q.y, q.z, q.w), (t.x, t.y, t.z))


def to_message(transform: RigidTransform) -> Transform:
    """The inverse of `from_message`."""
    x, y, z = transform.translation.tolist()
    qx, qy, qz, qw = quaternion_of(transform.rotation).tolist()
    return Transform(
        translation=Vector3(x=x, y=y, z=z), rotation=Quaternion(x=qx, y=qy, z=qz, w=qw)
    )
