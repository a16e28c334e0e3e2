"""The recorder: what is published is in the bag, also when the recorder is killed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from rclpy.serialization import deserialize_message, serialize_message
from rosbags.rosbag2 import Reader

from d3pose_core.errors import InputError
from d3pose_ros.bag import PEOPLE_TYPE, BagWriter, read_bag, recording_folder, rescue
from d3pose_ros.events import parse
from d3pose_ros.messages import people_to_message, person_from_message
from d3pose_ros.msg import SmplPersonArray

TOPIC = "/d3pose/people"


@pytest.fixture
def make_message(make_image, make_person):
    """People of the image stamped at so many seconds: as many as the second's number, up to 2."""

    def make(stamp_s: float) -> SmplPersonArray:
        people = [
            make_person(track_id=index, seed=int(stamp_s)) for index in range(int(stamp_s) % 3)
        ]
        return people_to_message(make_image(stamp_s).header, people, "free-low", "neutral")

    return make


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """The recorder as a process, writing people.mcap."""
    environment = dict(os.environ)
    environment.pop("_ROS_WHEELS_BOOTSTRAP_COMPLETE", None)
    command = [sys.executable, "-m", "d3pose_ros.recorder", str(tmp_path / "people.mcap")]
    process = subprocess.Popen(
        [*command, f"{TOPIC}={PEOPLE_TYPE}"], stdout=subprocess.PIPE, env=environment, text=True
    )
    yield process
    if process.poll() is None:
        process.kill()
    process.communicate()


def wait_for_event(process: subprocess.Popen[str], condition) -> dict:
    """The first event that fulfils the condition; stdout ends if the process does."""
    assert process.stdout is not None
    for line in process.stdout:
        event = parse(line)
        if event is not None and condition(event):
            return event
    raise AssertionError(f"the recorder ended with status {process.wait()}")


def publish(graph, process: subprocess.Popen[str], messages: list[SmplPersonArray]) -> None:
    """Publish once the recorder is connected; returns when it has written everything."""
    publisher = graph.node.create_publisher(SmplPersonArray, TOPIC, 100)
    wait_for_event(process, lambda event: event["event"] == "ready")
    graph.wait_until(publisher.get_subscription_count, "the recorder's subscription")
    for message in messages:
        publisher.publish(message)
    wait_for_event(process, lambda event: event.get("counts", {}).get(TOPIC) == len(messages))


def test_bag_holds_what_was_published(graph, make_message, recorder, tmp_path: Path) -> None:
    before_ns = time.time_ns()
    messages = [make_message(second) for second in range(1, 8)]
    publish(graph, recorder, messages)
    recorder.send_signal(signal.SIGINT)
    assert recorder.wait(20) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["people.mcap"]

    # As any reader of rosbag2 files sees it, without our types: the bag describes itself.
    with Reader(tmp_path / "people.mcap") as reader:
        (connection,) = reader.connections
        assert (connection.topic, connection.msgtype) == (TOPIC, PEOPLE_TYPE)
        assert "float32[69] body_pose" in connection.msgdef.data
        raw = [bytes(data) for _, _, data in reader.messages()]
        times = [received for _, received, _ in reader.messages()]
    # Not compared as bytes: the middleware may pad.
    assert [deserialize_message(data, SmplPersonArray) for data in raw] == messages
    assert before_ns < times[0] <= times[-1] < time.time_ns()
    assert times == sorted(times)

    recorded = list(read_bag(tmp_path / "people.mcap", (TOPIC,)))
    assert [each.message.header.stamp.sec for each in recorded] == list(range(1, 8))
    assert {each.message.header.frame_id for each in recorded} == {"camera_optical_frame"}
    for each, sent in zip(recorded, messages, strict=True):
        for read, original in zip(each.message.persons, sent.persons, strict=True):
            read, original = person_from_message(read), person_from_message(original)
            assert read.track_id == original.track_id
            np.testing.assert_array_equal(read.body_pose, original.body_pose)
            np.testing.assert_array_equal(read.joints, original.joints)


def test_a_killed_recorder_leaves_what_can_be_rescued(
    graph, make_message, recorder, tmp_path: Path
) -> None:
    """After SIGKILL only the last second may be missing."""
    path = tmp_path / "people.mcap"
    publisher = graph.node.create_publisher(SmplPersonArray, TOPIC, 100)
    wait_for_event(recorder, lambda event: event["event"] == "ready")
    graph.wait_until(publisher.get_subscription_count, "the recorder's subscription")
    (unfinished,) = recording_folder(path).rglob("*.mcap")
    sent = 0

    def send() -> None:
        nonlocal sent
        sent += 1
        publisher.publish(make_message(sent))

    started = unfinished.stat().st_size
    graph.wait_until(lambda: unfinished.stat().st_size > started + 20_000, "flushes", between=send)
    recorder.kill()
    recorder.wait(20)

    assert not path.exists()
    with unfinished.open("ab") as file:  # and the machine stopped in the middle of a record
        file.write(b"\x06\xff\xff\x00\x00\x00\x00\x00\x00half a chunk")
    assert rescue(path)
    stamps = [each.message.header.stamp.sec for each in read_bag(path)]
    assert len(stamps) >= 2
    assert stamps == list(range(1, len(stamps) + 1))
    assert [entry.name for entry in tmp_path.iterdir()] == ["people.mcap"]


