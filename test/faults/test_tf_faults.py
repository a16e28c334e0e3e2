"""TF that is absent, late, looped or nonsense, with people asked for in a frame of the world."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from geometry_msgs.msg import TransformStamped
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from d3pose_ros.transforms import tf_message_type
from test.helpers.fault_node import FRAME_ID, FaultNode, stamp

NAN = float("nan")
UNIT = (0.0, 0.0, 0.0, 1.0)


def transform(child: str, parent: str, milliseconds: int, rotation=UNIT, x: float = 0.0):
    stamped = TransformStamped(child_frame_id=child)
    stamped.header.frame_id = parent
    stamp(stamped, milliseconds)
    stamped.transform.translation.x = x
    r = stamped.transform.rotation
    r.x, r.y, r.z, r.w = rotation
    return stamped


class Tf:
    """What a robot says of its frames."""

    def __init__(self, graph) -> None:
        latched = QoSProfile(
            depth=10,
            durability=DurabilityPolicy.TRANSIENT_LOCAL,
            reliability=ReliabilityPolicy.RELIABLE,
        )
        self._type = tf_message_type()
        self._publishers = [
            graph.node.create_publisher(self._type, "/tf", 100),
            graph.node.create_publisher(self._type, "/tf_static", latched),
        ]
        self._graph = graph

    def send(self, *transforms: TransformStamped, static: bool = False) -> None:
        self._publishers[static].publish(self._type(transforms=list(transforms)))

    def wait_for_listener(self, node: FaultNode) -> None:
        for publisher in self._publishers:
            node.wait_until(publisher.get_subscription_count, "the node to listen to TF")

    def close(self) -> None:
        for publisher in self._publishers:
            self._graph.node.destroy_publisher(publisher)


@pytest.fixture(scope="module")
def in_odom(scripted, graph) -> Iterator[FaultNode]:
    scripted.begin()
    scripted.reconfigure(target_frame="odom", tf_timeout_s=0.05)
    yield scripted
    scripted.reconfigure(target_frame="", tf_timeout_s=0.1)
    scripted.connect()


@pytest.fixture
def tf(graph, in_odom) -> Iterator[Tf]:
    """Nothing is known of any frame when a scenario begins."""
    node = in_odom
    node.reconfigure()
    tf = Tf(graph)
    tf.wait_for_listener(node)
    node.mark()
    yield tf
    # Whatever was heard before: with transforms at its stamp an image is answered.
    is_well(node, tf)
    tf.close()


def is_well(node: FaultNode, tf: Tf) -> None:
    """The camera stands 5 m from odom's origin, as soon as that is said of the image's moment."""
    before = len(node.people)

    def both() -> None:
        image = node.next(count=1, first=7)
        milliseconds = node.stamp_ms
        tf.send(*(transform(FRAME_ID, "odom", milliseconds + d, x=5.0) for d in (-20, 20)))
        node.send(image)

    node.wait_until(lambda: len(node.people) > before + 2, "people in odom", between=both)
    assert node.people[-1].header.frame_id == "odom"
    assert 3.0 < node.people[-1].persons[0].joints[0].x < 7.0
    assert "Traceback" not in node.said()


def test_tf_that_is_absent(in_odom, tf):
    for _ in range(2):
        in_odom.dropped("tf_unknown_frame", in_odom.next(count=1))
    in_odom.wait_for_log("no transform was ever received for the frame 'odom'")
    assert not in_odom.people


def test_tf_that_comes_late_is_waited_for_and_then_not(in_odom, tf):
    is_well(in_odom, tf)
    in_odom.stamp_ms += 1000
    in_odom.dropped("tf_too_late", in_odom.next(count=1))
    in_odom.wait_for_log("no transform yet of camera_optical_frame in odom")


def test_frames_in_a_circle(in_odom, tf):
    def loop() -> None:
        tf.send(
            transform(FRAME_ID, "base", 0),
            transform("base", FRAME_ID, 0),
            transform("odom", "map", 0),
        )
        in_odom.send(in_odom.next(count=1))

    in_odom.wait_until(lambda: in_odom.added("dropped/tf_loop"), "the loop", between=loop)
    in_odom.wait_for_log("frames in a circle")


def test_two_trees(in_odom, tf):
    def trees() -> None:
        tf.send(transform(FRAME_ID, "base", 0), transform("odom", "map", 0))
        in_odom.send(in_odom.next(count=1))

    in_odom.wait_until(
        lambda: in_odom.added("dropped/tf_not_connected"), "two trees", between=trees
    )
    in_odom.wait_for_log("are in separate trees")


@pytest.mark.parametrize("rotation", [(NAN, 0.0, 0.0, 1.0), (0.0, 0.0, 0.0, 0.0)])
def test_a_transform_that_is_none_is_ignored(in_odom, tf, rotation):
    def wrong() -> None:
        tf.send(transform(FRAME_ID, "odom", in_odom.stamp_ms, rotation=rotation))

    in_odom.wait_until(
        lambda: in_odom.added("tf/invalid_transform"), "it to be counted", between=wrong
    )
    in_odom.wait_for_log("ignored a transform of camera_optical_frame")
    in_odom.dropped("tf_unknown_frame", in_odom.next(count=1))


def test_a_quaternion_of_another_length_is_made_one(in_odom, tf):
    before = len(in_odom.people)

    def long() -> None:
        image = in_odom.next(count=1, first=3)
        at = in_odom.stamp_ms
        tf.send(
            *(transform(FRAME_ID, "odom", at + d, (0.0, 0.0, 0.0, 40.0), 5.0) for d in (-20, 20))
        )
        in_odom.send(image)

    in_odom.wait_until(lambda: len(in_odom.people) > before, "people in odom", between=long)
    assert 3.0 < in_odom.people[-1].persons[0].joints[0].x < 7.0


def test_an_image_without_a_stamp_has_no_place(in_odom, tf):
    in_odom.dropped("tf_unstamped_image", stamp(in_odom.next(count=1), 0))
