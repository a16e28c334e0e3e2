"""The bytes written by numpy are those that rclpy would have written."""

import numpy as np
import pytest
from geometry_msgs.msg import Point
from hypothesis import given, settings
from hypothesis import strategies as st
from rclpy.serialization import deserialize_message, serialize_message
from std_msgs.msg import Header
from visualization_msgs.msg import Marker, MarkerArray

from d3pose_ros.markers import (
    BONES,
    ShownMarkers,
    mesh_message,
    skeleton_message,
    track_color,
)

FACES = np.array([[0, 1, 2], [2, 1, 3], [3, 0, 2]])


def reference_meshes(header: Header, vertices: dict, faces: np.ndarray, lifetime_s: int) -> list:
    """The slow way: one Python object per corner."""
    markers = []
    for track_id, points in vertices.items():
        marker = Marker(header=header, ns="mesh", id=track_id, type=Marker.TRIANGLE_LIST)
        marker.pose.orientation.w = 1.0
        marker.scale.x = marker.scale.y = marker.scale.z = 1.0
        marker.color = track_color(track_id)
        marker.lifetime.sec = lifetime_s
        marker.points = [
            Point(x=float(x), y=float(y), z=float(z)) for x, y, z in points[faces.reshape(-1)]
        ]
        markers.append(marker)
    return markers


@settings(deadline=None, max_examples=40)
@given(
    frame_id=st.text(alphabet="abc_/", max_size=12),
    people=st.integers(0, 4),
    deleted=st.integers(0, 2),
    face_count=st.integers(0, 3),
)
def test_mesh_equals_rclpys_own(frame_id, people, deleted, face_count):
    random = np.random.default_rng(people)
    header = Header(frame_id=frame_id)
    header.stamp.sec, header.stamp.nanosec = 5, 17
    vertices = {10 + k: random.normal(size=(4, 3)).astype(np.float32) for k in range(people)}
    deletions = [
        Marker(header=header, ns="mesh", id=k, action=Marker.DELETE) for k in range(deleted)
    ]
    faces = FACES[:face_count]

    data = mesh_message(header, vertices, faces, 2.0, deletions)

    reference = MarkerArray(markers=[*reference_meshes(header, vertices, faces, 2), *deletions])
    reference_data = serialize_message(reference)
    assert len(data) == len(reference_data)
    assert deserialize_message(data, MarkerArray) == deserialize_message(
        reference_data, MarkerArray
    )


def test_skeleton(make_person):
    people = [make_person(4), make_person(9)]
    header = Header(frame_id="camera")
    markers = skeleton_message(header, people, 0.5).markers
    assert [(m.ns, m.id) for m in markers] == [
        ("bones", 4),
        ("joints", 4),
        ("bones", 9),
        ("joints", 9),
    ]
    bones, joints = markers[:2]
    assert (bones.type, joints.type) == (Marker.LINE_LIST, Marker.SPHERE_LIST)
    assert len(bones.points) == len(bones.colors) == 2 * 23
    assert len(joints.points) == len(joints.colors) == 24
    assert bones.lifetime.nanosec == 500_000_000
    for k, joint in enumerate(BONES.reshape(-1)):
        point = bones.points[k]
        np.testing.assert_array_equal((point.x, point.y, point.z), people[0].joints[joint])
    alphas = np.array([color.a for color in joints.colors])
    assert np.array_equal(np.argsort(alphas), np.argsort(people[0].joint_confidence))


def test_people_who_left_are_deleted_once():
    shown = ShownMarkers(["bones", "joints"])
    header = Header(frame_id="camera")
    assert shown.deletions(header, [1, 2]) == []
    gone = shown.deletions(header, [2])
    assert [(m.ns, m.id, m.action) for m in gone] == [
        ("bones", 1, Marker.DELETE),
        ("joints", 1, Marker.DELETE),
    ]
    assert shown.deletions(header, [2]) == []
    assert [m.action for m in shown.clear().markers] == [Marker.DELETEALL]
    assert shown.deletions(header, []) == []


def test_colors_tell_people_apart():
    colors = np.array([(c.r, c.g, c.b) for c in map(track_color, range(8))])
    distances = np.linalg.norm(colors[:, None] - colors[None], axis=-1)
    assert distances[~np.eye(8, dtype=bool)].min() > 0.1
    assert track_color(3) == track_color(3)


@pytest.mark.parametrize("track_id", [2**31, 2**32 - 1])
def test_large_track_ids_fit_marker_ids(track_id):
    header = Header(frame_id="camera")
    data = mesh_message(header, {track_id: np.zeros((4, 3), np.float32)}, FACES, 1.0)
    assert 0 <= deserialize_message(data, MarkerArray).markers[0].id < 2**31
