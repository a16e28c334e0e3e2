"""The buffer against a slow reference, and against tf2 where that is installed."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from geometry_msgs.msg import TransformStamped
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation, Slerp

from d3pose_core.errors import InputError
from d3pose_core.rigid import RigidTransform
from d3pose_ros.tf_buffer import CACHE_NS, MAX_FRAMES, TransformBuffer
from d3pose_ros.transform_error import Cause, TransformError
from d3pose_ros.transforms import OwnSource, tf_message_type

S = 10**9


def random_transform(random: np.random.Generator) -> RigidTransform:
    rotation = Rotation.random(random_state=random.integers(2**31)).as_matrix()
    return RigidTransform(rotation, random.normal(size=3))


def matrix(transform: RigidTransform) -> np.ndarray:
    result = np.eye(4)
    result[:3, :3], result[:3, 3] = transform.rotation, transform.translation
    return result


def shift(x: float) -> RigidTransform:
    return RigidTransform(np.eye(3), np.array([x, 0.0, 0.0]))


def reference(tree: dict, frame: str, stamp_ns: int) -> np.ndarray:
    """4x4 of `frame` in the root, with scipy's slerp; `tree`: child -> (parent, {stamp: transform})."""
    if frame not in tree:
        return np.eye(4)
    parent, samples = tree[frame]
    stamps = sorted(samples)
    place = np.eye(4)
    rotations = Rotation.from_matrix([samples[s].rotation for s in stamps])
    # Relative to the first: float64 does not hold nanoseconds since 1970.
    seconds = [(s - stamps[0]) / S for s in stamps]
    now = (stamp_ns - stamps[0]) / S
    place[:3, :3] = Slerp(seconds, rotations)(now).as_matrix()
    columns = np.array([samples[s].translation for s in stamps]).T
    place[:3, 3] = [np.interp(now, seconds, column) for column in columns]
    return reference(tree, parent, stamp_ns) @ place


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10_000), st.integers(2, 7), st.floats(0, 1))
def test_random_trees_at_random_times(seed, frames, share):
    random = np.random.default_rng(seed)
    start, buffer, tree = 1_700_000_000 * S, TransformBuffer(), {}
    for child in range(1, frames):
        parent = f"f{random.integers(child)}"
        offsets = {0, 2 * S, *random.integers(1, 2 * S, size=4).tolist()}
        samples = {start + offset: random_transform(random) for offset in offsets}
        tree[f"f{child}"] = (parent, samples)
        for stamp in random.permutation(sorted(samples)).tolist():
            buffer.insert(parent, f"/f{child}", stamp, samples[stamp], static=False)
    stamp = start + int(share * 2 * S)
    target, source = (f"f{k}" for k in random.integers(frames, size=2))
    expected = np.linalg.inv(reference(tree, target, stamp)) @ reference(tree, source, stamp)
    np.testing.assert_allclose(matrix(buffer.lookup(target, source, stamp)), expected, atol=1e-9)


def cause_of(buffer: TransformBuffer, target: str, source: str, stamp_ns: int) -> Cause:
    with pytest.raises(TransformError) as caught:
        buffer.lookup(target, source, stamp_ns)
    return caught.value.cause


