"""The node as users run it: its own process, DDS in between, the shipped network, frames of a real clip."""

from __future__ import annotations

import itertools
import shutil
import signal

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from lifecycle_msgs.msg import Transition
from sensor_msgs.msg import Image
from visualization_msgs.msg import Marker, MarkerArray

from d3pose_core import model_files
from d3pose_core.skeleton import JOINT_NAMES
from d3pose_ros.msg import SmplPerson
from test.helpers.node_process import (
    CAMERA,
    FRAME_ID,
    HEIGHT,
    WIDTH,
    NodeProcess,
    clip_frames,
    stamp_ms,
    to_message,
)

FRAMES = 16
PELVIS, HEAD, LEFT_FOOT = (JOINT_NAMES.index(name) for name in ("pelvis", "head", "left_foot"))


@pytest.fixture(scope="module")
def frames() -> list[np.ndarray]:
    return clip_frames(FRAMES)


def play(node: NodeProcess, frames: list[np.ndarray], start_ms: int) -> list[int]:
    """Publishes each frame when the one before has been answered; returns the stamps, ms."""
    stamps = [start_ms + 33 * k for k in range(len(frames))]
    before = len(node.people)
    for k, (frame, stamp) in enumerate(zip(frames, stamps, strict=True), start=1):
        node.images.publish(to_message(frame, stamp))
        node.wait_until(lambda n=k: len(node.people) == before + n, f"people of image {k}")
    return stamps


def test_people_in_a_clip(start_node, frames, graph):
    # The stamps are of a clock of their own, which the diagnostics would remark on.
    node = start_node("marker_rate_hz:=0.0", "age_warn_ms:=0.0", "age_error_ms:=0.0")
    meshes = graph.collect(MarkerArray, "d3pose/mesh", 100)
    skeletons = graph.collect(MarkerArray, "d3pose/skeleton", 100)
    node.wait_until_active(camera_info=True)
    stamps = play(node, frames, start_ms=5000)

    assert [stamp_ms(message) for message in node.people] == stamps
    assert {message.header.frame_id for message in node.people} == {FRAME_ID}
    assert {message.body_model for message in node.people} == {"free-low"}

    tracked = [person for message in node.people[-8:] for person in message.persons]
    assert len(tracked) >= 8, "a man is in all of these frames"
    main_id = tracked[-1].track_id
    man = [person for person in tracked if person.track_id == main_id]
    assert len(man) == 8, "his id stays"
    for person in man:
        check_person(person)

    node.wait_until(lambda: len(meshes) >= FRAMES and len(skeletons) >= FRAMES, "markers")
    (mesh,) = [marker for marker in meshes[-1].markers if marker.id == main_id]
    assert (mesh.type, mesh.action, mesh.header.frame_id) == (
        Marker.TRIANGLE_LIST,
        Marker.ADD,
        FRAME_ID,
    )
    corners = np.array([(point.x, point.y, point.z) for point in mesh.points])
    joints = np.array([(point.x, point.y, point.z) for point in man[-1].joints])
    assert np.all(corners.min(0) < joints.min(0) + 0.05)
    assert np.all(corners.max(0) > joints.max(0) - 0.05)

    node.wait_until(
        lambda: int(node.values()["images processed"]) >= FRAMES + 1, "the images to be counted"
    )
    assert node.status().level == DiagnosticStatus.OK
    assert float(node.values()["network ms p50"]) > 0
    assert node.stop() == 0


def check_person(person: SmplPerson) -> None:
    """Upright, in front of the camera, in the picture, and in agreement with itself."""
    joints = np.array([(point.x, point.y, point.z) for point in person.joints])
    assert joints[HEAD, 1] < joints[PELVIS, 1] < joints[LEFT_FOOT, 1], "y points down"
    assert 1.0 < joints[PELVIS, 2] < 30.0
    pixels = np.array(person.joints_2d).reshape(24, 2)
    np.testing.assert_allclose(CAMERA.project(joints), pixels, atol=0.05)
    assert np.all(pixels[PELVIS] > 0)
    assert np.all(pixels[PELVIS] < (WIDTH, HEIGHT))
    assert 0 < person.confidence <= 1
    assert np.all(person.joint_confidence >= 0)
    assert np.all(person.joint_confidence <= 1)
    rotations = np.concatenate((person.global_orient, person.body_pose)).reshape(24, 3)
    assert np.all(np.linalg.norm(rotations, axis=-1) <= np.pi + 1e-3)
    assert person.observation_age.sec == 0


