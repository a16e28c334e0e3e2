"""The node's behaviour in one process, with a stand-in for the network.

`test_node_process.py` runs the real thing; here the recovery is one that a test can hold up or break.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CameraInfo, Image
from std_srvs.srv import Trigger
from visualization_msgs.msg import Marker, MarkerArray

from d3pose_core.errors import ModelFileMissing
from test.helpers.node_bench import FAILURE, SUCCESS, Bench


@pytest.fixture
def make_bench(graph, make_image, make_camera_info):
    return lambda **parameters: Bench(graph, make_image, make_camera_info, **parameters)


def test_people_carry_the_images_header(make_bench, make_person):
    bench = make_bench().start()
    bench.recovery.people = [make_person(4), make_person(9)]
    bench.send(12.345, frame_id="head_camera")
    bench.graph.wait_until(lambda: bench.people, "people")
    message = bench.people[0]
    assert message.header.frame_id == "head_camera"
    assert (message.header.stamp.sec, message.header.stamp.nanosec) == (12, 345_000_000)
    assert [person.track_id for person in message.persons] == [4, 9]
    assert (message.body_model, message.gender) == ("free-low", "neutral")
    assert bench.recovery.calls[0][1] == pytest.approx(12.345)


def test_nobody_is_published_too(make_bench):
    bench = make_bench().start()
    bench.send(1.0)
    bench.graph.wait_until(lambda: bench.people, "the empty message")
    assert bench.people[0].persons == []


def test_lifecycle_can_be_repeated(make_bench):
    bench = make_bench()
    for round_ in range(3):
        bench.start()
        bench.send(1.0)  # the same stamp: each activation starts anew
        bench.graph.wait_until(lambda n=round_: len(bench.people) > n, "people")
        assert bench.node.trigger_deactivate() == SUCCESS
        assert bench.node.trigger_cleanup() == SUCCESS
        bench.graph.wait_until(
            lambda: not bench.images.get_subscription_count(), "the subscription to go"
        )
    assert bench.node.trigger_shutdown() == SUCCESS


def test_nothing_is_left_of_what_was_configured_before(make_bench):
    """Each configure makes publishers; every later transition would run over those of the ones before."""
    bench = make_bench()
    counts = []
    for _ in range(3):
        bench.start()
        assert bench.node.trigger_deactivate() == SUCCESS
        assert bench.node.trigger_cleanup() == SUCCESS
        counts.append((len(list(bench.node.publishers)), len(bench.node._managed_entities)))
    assert counts == [counts[0]] * 3


def test_whoever_shuts_down_while_active_takes_their_markers_with_them(make_bench, make_person):
    bench = make_bench(marker_rate_hz=0.0)
    skeletons = bench.graph.collect(MarkerArray, "d3pose/skeleton")
    bench.start()
    skeleton = bench.node._pipeline.outputs.skeleton
    bench.graph.wait_until(skeleton.get_subscription_count, "a subscriber")
    bench.recovery.people = [make_person(3)]
    bench.send(1.0)
    bench.graph.wait_until(lambda: skeletons, "markers")
    assert bench.node.trigger_shutdown() == SUCCESS
    bench.graph.wait_until(lambda: len(skeletons) == 2, "DELETEALL")
    assert skeletons[1].markers[0].action == Marker.DELETEALL


def test_camera_info_that_was_published_once_before(make_bench):
    """Latched: where the parameters ask for it, because such a subscription fits no ordinary camera."""
    overrides = {"durability": "transient_local", "reliability": "reliable"}
    named = {f"qos_overrides./camera_info.subscription.{k}": v for k, v in overrides.items()}
    bench = make_bench(camera_info_timeout_s=60.0, **named)
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    publisher = bench.graph.node.create_publisher(CameraInfo, "camera_info", latched)
    publisher.publish(bench.make_camera_info(64, 48, focal=77.0))
    assert bench.node.trigger_configure() == bench.node.trigger_activate() == SUCCESS
    stamps = itertools.count(1)
    bench.graph.wait_until(
        lambda: bench.people,
        "people with camera_info",
        between=lambda: bench.send(float(next(stamps))),
    )
    assert bench.recovery.calls[0][2].fx == 77.0


def test_inactive_node_processes_nothing(make_bench):
    bench = make_bench().start()
    assert bench.node.trigger_deactivate() == SUCCESS
    bench.graph.wait_until(lambda: not bench.images.get_subscription_count(), "no subscription")
    bench.send(2.0)
    assert bench.node.trigger_activate() == SUCCESS
    bench.graph.wait_until(lambda: bench.images.get_subscription_count(), "a subscription")
    bench.send(3.0)
    bench.graph.wait_until(lambda: bench.people, "people")
    assert [call[1] for call in bench.recovery.calls] == [3.0]


def test_missing_models_leave_it_unconfigured(make_bench):
    bench = make_bench()

    def missing(values):
        raise ModelFileMissing("x.tflite is not in the cache; run `d3pose models fetch` to get it")

    bench.node._recovery_factory = missing
    assert bench.node.trigger_configure() == FAILURE
    bench.graph.wait_until(lambda: bench.diagnostics, "diagnostics")
    status = bench.diagnostics[-1].status[0]
    assert status.level == DiagnosticStatus.ERROR
    assert "unconfigured" in status.message
    assert "d3pose models fetch" in status.message

    bench.node._recovery_factory = lambda values: bench.recovery
    bench.start()
    bench.send(1.0)
    bench.graph.wait_until(lambda: bench.people, "people once the files are there")


@pytest.mark.parametrize(
    ("override", "state"),
    [
        ({"qos_overrides./d3pose/mesh.publisher.reliability": "tcp"}, "unconfigured"),
        ({"qos_overrides./image.subscription.depth": -3}, "inactive"),
    ],
)
def test_what_cannot_be_set_up_is_said_and_leaves_nothing_behind(make_bench, override, state):
    bench = make_bench(**override)
    publishers, subscriptions = list(bench.node.publishers), list(bench.node.subscriptions)
    result = bench.node.trigger_configure()
    if state == "inactive":
        assert result == SUCCESS
        result = bench.node.trigger_activate()
        assert list(bench.node.subscriptions) == subscriptions
        assert bench.node.trigger_cleanup() == SUCCESS
    assert result == FAILURE
    assert list(bench.node.publishers) == publishers
    assert bench.node._worker is None
    bench.graph.wait_until(lambda: bench.diagnostics, "diagnostics")
    status = bench.diagnostics[-1].status[0]
    assert status.level == DiagnosticStatus.ERROR
    assert "cannot be" in status.message
    assert "Exception" in status.message or "Error" in status.message


def test_bad_images_are_counted_and_survived(make_bench):
    bench = make_bench().start()
    for k, (encoding, cause) in enumerate(
        (("32FC1", "unsupported_encoding"), ("bgra8", "malformed_image"))
    ):
        bench.send(1.0 + k, encoding=encoding)
        bench.wait_for_count(f"dropped/{cause}", 1)
    bench.images.publish(Image())
    bench.wait_for_count("dropped/empty_image", 1)
    bench.recovery.error = RuntimeError("the network fell over")
    bench.send(5.0)
    bench.wait_for_count("dropped/recovery_error", 1)
    bench.recovery.error = None
    bench.send(6.0)
    bench.graph.wait_until(lambda: bench.people, "people after bad images")
    assert bench.people[0].header.stamp.sec == 6


def test_busy_node_keeps_the_newest_and_counts_the_rest(make_bench):
    bench = make_bench().start()
    bench.recovery.may_go_on.clear()
    bench.send(1.0)
    bench.graph.wait_until(lambda: bench.recovery.calls, "the first image to be in work")
    for k in (2, 3, 4):
        bench.send(float(k))
        bench.wait_for_count("images received", k)
    bench.recovery.may_go_on.set()
    bench.graph.wait_until(lambda: len(bench.people) == 2, "two messages")
    assert [message.header.stamp.sec for message in bench.people] == [1, 4]
    bench.wait_for_count("dropped/busy", 2)
    bench.wait_for_count("images processed", 2)


def test_camera_info_is_used(make_bench):
    bench = make_bench(camera_info_timeout_s=60.0).start()
    bench.send(1.0)
    bench.wait_for_count("dropped/waiting_for_camera_info", 1)
    stamps = itertools.count(2)

    def camera() -> None:
        """As a camera does: best effort, and every image with its camera_info."""
        bench.infos.publish(bench.make_camera_info(64, 48, focal=77.0))
        bench.send(float(next(stamps)))

    bench.graph.wait_until(lambda: bench.people, "people with camera_info", between=camera)
    assert bench.recovery.calls[0][2].fx == 77.0
    assert bench.node._pipeline.camera.problem == ""


@pytest.mark.parametrize("focal", [None, 0.0, float("nan")])
def test_without_calibration_the_field_of_view_serves(make_bench, focal):
    bench = make_bench(hfov_deg=90.0).start()
    if focal is not None:
        bench.graph.wait_until(
            lambda: bench.node._pipeline.camera._camera_info,
            "camera_info",
            between=lambda: bench.infos.publish(bench.make_camera_info(focal=focal)),
        )
    bench.send(1.0)
    bench.graph.wait_until(lambda: bench.people, "people")
    assert bench.recovery.calls[0][2].fx == pytest.approx(32.0)  # half of 64 px at 45 degrees
    cause = "no_camera_info" if focal is None else "not_calibrated"
    bench.wait_for_count(f"uncalibrated/{cause}", 1)
    assert bench.diagnostics[-1].status[0].level == DiagnosticStatus.WARN
    assert "hfov_deg" in bench.diagnostics[-1].status[0].message


def test_stamps_that_repeat_or_go_back(make_bench):
    bench = make_bench().start()
    for k, stamp in enumerate((10.0, 10.0, 9.9, 10.1), start=1):
        bench.send(stamp)
        bench.graph.wait_until(lambda n=k: handled(bench) == n, f"image {k} to be handled")
    assert [call[1] for call in bench.recovery.calls] == pytest.approx([10.0, 10.1])
    bench.wait_for_count("dropped/duplicate_stamp", 1)
    bench.wait_for_count("dropped/out_of_order", 1)
    resets = bench.recovery.resets
    bench.send(2.0)  # a bag that starts again
    bench.graph.wait_until(lambda: len(bench.people) == 3, "people after the restart")
    assert bench.recovery.resets == resets + 1


def handled(bench) -> int:
    """Images that were processed or dropped, by the newest diagnostics."""
    if not bench.diagnostics:
        return 0
    return sum(
        int(value)
        for key, value in bench.counts().items()
        if key == "images processed" or key.startswith("dropped/")
    )


def test_reset_service(make_bench):
    bench = make_bench().start()
    client = bench.graph.node.create_client(Trigger, "d3pose/reset")
    bench.graph.wait_until(client.service_is_ready, "the service")
    bench.send(1.0)
    bench.graph.wait_until(lambda: bench.people, "people")
    resets = bench.recovery.resets
    future = client.call_async(Trigger.Request())
    bench.graph.wait_until(future.done, "the answer")
    assert future.result().success
    bench.send(2.0)
    bench.graph.wait_until(lambda: len(bench.people) == 2, "people")
    assert bench.recovery.resets == resets + 1

    bench.node.trigger_deactivate()
    bench.node.trigger_cleanup()
    future = client.call_async(Trigger.Request())
    bench.graph.wait_until(future.done, "the answer while unconfigured")
    assert not future.result().success


def test_markers_appear_and_vanish(make_bench, make_person):
    bench = make_bench(marker_rate_hz=0.0)
    meshes = bench.graph.collect(MarkerArray, "d3pose/mesh")
    skeletons = bench.graph.collect(MarkerArray, "d3pose/skeleton")
    bench.start()
    outputs = bench.node._pipeline.outputs
    bench.graph.wait_until(
        lambda: all(publisher.get_subscription_count() for publisher in outputs), "subscribers"
    )
    person = make_person(3)
    bench.recovery.people = [person]
    bench.send(1.0, frame_id="optical")
    bench.graph.wait_until(lambda: meshes and skeletons, "markers")
    (mesh,) = meshes[0].markers
    assert (mesh.header.frame_id, mesh.header.stamp.sec, mesh.id) == ("optical", 1, 3)
    vertices = bench.recovery.body.vertices(person)
    corners = np.array([(p.x, p.y, p.z) for p in mesh.points], np.float32)
    np.testing.assert_array_equal(corners, vertices[bench.recovery.body.faces.reshape(-1)])
    assert [marker.ns for marker in skeletons[0].markers] == ["bones", "joints"]

    bench.recovery.people = []
    bench.send(2.0)
    bench.graph.wait_until(lambda: len(meshes) == len(skeletons) == 2, "markers")
    assert [(m.id, m.action) for m in meshes[1].markers] == [(3, Marker.DELETE)]
    assert [m.action for m in skeletons[1].markers] == [Marker.DELETE] * 3

    bench.node.trigger_deactivate()
    bench.graph.wait_until(lambda: len(meshes) == len(skeletons) == 3, "DELETEALL")
    assert meshes[2].markers[0].action == skeletons[2].markers[0].action == Marker.DELETEALL


def test_nothing_is_skinned_for_nobody(make_bench, make_person, monkeypatch):
    bench = make_bench(marker_rate_hz=0.0)
    skinned = []
    body = bench.recovery.body
    meshes = body.meshes
    monkeypatch.setattr(
        type(body), "meshes", lambda self, people: skinned.append(len(people)) or meshes(people)
    )
    bench.start()
    bench.recovery.people = [make_person(1), make_person(2)]
    bench.send(1.0)
    bench.wait_for_count("images processed", 1)
    assert skinned == []
    bench.graph.collect(MarkerArray, "d3pose/mesh")
    mesh = bench.node._pipeline.outputs.mesh
    bench.graph.wait_until(mesh.get_subscription_count, "a subscriber")
    bench.send(2.0)
    bench.wait_for_count("images processed", 2)
    assert skinned == [2]  # both together


def test_marker_rate_is_limited(make_bench, make_person):
    bench = make_bench(marker_rate_hz=0.1)
    meshes = bench.graph.collect(MarkerArray, "d3pose/mesh")
    bench.start()
    mesh = bench.node._pipeline.outputs.mesh
    bench.graph.wait_until(mesh.get_subscription_count, "a subscriber")
    bench.recovery.people = [make_person(1)]
    for k in range(1, 4):
        bench.send(float(k))
        bench.wait_for_count("images processed", k)
    bench.graph.wait_until(lambda: len(bench.people) == 3 and meshes, "people and a mesh")
    assert len(meshes) == 1


def test_without_subscribers_nothing_is_computed(graph, make_image, make_camera_info):
    bench = Bench(graph, make_image, make_camera_info)
    graph.node.destroy_subscription(
        next(s for s in graph.node.subscriptions if s.topic_name == "/d3pose/people")
    )
    bench.node.trigger_configure()
    bench.node.trigger_activate()
    graph.wait_until(lambda: bench.images.get_subscription_count(), "image subscription")
    bench.send(1.0)
    bench.wait_for_count("dropped/no_subscriber", 1)
    assert bench.recovery.calls == []
    bench.node.set_parameters([Parameter("lazy", value=False)])
    bench.send(2.0)
    bench.wait_for_count("images processed", 1)


def test_parameters_change_when_they_may(make_bench):
    bench = make_bench()
    (result,) = bench.node.set_parameters([Parameter("max_people", value=2)])
    assert result.successful
    bench.start()
    (result,) = bench.node.set_parameters([Parameter("max_people", value=99)])
    assert not result.successful
    assert result.reason
    live, fixed = bench.node.set_parameters(
        [Parameter("hfov_deg", value=80.0), Parameter("threads", value=3)]
    )
    assert live.successful
    assert not fixed.successful
    assert "configure again" in fixed.reason
    assert bench.node.parameters.hfov_deg == 80.0
    bench.node.set_parameters([Parameter("max_people", value=3)])
    bench.send(1.0)
    bench.graph.wait_until(lambda: bench.people, "people")
    assert bench.recovery.max_people == 3
    (result,) = bench.node.set_parameters([Parameter("autostart", value=False)])
    assert not result.successful
    assert result.reason
    assert bench.node.parameters.threads == 1


def test_qos_can_be_overridden(graph, make_image, make_camera_info):
    bench = Bench(
        graph,
        make_image,
        make_camera_info,
        **{
            "qos_overrides./image.subscription.reliability": "reliable",
            "qos_overrides./image.subscription.depth": 2,
        },
    )
    bench.node.trigger_configure()
    bench.node.trigger_activate()
    subscription = next(s for s in bench.node.subscriptions if s.topic_name == "/image")
    assert subscription.qos_profile.depth == 2
    assert subscription.qos_profile.reliability.name == "RELIABLE"
