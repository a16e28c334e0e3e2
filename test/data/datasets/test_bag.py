"""A bag with reference people, read by the definitions that the bag itself holds."""

from pathlib import Path

import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from d3pose_core.data.datasets import open_dataset
from d3pose_core.errors import InputError

MESSAGES = Path(__file__).resolve().parents[3] / "msg"


@pytest.fixture
def bag(tmp_path):
    """Frames 0, 1, 2 at 10 Hz, stored in another order; person 4 in all, person 9 in frame 1 alone."""
    store = get_typestore(Stores.ROS2_KILTED)
    for name in ("SmplPerson", "SmplPersonArray"):
        text = (MESSAGES / f"{name}.msg").read_text()
        store.register(get_types_from_msg(text, f"d3pose_ros/msg/{name}"))
    types = store.types

    def header(frame):
        stamp = types["builtin_interfaces/msg/Time"](100, frame * 10**8)
        return types["std_msgs/msg/Header"](stamp, "camera_optical_frame")

    def person(track_id, frame):
        kind = types["d3pose_ros/msg/SmplPerson"]
        point = types["geometry_msgs/msg/Point"]
        return kind(
            track_id=track_id,
            confidence=0.9,
            global_orient=np.full(3, frame, np.float32),
            body_pose=np.arange(69, dtype=np.float32),
            betas=np.arange(10, dtype=np.float32),
            transl=np.array([0, 0, track_id], np.float32),
            joints=[point(j, frame, 2.0) for j in range(24)],
            joints_2d=np.arange(48, dtype=np.float32),
            joint_confidence=np.full(24, 0.5, np.float32),
            observation_age=types["builtin_interfaces/msg/Duration"](0, 0),
            stature=1.7,
            stature_stddev=0.0,
        )

    folder = tmp_path / "people"
    with Writer(folder, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        kind = "d3pose_ros/msg/SmplPersonArray"
        topic = writer.add_connection("/truth", kind, typestore=store)
        for frame in (0, 2, 1):
            people = [person(4, frame)] + ([person(9, frame)] if frame == 1 else [])
            message = types[kind](header(frame), "free-low", "neutral", people)
            writer.write(topic, frame, store.serialize_cdr(message, kind))
    return folder


@pytest.mark.parametrize("single_file", [False, True])
def test_people_by_track_and_frame(bag, single_file):
    root = next(bag.glob("*.mcap")) if single_file else bag
    (sequence,) = open_dataset("bag", root, "all")
    assert sequence.name == "/truth"
    np.testing.assert_allclose(sequence.times_s, [0, 0.1, 0.2], atol=1e-9)
    four, nine = sequence.people
    assert (four.person_id, nine.person_id) == (4, 9)
    np.testing.assert_array_equal(nine.valid, [0, 1, 0])
    np.testing.assert_array_equal(four.smpl.global_orient[:, 0], [0, 1, 2])
    assert four.smpl.body_pose[0, 1, 2] == 5  # body_pose is x1, y1, z1, x2, ...
    np.testing.assert_array_equal(four.joints.positions[2, 7], [7, 2, 2])
    assert np.isnan(nine.smpl.transl[0]).all()


def test_a_folder_that_is_no_bag_is_an_error(tmp_path):
    (tmp_path / "x").mkdir()
    with pytest.raises(InputError, match="bag"):
        open_dataset("bag", tmp_path / "x", "all")
