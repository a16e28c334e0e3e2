"""Meshes and skeletons as visualization_msgs/MarkerArray.

A mesh of 7k vertices has 41k triangle corners. As Python `Point` objects they take 140 ms to build and send;
here numpy writes them straight into the serialised message, which takes 2 to 3 ms.
"""

from __future__ import annotations

import colorsys
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from builtin_interfaces.msg import Duration
from geometry_msgs.msg import Point, Vector3
from rclpy.serialization import serialize_message
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from d3pose_core.recovery import RecoveredPerson
from d3pose_core.skeleton import JOINT_NAMES, JOINT_PARENTS

MESH_NAMESPACE = "mesh"
BONES_NAMESPACE = "bones"
JOINTS_NAMESPACE = "joints"
LABELS_NAMESPACE = "labels"

# (joint, parent) of every bone.
BONES = np.array([(joint, parent) for joint, parent in enumerate(JOINT_PARENTS) if parent >= 0])

PELVIS, HEAD = JOINT_NAMES.index("pelvis"), JOINT_NAMES.index("head")
LABEL_ABOVE_HEAD_M = 0.35  # above the head's joint, which is at its base

# Stands for a mesh's corners in the template; no coordinate of a person looks like this.
_PLACEHOLDER = Point(x=-4.787e211, y=9.315e-287, z=-6.021e143)
_PLACEHOLDER_BYTES = np.array([_PLACEHOLDER.x, _PLACEHOLDER.y, _PLACEHOLDER.z], "<f8").tobytes()


def track_color(track_id: int, alpha: float = 1.0) -> ColorRGBA:
    """A colour of its own for each person; neighbouring ids are far apart on the colour circle."""
    red, green, blue = colorsys.hsv_to_rgb(track_id * 0.618034 % 1.0, 0.65, 0.95)
    return ColorRGBA(r=red, g=green, b=blue, a=alpha)


class ShownMarkers:
    """Which markers viewers still show, so that those of people who left can be deleted at once."""

    def __init__(self, namespaces: Sequence[str]) -> None:
        self._namespaces = namespaces
        self._ids: set[int] = set()

    def deletions(self, header: Header, track_ids: Iterable[int]) -> list[Marker]:
        """DELETE for everyone shown before and not in `track_ids`, who are shown from now on."""
        present = set(track_ids)
        gone = sorted(self._ids - present)
        self._ids = present
        return [
            Marker(header=header, ns=namespace, id=_marker_id(track_id), action=Marker.DELETE)
            for track_id in gone
            for namespace in self._namespaces
        ]

    def clear(self) -> MarkerArray:
        """Takes everything off the viewers' screens."""
        self._ids = set()
        return MarkerArray(markers=[Marker(action=Marker.DELETEALL)])


def mesh_message(
    header: Header,
    vertices: Mapping[int, np.ndarray],
    faces: np.ndarray,
    lifetime_s: float,
    deletions: Sequence[Marker] = (),
) -> bytes:
    """A serialised MarkerArray with one TRIANGLE_LIST per person, for `publisher.publish(bytes)`.

    Args:
        header: the image's.
        vertices: track id -> [V, 3] m, in the header's frame.
        faces: [F, 3] vertex indices.
        lifetime_s: after which viewers drop the markers.
        deletions: further markers, without points.
    """
    meshes = [
        _marker(header, MESH_NAMESPACE, track_id, Marker.TRIANGLE_LIST, lifetime_s)
        for track_id in vertices
    ]
    for mesh in meshes:
        mesh.scale = Vector3(x=1.0, y=1.0, z=1.0)
        mesh.points = [_PLACEHOLDER]
    template = serialize_message(MarkerArray(markers=[*meshes, *deletions]))
    corners = [
        np.ascontiguousarray(points[faces.reshape(-1)], "<f8") for points in vertices.values()
    ]
    return _with_points(template, corners)


