"""TF frames of people.

`body_<id>`: between the hips, x forward, y left, z towards the head (REP-103, REP-155), in the output frame.
Of a node in the namespace `front` it is `body_front_<id>`: frames have no namespaces.
`body_<id>/<joint>`: at the joint, turned as SMPL turns it, so with the axes of SMPL's rest pose: x left, y
up, z forward. Each is given in its SMPL parent's frame, the pelvis in `body_<id>`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from geometry_msgs.msg import TransformStamped
from std_msgs.msg import Header

from d3pose_core.joint_angles import body_frame, global_rotations
from d3pose_core.recovery import RecoveredPerson
from d3pose_core.rigid import RigidTransform
from d3pose_core.skeleton import JOINT_NAMES, JOINT_PARENTS
from d3pose_ros.transforms import to_message


def body_transform(header: Header, name: str, person: RecoveredPerson) -> TransformStamped:
    """The frame `name` of the body, in the header's."""
    return _stamped(header, header.frame_id, name, RigidTransform(*body_frame(person)))


def joint_transforms(
    header: Header, name: str, person: RecoveredPerson
) -> Iterator[TransformStamped]:
    """The frames of the 24 joints, below the body's frame `name`."""
    rotations = global_rotations(person.global_orient, person.body_pose)
    joints = np.asarray(person.joints, np.float64)
    frames = [RigidTransform(*pair) for pair in zip(rotations, joints, strict=True)]
    for joint, parent, frame in zip(JOINT_NAMES, JOINT_PARENTS, frames, strict=True):
        if parent < 0:
            above, place = name, RigidTransform(*body_frame(person))
        else:
            above, place = f"{name}/{JOINT_NAMES[parent]}", frames[parent]
        yield _stamped(header, above, f"{name}/{joint}", place.inverse() @ frame)


def people_transforms(
    header: Header, people: Sequence[RecoveredPerson], with_joints: bool, prefix: str = ""
) -> list[TransformStamped]:
    """Of everybody in one image; `prefix` stands before each id."""
    result = []
    for person in people:
        name = f"body_{prefix}{person.track_id}"
        result.append(body_transform(header, name, person))
        if with_joints:
            result += joint_transforms(header, name, person)
    return result


def _stamped(header: Header, parent: str, child: str, place: RigidTransform) -> TransformStamped:
    return TransformStamped(
        header=Header(stamp=header.stamp, frame_id=parent),
        child_frame_id=child,
        transform=to_message(place),
    )
