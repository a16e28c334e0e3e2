"""SmplPersonArray messages of any numbers: what the live page makes of them is JSON that a browser reads."""

from __future__ import annotations

import json
import struct

import numpy as np
from std_msgs.msg import Header

from d3pose_ros.messages import person_from_message
from d3pose_ros.msg import SmplPerson, SmplPersonArray
from d3pose_ros.view.feed import Feed
from fuzz.fields import Fields, text
from fuzz.target import Target
from fuzz.targets.image import message_of

_SIZES = {
    "global_orient": 3,
    "body_pose": 69,
    "betas": 10,
    "transl": 3,
    "joints_2d": 48,
    "joint_confidence": 24,
}
_FLOATS = sum(_SIZES.values()) + 2
_PERSON = f"<Iif{_FLOATS}f72d"
_MOST_PEOPLE = 4


def seeds() -> list[bytes]:
    head = struct.pack("<iI", 100, 5) + text("camera_optical_frame") + text("free-low")
    numbers = np.linspace(-1, 1, _FLOATS)
    joints = np.tile([0.1, 0.2, 2.0], 24)
    person = struct.pack(_PERSON, 3, 0, 0.9, *numbers, *joints)
    return [head + b"\1" + person, head + b"\2" + person * 2, head + b"\0"]


def run(data: bytes) -> None:
    fields = Fields(data)
    header = Header()
    header.stamp.sec, header.stamp.nanosec = fields.take("<iI")
    header.frame_id = fields.text()
    message = SmplPersonArray(header=header, body_model=fields.text(), gender="neutral")
    message.persons = [_person(fields) for _ in range(fields.number() % (_MOST_PEOPLE + 1))]
    feed = Feed(lambda: 0)
    feed.wait(0, 0.0)  # somebody looks
    image = message_of(fields.rest())
    image.header = header
    with np.errstate(all="ignore"):
        feed.on_image(image)
        feed.on_status(1, "text", {"key": "value"})
        feed.on_people(message)
    number, packet = feed.wait(0, 0.0)
    assert number
    (length,) = struct.unpack_from("<I", packet)
    content = json.loads(packet[4 : 4 + length], parse_constant=_refuse)
    assert len(content["people"]) == len(message.persons)
    for person in message.persons:
        person_from_message(person)


def _refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")


def _person(fields: Fields) -> SmplPerson:
    track_id, age_s, confidence, *numbers = fields.take(_PERSON)
    floats, joints = np.array(numbers[:_FLOATS], np.float32), numbers[_FLOATS:]
    person = SmplPerson(track_id=track_id, confidence=confidence)
    person.observation_age.sec = age_s
    at = 0
    for name, size in _SIZES.items():
        setattr(person, name, floats[at : at + size])
        at += size
    person.stature, person.stature_stddev = (float(x) for x in floats[at:])
    for point, (x, y, z) in zip(person.joints, np.reshape(joints, (24, 3)).tolist(), strict=True):
        point.x, point.y, point.z = x, y, z
    return person


TARGET = Target(seeds, run)