def _with_points(template: bytes, corners: Sequence[np.ndarray]) -> bytes:
    """Replaces the one placeholder point of each mesh by its corners [N, 3].

    CDR writes a sequence as a uint32 count and then the elements. The count lies directly before the
    points: the 8-aligned `pose` begins 108 bytes before it (pose 56, scale 24, color 16, lifetime 8,
    frame_locked 1, padding 3), so the points need no padding after it. A point has 24 bytes, a multiple of
    the largest alignment, so nothing behind the points is aligned differently when their number changes.
    """
    parts: list[bytes | memoryview] = []
    position = 0
    for points in corners:
        start = template.index(_PLACEHOLDER_BYTES, position)
        if template[start - 4 : start] != b"\x01\x00\x00\x00":
            raise RuntimeError("this ROS version lays out visualization_msgs/Marker differently")
        parts += [template[position : start - 4], np.array([len(points)], "<u4").tobytes()]
        parts.append(points.reshape(-1).data)
        position = start + len(_PLACEHOLDER_BYTES)
    parts.append(template[position:])
    return b"".join(parts)


def skeleton_message(
    header: Header,
    people: Sequence[RecoveredPerson],
    lifetime_s: float,
    deletions: Sequence[Marker] = (),
    labels: bool = False,
) -> MarkerArray:
    """Bones (LINE_LIST) and joints (SPHERE_LIST) of every person; joints of low confidence fade.

    `labels`: also track id and confidence, as text above the head.
    """
    markers: list[Marker] = []
    for person in people:
        color = track_color(person.track_id)
        faded = [
            ColorRGBA(
                r=color.r, g=color.g, b=color.b, a=0.15 + 0.85 * min(max(confidence, 0.0), 1.0)
            )
            for confidence in np.asarray(person.joint_confidence).tolist()
        ]
        points = [Point(x=x, y=y, z=z) for x, y, z in np.asarray(person.joints).tolist()]

        bones = _marker(header, BONES_NAMESPACE, person.track_id, Marker.LINE_LIST, lifetime_s)
        bones.scale.x = 0.02  # line width, m
        ends = BONES.reshape(-1).tolist()
        bones.points = [points[joint] for joint in ends]
        bones.colors = [faded[joint] for joint in ends]

        joints = _marker(header, JOINTS_NAMESPACE, person.track_id, Marker.SPHERE_LIST, lifetime_s)
        joints.scale = Vector3(x=0.05, y=0.05, z=0.05)  # diameter, m
        joints.points = points
        joints.colors = faded
        markers += [bones, joints]
        if labels:
            markers.append(_label(header, person, lifetime_s))
    return MarkerArray(markers=[*markers, *deletions])


def _label(header: Header, person: RecoveredPerson, lifetime_s: float) -> Marker:
    pelvis, head = (np.asarray(person.joints[k], np.float64) for k in (PELVIS, HEAD))
    # Above the head of a body in any frame: further along the trunk.
    place = head + LABEL_ABOVE_HEAD_M * (head - pelvis) / max(
        float(np.linalg.norm(head - pelvis)), 1e-6
    )
    marker = _marker(header, LABELS_NAMESPACE, person.track_id, Marker.TEXT_VIEW_FACING, lifetime_s)
    marker.pose.position = Point(x=float(place[0]), y=float(place[1]), z=float(place[2]))
    marker.scale.z = 0.15  # height of a capital letter, m
    marker.text = f"{person.track_id}  {100 * float(person.confidence):.0f} %"
    return marker


def _marker(header: Header, namespace: str, track_id: int, kind: int, lifetime_s: float) -> Marker:
    marker = Marker(header=header, ns=namespace, id=_marker_id(track_id), type=kind)
    marker.action = Marker.ADD
    marker.pose.orientation.w = 1.0
    marker.color = track_color(track_id)
    nanoseconds = round(lifetime_s * 1e9)
    marker.lifetime = Duration(sec=nanoseconds // 10**9, nanosec=nanoseconds % 10**9)
    return marker


def _marker_id(track_id: int) -> int:
    """Marker ids are int32, track ids uint32."""
    return track_id & 0x7FFFFFFF
