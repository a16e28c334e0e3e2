"""Messages hold exactly what was recovered."""

import dataclasses

import numpy as np
import pytest
from rclpy.serialization import deserialize_message, serialize_message
from std_msgs.msg import Header

from d3pose_core.skeleton import JOINT_NAMES
from d3pose_ros.bag import PEOPLE_TYPE, typestore
from d3pose_ros.messages import (
    MessageTypes,
    people_to_message,
    person_from_message,
    person_to_message,
)
from d3pose_ros.msg import SmplPerson, SmplPersonArray


def test_round_trip_over_the_wire(make_person):
    people = [make_person(3), make_person(7)]
    header = Header(frame_id="camera")
    header.stamp.sec = 12
    sent = people_to_message(header, people, "free-low", "neutral")
    received = deserialize_message(serialize_message(sent), SmplPersonArray)

    assert received == sent
    assert (received.header.frame_id, received.header.stamp.sec) == ("camera", 12)
    assert (received.body_model, received.gender) == ("free-low", "neutral")
    for person, message in zip(people, received.persons, strict=True):
        again = person_from_message(message)
        for field in dataclasses.fields(person):
            expected, value = getattr(person, field.name), getattr(again, field.name)
            np.testing.assert_array_equal(np.float32(value), np.float32(expected), field.name)


def test_bags_hold_what_nodes_publish(make_person):
    """Messages made without ROS are read by ROS, and are the same."""
    store = typestore()
    people = [make_person(3), make_person(7)]
    header = Header(frame_id="camera")
    header.stamp.sec, header.stamp.nanosec = 12, 34
    expected = people_to_message(header, people, "free-low", "neutral")
    stamp = store.types["builtin_interfaces/msg/Time"](12, 34)
    header = store.types["std_msgs/msg/Header"](stamp, "camera")
    types = MessageTypes.of_bags(store)
    message = people_to_message(header, people, "free-low", "neutral", types)
    data = bytes(store.serialize_cdr(message, PEOPLE_TYPE))
    assert deserialize_message(data, SmplPersonArray) == expected


def test_numpy_scalars_are_not_sent_as_zero(make_person):
    """What rclpy does with np.float32 in a float field unless it is converted."""
    message = person_to_message(make_person())
    received = deserialize_message(serialize_message(message), SmplPerson)
    assert received.confidence == 0.75
    assert received.observation_age.nanosec == 125_000_000


def test_nobody_is_an_empty_array():
    assert people_to_message(Header(), [], "free-low", "neutral").persons == []


@pytest.mark.parametrize("field", ["betas", "body_pose", "joints", "joints_2d", "transl"])
def test_wrong_sizes_are_refused(make_person, field):
    person = make_person()
    cut = dataclasses.replace(person, **{field: getattr(person, field)[:-1]})
    with pytest.raises(ValueError, match=field):
        person_to_message(cut)


def test_negative_age_is_no_age(make_person):
    age = person_to_message(
        dataclasses.replace(make_person(), observation_age_s=-0.5)
    ).observation_age
    assert (age.sec, age.nanosec) == (0, 0)


def test_joint_constants_are_the_skeleton():
    assert len(JOINT_NAMES) == SmplPerson.NUM_JOINTS
    assert [getattr(SmplPerson, name.upper()) for name in JOINT_NAMES] == list(range(24))
