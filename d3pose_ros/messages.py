"""RecoveredPerson <-> d3pose_ros/msg/SmplPerson.

rclpy checks no field types by default: a numpy scalar in a float field is sent as 0.0, and a short array
reads foreign memory. So scalars go through `float()`, and arrays are checked for their size here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from d3pose_core.recovery import RecoveredPerson
from d3pose_core.skeleton import NUM_JOINTS

if TYPE_CHECKING:
    from rosbags.typesys.store import Typestore
    from std_msgs.msg import Header

    from d3pose_ros.msg import SmplPerson, SmplPersonArray


@dataclass(frozen=True)
class MessageTypes:
    """Classes of the messages: rclpy's, or those of rosbags, which does without ROS."""

    people: Callable[..., SmplPersonArray]
    person: Callable[..., SmplPerson]
    point: Callable
    duration: Callable

    @staticmethod
    @cache
    def of_ros() -> MessageTypes:
        """What nodes publish."""
        from builtin_interfaces.msg import Duration
        from geometry_msgs.msg import Point

        from d3pose_ros.msg import SmplPerson, SmplPersonArray

        return MessageTypes(SmplPersonArray, SmplPerson, Point, Duration)

    @staticmethod
    def of_bags(store: Typestore) -> MessageTypes:
        """What `store`, of `d3pose_ros.bag.typestore`, serializes."""
        names = (
            *("d3pose_ros/msg/SmplPersonArray", "d3pose_ros/msg/SmplPerson"),
            *("geometry_msgs/msg/Point", "builtin_interfaces/msg/Duration"),
        )
        return MessageTypes(*(store.types[name] for name in names))


def people_to_message(
    header: Header,
    people: Sequence[RecoveredPerson],
    body_model: str,
    gender: str,
    types: MessageTypes | None = None,
) -> SmplPersonArray:
    """All people of one image; `header` is the image's, of the same types (None: rclpy's)."""
    types = types or MessageTypes.of_ros()
    return types.people(
        header=header,
        body_model=body_model,
        gender=gender,
        persons=[person_to_message(person, types) for person in people],
    )


def person_to_message(person: RecoveredPerson, types: MessageTypes | None = None) -> SmplPerson:
    """One person. Raises ValueError for an array of another size than the message's."""
    types = types or MessageTypes.of_ros()
    joints = np.asarray(person.joints, np.float64)
    if joints.shape != (NUM_JOINTS, 3):
        raise ValueError(f"joints must be [{NUM_JOINTS}, 3], got {list(joints.shape)}")
    return types.person(
        track_id=int(person.track_id),
        confidence=float(person.confidence),
        global_orient=_fixed(person.global_orient, 3, "global_orient"),
        body_pose=_fixed(person.body_pose, 69, "body_pose"),
        betas=_fixed(person.betas, 10, "betas"),
        transl=_fixed(person.transl, 3, "transl"),
        joints=[types.point(x=x, y=y, z=z) for x, y, z in joints.tolist()],
        joints_2d=_fixed(person.joints_2d, 2 * NUM_JOINTS, "joints_2d"),
        joint_confidence=_fixed(person.joint_confidence, NUM_JOINTS, "joint_confidence"),
        observation_age=_duration(float(person.observation_age_s), types),
        stature=float(person.stature_m),
        stature_stddev=float(person.stature_std_m),
    )


def person_from_message(message: SmplPerson) -> RecoveredPerson:
    """The person that `person_to_message` was given, to float32 precision."""
    return RecoveredPerson(
        track_id=message.track_id,
        confidence=message.confidence,
        global_orient=np.array(message.global_orient, np.float32),
        body_pose=np.array(message.body_pose, np.float32).reshape(23, 3),
        betas=np.array(message.betas, np.float32),
        transl=np.array(message.transl, np.float32),
        joints=np.array([(p.x, p.y, p.z) for p in message.joints], np.float32),
        joints_2d=np.array(message.joints_2d, np.float32).reshape(NUM_JOINTS, 2),
        joint_confidence=np.array(message.joint_confidence, np.float32),
        observation_age_s=message.observation_age.sec + message.observation_age.nanosec * 1e-9,
        stature_m=message.stature,
        stature_std_m=message.stature_stddev,
    )


def _fixed(values: np.ndarray, size: int, name: str) -> np.ndarray:
    """For a float32[size] field."""
    flat = np.ascontiguousarray(values, np.float32).reshape(-1)
    if flat.size != size:
        raise ValueError(f"{name} must have {size} numbers, got {flat.size}")
    return flat


def _duration(seconds: float, types: MessageTypes):
    nanoseconds = round(max(seconds, 0.0) * 1e9)
    return types.duration(sec=nanoseconds // 10**9, nanosec=nanoseconds % 10**9)
