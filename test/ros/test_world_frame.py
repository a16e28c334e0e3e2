"""`target_frame`: people of a moving camera where they are in odom, by TF at the image's stamp."""

from __future__ import annotations

import sys
from time import monotonic

import numpy as np
import pytest
from geometry_msgs.msg import TransformStamped

from d3pose_core.errors import InputError
from d3pose_core.rigid import RigidTransform, rotation_matrix
from d3pose_core.world import into_frame
from d3pose_ros.transform_error import TransformError
from d3pose_ros.transforms import to_message
from d3pose_ros.world_stage import WorldStage, z_is_up
from test.helpers.node_bench import Bench

tf2_msgs = pytest.importorskip("tf2_msgs.msg", reason="no tf2_msgs: pip's build makes one")
FRAME = "camera_optical_frame"


def camera_at(stamp_s: float) -> RigidTransform:
    turn = rotation_matrix(np.array([0.2, 0.5 * stamp_s, 0.1]))
    return RigidTransform(turn, np.array([0.8 * stamp_s, -1.0, 0.5]))


class WorldBench(Bench):
    """A bench whose camera moves, with somebody who stands in odom."""

    def __init__(self, graph, make_image, make_camera_info, **parameters) -> None:
        super().__init__(graph, make_image, make_camera_info, **parameters)
        self.tf = graph.node.create_publisher(tf2_msgs.TFMessage, "/tf", 100)

    def start(self) -> WorldBench:
        super().start()
        self.graph.wait_until(self.tf.get_subscription_count, "the node to listen to TF")
        return self

    def send_tf(self, stamp_s: float, late_s: float = 0.0) -> None:
        """The camera's pose at `stamp_s`; `late_s`: that of so much earlier, wrongly stamped."""
        message = TransformStamped(child_frame_id=FRAME)
        message.header.frame_id = "odom"
        message.header.stamp = self.make_image(stamp_s).header.stamp
        message.transform = to_message(camera_at(stamp_s - late_s))
        self.tf.publish(tf2_msgs.TFMessage(transforms=[message]))

    def knows(self, stamp_s: float) -> bool:
        """Whether the camera's pose at `stamp_s` has come to the node."""
        source = self.node._pipeline.world._source
        try:
            source.lookup("odom", FRAME, self.make_image(stamp_s).header.stamp)
        except TransformError:
            return False
        return True

    def drive(self, person, frames: int, late_s: float = 0.0) -> list[np.ndarray]:
        """Sees `person`, given in odom, from everywhere; where they are said to be."""
        self.send_tf(0.9, late_s)
        for k in range(frames):
            stamp = 1.0 + 0.1 * k
            self.recovery.people = [into_frame(person, camera_at(stamp).inverse())]
            self.send_tf(stamp + 0.05, late_s)  # between two transforms: interpolated
            self.send(stamp, frame_id=FRAME)
            self.graph.wait_until(lambda n=k: len(self.people) > n, "people")
        return [
            np.array([(p.x, p.y, p.z) for p in message.persons[0].joints])
            for message in self.people
        ]


@pytest.fixture
def make_world_bench(graph, make_image, make_camera_info):
    def make(**parameters):
        parameters = {"target_frame": "odom", "tf_timeout_s": 2.0, **parameters}
        return WorldBench(graph, make_image, make_camera_info, **parameters)

    return make


def test_a_moving_camera_sees_a_still_person_stand_still(make_world_bench, make_person):
    bench, person = make_world_bench().start(), make_person(3)
    joints = bench.drive(person, 12)
    assert not bench.recovery.smooth_distance
    # TF is interpolated along an arc that the camera does not follow exactly.
    for one in joints:
        assert np.linalg.norm(one - person.joints, axis=-1).max() < 0.02
    header = bench.people[-1].header
    assert header.frame_id == "odom"
    assert (header.stamp.sec, header.stamp.nanosec) == (2, 100_000_000)
    got = bench.people[-1].persons[0]
    np.testing.assert_allclose(got.transl, person.transl, atol=0.02)


