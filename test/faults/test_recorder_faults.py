"""A disk that becomes full while people are recorded."""

from __future__ import annotations

import os
import resource
import subprocess
import sys

from d3pose_ros.bag import PEOPLE_TYPE, read_bag
from d3pose_ros.msg import SmplPerson, SmplPersonArray

TOPIC = "/faults/people"
ROOM = 100_000  # bytes


def small_disk() -> None:
    """Files of the process end there; to a program that writes it is the same as a full disk."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM, ROOM))


def test_a_full_disk_ends_the_recording_and_keeps_what_it_has(graph, tmp_path):
    environment = {k: v for k, v in os.environ.items() if k != "_ROS_WHEELS_BOOTSTRAP_COMPLETE"}
    recorder = subprocess.Popen(
        [
            *(sys.executable, "-m", "d3pose_ros.recorder"),
            *(str(tmp_path / "people.mcap"), f"{TOPIC}={PEOPLE_TYPE}"),
        ],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=small_disk,
    )
    publisher = graph.node.create_publisher(SmplPersonArray, TOPIC, 10)
    stamps = iter(range(1, 10**6))

    def people() -> None:
        for _ in range(2):  # the disk lasts for some seconds, and so for some flushes
            message = SmplPersonArray(persons=[SmplPerson()])
            message.header.stamp.sec = next(stamps)
            publisher.publish(message)

    try:
        graph.wait_until(publisher.get_subscription_count, "the recorder's subscription", 60.0)
        graph.wait_until(lambda: recorder.poll() is not None, "its end", 60.0, between=people)
        _, said = recorder.communicate(timeout=20)
    finally:
        recorder.kill()
        graph.node.destroy_publisher(publisher)
    assert recorder.returncode == 2
    assert "d3pose: error: recording to" in said
    assert "File too large; what came until then is kept" in said
    assert "Traceback" not in said

    (bag,) = tmp_path.iterdir()
    kept = [each.message.header.stamp.sec for each in read_bag(bag)]
    assert kept == list(range(kept[0], kept[0] + len(kept))), "none is missing in between"
    assert 0.5 * ROOM < bag.stat().st_size <= ROOM
