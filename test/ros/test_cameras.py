"""Two cameras in one process: own people, one set of weights."""

from __future__ import annotations

import gc
import threading
import weakref

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import MultiThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image

from d3pose_core.camera import Intrinsics
from d3pose_core.errors import ModelFileMissing
from d3pose_core.landmark_models import HEAVY, LANDMARK_FILES
from d3pose_core.model_files import model_path
from d3pose_core.video import ClipReader
from d3pose_ros import cameras
from d3pose_ros.cameras import SharedRecovery
from d3pose_ros.msg import SmplPersonArray
from d3pose_ros.node import D3PoseNode
from d3pose_ros.parameters import NodeParameters
from test.helpers.model_cache import link_needed_files
from test.helpers.node_bench import SUCCESS, StandInRecovery


def test_each_camera_has_its_topics_people_and_diagnostics(graph, make_person, make_image):
    recoveries = [StandInRecovery(), StandInRecovery()]
    nodes, images, people = [], [], []
    for name, recovery in zip(("front", "back"), recoveries, strict=True):
        recovery.people = [make_person(7 if name == "front" else 8)]
        nodes.append(
            D3PoseNode(
                lambda values, recovery=recovery: recovery,
                namespace=name,
                parameter_overrides=[
                    Parameter("camera_info_timeout_s", value=0.0),
                    Parameter("diagnostics_period_s", value=0.1),
                ],
            )
        )
        images.append(graph.node.create_publisher(Image, f"{name}/image", qos_profile_sensor_data))
        people.append(graph.collect(SmplPersonArray, f"{name}/d3pose/people"))
    diagnostics = graph.collect(DiagnosticArray, "/diagnostics")
    executor = MultiThreadedExecutor(2)
    for node in nodes:
        executor.add_node(node)
        assert node.trigger_configure() == SUCCESS
        assert node.trigger_activate() == SUCCESS
    spinning = threading.Thread(target=executor.spin, daemon=True)
    spinning.start()
    try:
        for publisher, node in zip(images, nodes, strict=True):
            graph.wait_until(publisher.get_subscription_count, "the image subscription")
            graph.wait_until(
                lambda n=node: n._pipeline.outputs.people.get_subscription_count(), "the listener"
            )
        recoveries[0].may_go_on.clear()  # one camera that is held up...
        images[0].publish(make_image(1.0))
        graph.wait_until(lambda: recoveries[0].calls, "the front camera's image to be in work")
        images[1].publish(make_image(2.0))  # ...does not hold up the other
        graph.wait_until(lambda: people[1], "people of the back camera")
        assert not people[0]
        recoveries[0].may_go_on.set()
        graph.wait_until(lambda: people[0], "people of the front camera")
        names = {"front/d3pose: people", "back/d3pose: people"}
        graph.wait_until(
            lambda: names <= {status.name for m in diagnostics for status in m.status}, "both"
        )
    finally:
        recoveries[0].may_go_on.set()
        executor.shutdown()
        spinning.join(10)
        for node in nodes:
            node.destroy_node()
    assert [person.track_id for person in people[0][0].persons] == [7]
    assert [person.track_id for person in people[1][0].persons] == [8]


@pytest.fixture
def shared():
    return SharedRecovery()


def test_weights_are_loaded_once_and_freed_with_the_last(shared):
    front, back = shared(NodeParameters()), shared(NodeParameters(max_people=2))
    assert front.model is back.model
    assert front.body is back.body
    assert front.observer is not back.observer
    assert shared(NodeParameters(stature_m=1.2)).stature_m == 1.2
    assert shared(NodeParameters()).stature_m is None
    assert shared(NodeParameters(body="free-mid")).body is not front.body
    assert shared(NodeParameters(runtime="torch")).step.runtime == "torch"
    model = weakref.ref(front.model)
    del front
    gc.collect()
    third = shared(NodeParameters())
    assert third.model is back.model
    del back, third
    gc.collect()
    assert model() is None


def test_each_camera_has_the_landmark_network_that_it_asks_for(shared, tmp_path, monkeypatch):
    """Also the second one, which takes network and body from the first: here by what is missing."""
    monkeypatch.setenv("D3POSE_CACHE", str(link_needed_files(tmp_path / "cache")))
    heavy = NodeParameters(landmarks=HEAVY)
    with pytest.raises(ModelFileMissing, match=LANDMARK_FILES[HEAVY]):
        shared(heavy)
    front = shared(NodeParameters())
    with pytest.raises(ModelFileMissing, match=LANDMARK_FILES[HEAVY]):
        shared(heavy)
    assert shared(NodeParameters()).model is front.model


def test_two_streams_at_once_are_as_two_alone(shared):
    """The network keeps nothing of one stream that another could see, in threads neither."""
    frames = [frame.image for frame in ClipReader(model_path("demo.mp4"), max_frames=8)]
    streams = [frames, [np.ascontiguousarray(frame[:, ::-1]) for frame in frames]]
    height, width = frames[0].shape[:2]
    camera = Intrinsics.from_hfov(60, width, height)
    results: dict[tuple[int, str], np.ndarray] = {}

    def recover(stream: int, when: str) -> None:
        recovery = shared(NodeParameters())
        joints = [
            person.joints
            for k, frame in enumerate(streams[stream])
            for person in recovery(frame, k / 30, camera)
        ]
        results[stream, when] = np.array(joints)

    keep = shared(NodeParameters())
    for stream in (0, 1):
        recover(stream, "alone")
    threads = [threading.Thread(target=recover, args=(stream, "together")) for stream in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for stream in (0, 1):
        assert len(results[stream, "alone"]) > 0
        np.testing.assert_allclose(results[stream, "together"], results[stream, "alone"], atol=1e-4)
    assert keep.model is not None


def test_names_are_checked(capsys):
    with pytest.raises(SystemExit) as ended:
        cameras.main(["front", "front"])
    assert ended.value.code == 2
    with pytest.raises(SystemExit) as ended:
        cameras.main(["--ros-args", "-p", "max_people:=2"])
    assert ended.value.code == 2
    assert cameras.main(["no/good name"]) == 2
    assert "no/good name" in capsys.readouterr().err