def test_every_failure_has_its_cause():
    buffer = TransformBuffer()
    buffer.insert("odom", "base", 1 * S, shift(1), static=False)
    buffer.insert("odom", "base", 2 * S, shift(2), static=False)
    buffer.insert("base", "camera", 0, shift(10), static=True)
    buffer.insert("elsewhere", "island", 0, shift(0), static=True)
    found = buffer.lookup("odom", "camera", 3 * S // 2)
    np.testing.assert_allclose(found.translation, (11.5, 0, 0))
    np.testing.assert_allclose(buffer.lookup("camera", "base", 99 * S).translation, (-10, 0, 0))
    assert cause_of(buffer, "odom", "camera", 2 * S + 1) is Cause.FUTURE
    assert cause_of(buffer, "odom", "camera", 1 * S - 1) is Cause.PAST
    assert cause_of(buffer, "map", "camera", 1 * S) is Cause.UNKNOWN
    assert cause_of(buffer, "odom", "island", 1 * S) is Cause.NOT_CONNECTED
    buffer.insert("base", "odom", 1 * S, shift(0), static=False)
    assert cause_of(buffer, "odom", "camera", 1 * S) is Cause.LOOP


def test_a_frame_has_one_parent_at_a_time():
    buffer = TransformBuffer()
    buffer.insert("a", "c", 1 * S, shift(1), static=False)
    buffer.insert("b", "c", 1 * S, shift(2), static=False)
    np.testing.assert_allclose(buffer.lookup("b", "c", 1 * S).translation, (2, 0, 0))
    assert cause_of(buffer, "a", "c", 1 * S) is Cause.UNKNOWN


def test_memory_is_bounded():
    buffer = TransformBuffer()
    for k in range(1500):
        buffer.insert("odom", "base", k * S // 50, shift(k), static=False)
    link = buffer._links["base"]
    assert len(link.stamps_ns) == len(link.transforms) == CACHE_NS * 50 // S + 1
    buffer.insert("base", "camera", 0, shift(0), static=True)
    for k in range(MAX_FRAMES + 50):
        buffer.insert("odom", f"body_{k}", S, shift(k), static=False)
    assert len(buffer._links) == MAX_FRAMES + 1
    assert "camera" in buffer._links
    assert f"body_{MAX_FRAMES + 49}" in buffer._links


def test_many_static_frames_push_no_moving_one_out():
    buffer = TransformBuffer()
    for k in range(MAX_FRAMES + 50):
        buffer.insert("base", f"link_{k}", 0, shift(k), static=True)
    buffer.insert("odom", "base", S, shift(5), static=False)
    for k in range(MAX_FRAMES // 2 + 100):
        buffer.insert("odom", f"body_{k}", S, shift(k), static=False)
    np.testing.assert_allclose(buffer.lookup("odom", "link_2", S).translation, (7, 0, 0))
    np.testing.assert_allclose(buffer.lookup("odom", "body_0", S).translation, (0, 0, 0))


def test_every_frame_knows_where_it_is_in_itself():
    """As tf2: also one of which no transform was ever received, at any time."""
    found = TransformBuffer().lookup("camera", "/camera", S)
    np.testing.assert_array_equal(found.translation, (0, 0, 0))
    np.testing.assert_array_equal(found.rotation, np.eye(3))


def test_a_bag_that_starts_again():
    buffer = TransformBuffer()
    for k in range(600):
        buffer.insert("odom", "base", (100 + k) * S // 10, shift(k), static=False)
    buffer.insert("odom", "base", 100 * S // 10, shift(-1), static=False)
    np.testing.assert_allclose(buffer.lookup("odom", "base", 10 * S).translation, (-1, 0, 0))
    assert cause_of(buffer, "odom", "base", 15 * S) is Cause.FUTURE

    for k in range(1, 60):
        buffer.insert("odom", "base", (100 + k) * S // 10, shift(k), static=False)
    buffer.forget_after(12 * S)
    assert cause_of(buffer, "odom", "base", 13 * S) is Cause.FUTURE
    buffer.lookup("odom", "base", 12 * S)


def test_waiting_ends_with_the_next_transform():
    buffer = TransformBuffer()
    started = time.monotonic()
    threading.Timer(0.05, buffer.insert, ("a", "b", S, shift(1), False)).start()
    buffer.wait(20.0)
    assert time.monotonic() - started < 10
    buffer.lookup("a", "b", S)


def test_tf2_gives_the_same_answers():
    tf2 = pytest.importorskip("tf2_py", reason="tf2_py comes with a ROS 2 installation only")
    from geometry_msgs.msg import TransformStamped
    from rclpy.duration import Duration
    from rclpy.time import Time

    from d3pose_ros.transforms import from_message, to_message

    random, buffer = np.random.default_rng(3), TransformBuffer()
    theirs = tf2.BufferCore(Duration(seconds=10))
    for child, parent in (("base", "odom"), ("neck", "base"), ("camera", "neck"), ("odom", "map")):
        for stamp in [*np.sort(random.integers(S, 3 * S, size=8)).tolist(), 3 * S]:
            transform = random_transform(random)
            buffer.insert(parent, child, stamp, transform, static=child == "camera")
            message = TransformStamped(child_frame_id=child, transform=to_message(transform))
            message.header.frame_id = parent
            message.header.stamp = Time(nanoseconds=stamp).to_msg()
            set_one = theirs.set_transform_static if child == "camera" else theirs.set_transform
            set_one(message, "test")
    compared = 0
    for stamp in random.integers(S, 3 * S + S // 10, size=200).tolist():
        try:
            ours = buffer.lookup("map", "camera", stamp)
        except TransformError:
            with pytest.raises(tf2.ExtrapolationException):
                theirs.lookup_transform_core("map", "camera", Time(nanoseconds=stamp))
            continue
        answer = theirs.lookup_transform_core("map", "camera", Time(nanoseconds=stamp))
        np.testing.assert_allclose(matrix(ours), matrix(from_message(answer.transform)), atol=1e-7)
        compared += 1
    assert compared > 50


@pytest.mark.parametrize(("parent", "child"), [("a", "a"), ("/a", "a"), ("", "a"), ("a", "")])
def test_what_is_no_transform_between_two_frames(parent, child):
    with pytest.raises(InputError, match="two frames"):
        TransformBuffer().insert(parent, child, S, shift(1), static=False)


class _Node:
    """What OwnSource asks of a node."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def create_subscription(self, *_: object) -> None:
        pass

    def get_logger(self) -> _Node:
        return self

    def warning(self, text: str, **_: object) -> None:
        self.said.append(text)


def test_what_is_odd_in_tf_is_counted_and_said():
    """Two nodes that publish one frame in different parents; a frame in itself."""
    node, counted = _Node(), []
    source = OwnSource(node, count=counted.append)

    def send(parent: str, seconds: int) -> None:
        stamped = TransformStamped(child_frame_id="base")
        stamped.header.frame_id, stamped.header.stamp.sec = parent, seconds
        stamped.transform.rotation.w = 1.0
        source._on_tf(tf_message_type()(transforms=[stamped]))

    send("odom", 1)
    send("/odom", 2)
    assert counted == []
    send("map", 2)
    assert counted == ["tf/parent_changed"]
    assert "base was in odom and is now in map" in node.said[-1]
    send("base", 3)
    assert counted[1:] == ["tf/invalid_transform"]
    assert "not a transform between two frames" in node.said[-1]