def test_wrongly_stamped_transforms_are_seen_to_fail(make_world_bench, make_person):
    person = make_person(3)
    joints = make_world_bench().start().drive(person, 8, late_s=0.2)
    assert np.linalg.norm(joints[-1] - person.joints, axis=-1).max() > 0.1


def test_without_a_transform_nothing_is_published(make_world_bench, make_person):
    bench = make_world_bench(tf_timeout_s=0.0).start()
    bench.recovery.people = [make_person(3)]
    bench.send(1.0, frame_id=FRAME)
    bench.wait_for_count("dropped/tf_unknown_frame", 1)
    bench.send_tf(1.0)
    bench.graph.wait_until(lambda: bench.knows(1.0), "the transform")
    bench.send(2.0, frame_id=FRAME)
    bench.wait_for_count("dropped/tf_too_late", 1)
    bench.send(1.5, frame_id=FRAME)  # out of order for the images, so it is not even looked up
    bench.wait_for_count("dropped/out_of_order", 1)
    bench.send(2.1, frame_id="elsewhere")
    bench.wait_for_count("dropped/tf_unknown_frame", 2)
    assert bench.people == []
    assert bench.recovery.calls == []
    bench.send_tf(2.2)
    bench.graph.wait_until(lambda: bench.knows(2.2), "the transform")
    bench.send(2.2, frame_id=FRAME)
    bench.graph.wait_until(lambda: bench.people, "people")


def test_an_image_without_a_frame_is_dropped_at_once(make_world_bench):
    """Waiting would not give it one."""
    bench = make_world_bench(tf_timeout_s=1.0).start()
    started = monotonic()
    bench.send(1.0, frame_id="")
    bench.wait_for_count("dropped/tf_nameless_frame", 1)
    assert monotonic() - started < 1.0


def test_a_slash_before_the_target_frame_is_none_of_its_name(make_world_bench, make_person):
    bench = make_world_bench(target_frame="/odom").start()
    bench.recovery.people = [make_person(3)]
    bench.send_tf(1.0)
    bench.send(1.0, frame_id=FRAME)
    bench.graph.wait_until(lambda: bench.people, "people")
    assert bench.people[0].header.frame_id == "odom"


def test_a_camera_too_far_from_the_origin_is_said():
    stage, upright = WorldStage("utm"), np.eye(3)
    assert stage.far_from_origin(RigidTransform(upright, np.array([900.0, 4000.0, 20.0]))) == ""
    said = stage.far_from_origin(RigidTransform(upright, np.array([5.4e5, 5.4e6, 0.0])))
    assert "5427 km from the origin of utm" in said


def test_the_worker_waits_for_transforms_that_come_after_the_image(make_world_bench, make_person):
    bench, person = make_world_bench().start(), make_person(3)
    bench.recovery.people = [into_frame(person, camera_at(1.0).inverse())]
    bench.send(1.0, frame_id=FRAME)
    bench.wait_for_count("images received", 1)
    assert bench.people == []
    bench.send_tf(1.0)
    bench.graph.wait_until(lambda: bench.people, "people once the transform came")


def test_tf_is_left_alone_without_a_target_frame(graph, make_image, make_camera_info):
    bench = Bench(graph, make_image, make_camera_info).start()
    assert bench.node._pipeline.world is None
    assert "/tf" not in [s.topic_name for s in bench.node.subscriptions]


def test_listening_ends_with_the_node_active(make_world_bench):
    bench = make_world_bench().start()
    services = {s.srv_name for s in bench.node.services}
    assert not any("tf2" in name for name in services)  # config/sros2/d3pose.policy.xml allows none
    bench.node.trigger_deactivate()
    assert "/tf" not in [s.topic_name for s in bench.node.subscriptions]
    bench.node.trigger_activate()
    assert "/tf" in [s.topic_name for s in bench.node.subscriptions]


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "tf2_msgs.msg", None)
    with pytest.raises(InputError, match="needs the package tf2_msgs"):
        WorldStage("odom")