def test_fast_camera_drops_are_counted(start_node, frames):
    node = start_node("camera_info_timeout_s:=0.0")
    node.wait_until_active()
    stamps = itertools.count(5000, 33)

    def burst() -> None:
        for frame in frames[:8]:
            node.images.publish(to_message(frame, next(stamps)))

    node.wait_until(
        lambda: int(node.values().get("dropped/busy", 0)) > 0, "busy drops", between=burst
    )
    last = next(stamps)
    node.images.publish(to_message(frames[0], last))
    node.wait_until(
        lambda: node.people and stamp_ms(node.people[-1]) == last, "people of the newest image"
    )
    # DDS drops what overflows the subscription's queue; what the node received, it accounts for.
    node.wait_until(
        lambda: node.handled() == int(node.values()["images received"]), "all to be accounted for"
    )
    answered = [stamp_ms(message) for message in node.people]
    assert answered == sorted(set(answered))


def test_bad_input_is_counted_and_survived(start_node, frames):
    node = start_node("camera_info_timeout_s:=0.0")
    node.wait_until_active()
    node.images.publish(Image())
    node.wait_for_count("dropped/empty_image", 1)

    wrong = to_message(frames[0], 5000)
    wrong.encoding = "16UC1"
    node.images.publish(wrong)
    node.wait_for_count("dropped/unsupported_encoding", 1)

    cut_off = to_message(frames[0], 5001)
    cut_off.data = cut_off.data[: len(cut_off.data) // 2]
    node.images.publish(cut_off)
    node.wait_for_count("dropped/malformed_image", 1)

    play(node, frames[:2], start_ms=6000)  # without camera_info
    node.wait_until(
        lambda: int(node.values()["uncalibrated/no_camera_info"]) >= 3, "them to be counted"
    )
    log = node.log.read_text()
    assert "'16UC1'" in log
    assert log.count("no camera_info received") == 1, "one warning, not one for each image"
    assert "Traceback" not in log


def test_missing_model_file(start_node, tmp_path):
    cache = tmp_path / "cache"
    node = start_node(D3POSE_CACHE=str(cache))
    node.wait_until(
        lambda: node.status() and node.status().level == DiagnosticStatus.ERROR, "an error"
    )
    assert model_files.FETCH_COMMAND in node.status().message
    assert node.state() == "unconfigured"
    log = node.log.read_text()
    assert model_files.FETCH_COMMAND in log
    assert "Traceback" not in log

    cache.mkdir()
    for entry in model_files.needed():
        shutil.copy(model_files.model_path(entry.name), cache / entry.name)
    node.change_state(Transition.TRANSITION_CONFIGURE, "inactive")
    node.change_state(Transition.TRANSITION_ACTIVATE, "active")


def test_wrong_weights_leave_it_unconfigured(start_node):
    node = start_node("weights:=/no/such.safetensors")
    node.wait_until(
        lambda: node.status() and node.status().level == DiagnosticStatus.ERROR, "an error"
    )
    assert "/no/such.safetensors" in node.status().message
    assert node.state() == "unconfigured"


def test_managed_from_outside(start_node):
    node = start_node("autostart:=false", "camera_info_timeout_s:=0.0")
    assert node.state() == "unconfigured"
    for transition, state in (
        (Transition.TRANSITION_CONFIGURE, "inactive"),
        (Transition.TRANSITION_ACTIVATE, "active"),
        (Transition.TRANSITION_DEACTIVATE, "inactive"),
        (Transition.TRANSITION_CLEANUP, "unconfigured"),
        (Transition.TRANSITION_UNCONFIGURED_SHUTDOWN, "finalized"),
    ):
        node.change_state(transition, state)
    assert node.stop(signal.SIGTERM) == 0


def test_invalid_parameter_ends_with_one_line(start_node):
    node = start_node("max_people:=100")
    assert node.process.wait(60) == 2
    log = node.log.read_text()
    assert "d3pose: error: parameter max_people" in log
    assert "Traceback" not in log


def test_a_killed_node_is_replaced_under_its_name(start_node, frames):
    """As launch does with `respawn`: the second process takes up the stream where the first died."""
    first = start_node("camera_info_timeout_s:=0.0")
    first.wait_until_active()
    play(first, frames[:2], start_ms=5000)
    first.process.kill()
    first.process.wait(20)

    second = start_node("camera_info_timeout_s:=0.0")
    # Its forerunner said no goodbye: DDS takes it for alive until its lease is over.
    second.wait_until(
        lambda: "waiting for images" in second.log.read_text(), "the new node to be active"
    )
    black = itertools.count(5500)

    def camera() -> None:
        second.images.publish(to_message(frames[0], next(black)))

    second.wait_until(lambda: second.people, "people of the new node", between=camera)
    assert second.people[-1].header.frame_id == FRAME_ID
    assert second.stop() == 0
    assert "Traceback" not in second.log.read_text()