def test_what_came_before_a_silence_survives_a_kill(
    graph, make_message, recorder, tmp_path: Path
) -> None:
    """It is written though no further message asks for it; and who opens the bag need not know."""
    path = tmp_path / "people.mcap"
    publish(graph, recorder, [make_message(second) for second in range(1, 4)])

    def would_be_left() -> int:
        """Messages that a kill at this moment leaves."""
        copy = tmp_path / "copy" / path.name
        shutil.copytree(recording_folder(path), recording_folder(copy), dirs_exist_ok=True)
        return len(list(read_bag(copy))) if rescue(copy) else 0

    graph.wait_until(lambda: would_be_left() == 3, "a flush")
    with pytest.raises(InputError, match="no such bag"):  # nor is it taken from under the recorder
        list(read_bag(path))
    recorder.kill()
    recorder.wait(20)
    assert [each.message.header.stamp.sec for each in read_bag(path)] == [1, 2, 3]


def test_a_killed_recording_is_there_until_the_next_is_complete(
    tmp_path: Path, make_message
) -> None:
    path = tmp_path / "people.mcap"

    def killed(stamps: range) -> None:
        """Writes and dies, in a process of its own: locks are of processes."""
        child = os.fork()
        if child == 0:
            bag = BagWriter(path)
            bag.add_topic(TOPIC, PEOPLE_TYPE)
            for stamp in stamps:
                bag.write(TOPIC, stamp, serialize_message(make_message(stamp)))
            bag.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(child, 0)

    def stamps() -> list[int]:
        return [each.message.header.stamp.sec for each in read_bag(path)]

    killed(range(1, 4))
    with BagWriter(path) as bag:
        assert stamps() == [1, 2, 3]
        bag.add_topic(TOPIC, PEOPLE_TYPE)
        bag.write(TOPIC, 9, serialize_message(make_message(9)))
    assert stamps() == [9]


def test_killed_before_the_first_message(tmp_path: Path) -> None:
    path = tmp_path / "people.mcap"
    child = os.fork()
    if child == 0:
        BagWriter(path)
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert list(read_bag(path)) == []


def test_two_recorders_of_one_file(tmp_path: Path) -> None:
    path = tmp_path / "people.mcap"
    with BagWriter(path), pytest.raises(InputError, match="another process is recording"):
        BagWriter(path)
    assert path.is_file()


def test_a_link_does_not_lead_the_recorder_out_of_the_folder(tmp_path: Path, make_message) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    path = tmp_path / "out" / "people.mcap"
    path.parent.mkdir()
    recording_folder(path).symlink_to(elsewhere)
    with BagWriter(path) as bag:
        bag.add_topic(TOPIC, PEOPLE_TYPE)
        bag.write(TOPIC, 1, serialize_message(make_message(1)))
        assert list(elsewhere.iterdir()) == []
    assert [entry.name for entry in path.parent.iterdir()] == ["people.mcap"]


def test_a_second_recording_replaces_the_first(tmp_path: Path, make_message) -> None:
    path = tmp_path / "people.mcap"
    for count in (3, 2):
        with BagWriter(path) as bag:
            bag.add_topic(TOPIC, PEOPLE_TYPE)
            for index in range(count):
                bag.write(TOPIC, index, serialize_message(make_message(index)))
    assert len(list(read_bag(path))) == 2
    assert list(read_bag(path, ("/other",))) == []


def test_a_name_that_is_no_bag(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"must end in \.mcap"):
        BagWriter(tmp_path / "people.db3")


def test_nothing_to_rescue(tmp_path: Path) -> None:
    assert not rescue(tmp_path / "people.mcap")


def test_bags_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such bag"):
        list(read_bag(tmp_path / "people.mcap"))
    (tmp_path / "people.mcap").write_text("hello")
    with pytest.raises(InputError, match="is not a readable bag"):
        list(read_bag(tmp_path / "people.mcap"))


def test_a_type_that_is_not_installed_is_named(tmp_path: Path) -> None:
    environment = dict(os.environ)
    environment.pop("_ROS_WHEELS_BOOTSTRAP_COMPLETE", None)
    result = subprocess.run(
        [
            *(sys.executable, "-m", "d3pose_ros.recorder", str(tmp_path / "bag.mcap")),
            "/topic=no_such_msgs/msg/Thing",
        ],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 2
    assert "d3pose: error: message type 'no_such_msgs/msg/Thing'" in result.stderr