def up_given(bench, tilt: RigidTransform) -> np.ndarray | None:
    """What the recovery is told of an image of a camera whose pose in odom is `tilt`."""
    message = TransformStamped(child_frame_id=FRAME)
    message.header.frame_id = bench.node.parameters.target_frame.lstrip("/")
    message.header.stamp = bench.make_image(1.0).header.stamp
    message.transform = to_message(tilt)
    bench.tf.publish(tf2_msgs.TFMessage(transforms=[message]))
    bench.send(1.0, frame_id=FRAME)
    bench.graph.wait_until(lambda: bench.recovery.ups, "the image")
    return bench.recovery.ups[0]


# x ahead, y left, z up; the camera looks ahead, and down by 30 degrees.
AHEAD = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
DOWN_30 = RigidTransform(
    AHEAD @ rotation_matrix(np.array([-np.pi / 6, 0.0, 0.0])), np.array([0.1, 0.0, 1.2])
)


def test_the_recovery_is_told_how_the_camera_is_tilted(make_world_bench):
    up = up_given(make_world_bench().start(), DOWN_30)
    np.testing.assert_allclose(up, [0.0, -np.cos(np.pi / 6), -0.5], atol=1e-6)


@pytest.mark.parametrize(
    "parameters",
    [
        {"target_frame_z": "other"},
        {"target_frame": "camera_link"},
    ],
)
def test_it_is_told_nothing_where_z_is_not_up(make_world_bench, parameters):
    assert up_given(make_world_bench(**parameters).start(), DOWN_30) is None


def test_it_is_told_nothing_without_a_target_frame(graph, make_image, make_camera_info):
    bench = Bench(graph, make_image, make_camera_info).start()
    bench.send(1.0, frame_id=FRAME)
    graph.wait_until(lambda: bench.recovery.ups, "the image")
    assert bench.recovery.ups == [None]


@pytest.mark.parametrize("name", ["odom", "odom_combined", "robot1/map", "world", "base_footprint"])
def test_frames_whose_z_is_up_by_their_name(name):
    assert z_is_up(name, "auto")
    assert not z_is_up(name, "other")


@pytest.mark.parametrize(
    "name",
    [
        *("odom_ned", "map_NED", "base_link_frd", "earth", "camera_link", "base_camera_link"),
        *("camera_optical_frame", "odom_camera_optical_frame", "mapping_camera", "worldview"),
    ],
)
def test_frames_whose_z_may_point_anywhere(name):
    assert not z_is_up(name, "auto")
    assert z_is_up(name, "up")


def test_a_camera_on_its_side_is_said(make_world_bench):
    sideways = RigidTransform(AHEAD @ rotation_matrix(np.array([0.0, 0.0, np.pi / 2])), np.ones(3))
    bench = make_world_bench().start()
    assert bench.node._pipeline.world.odd_tilt(DOWN_30.rotation[2]) == ""
    assert up_given(bench, sideways) is None
    bench.wait_for_count("tf/odd_tilt", 1)
    assert "by 90 degrees in odom" in bench.node._pipeline.world.odd_tilt(sideways.rotation[2])
    looking_down = np.array([0.9, -0.1, -0.42])
    assert bench.node._pipeline.world.odd_tilt(looking_down / np.linalg.norm(looking_down)) != ""
    assert bench.node._pipeline.world.odd_tilt(np.array([0.1, 0.0, -0.995])) == "", "it looks down"
    x_ahead = np.array([0.0, 0.0, 1.0])  # of a frame that is no optical one
    assert "looking up by 90 degrees" in bench.node._pipeline.world.odd_tilt(x_ahead)
