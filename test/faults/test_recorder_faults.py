"""A disk that becomes full while people are recorded."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable

from d3pose_ros.bag import PEOPLE_TYPE, read_bag, recording_folder
from d3pose_ros.msg import SmplPerson, SmplPersonArray

TOPIC = "/faults/people"
ROOM = 100_000  # bytes


def small_disk() -> None:
    """Files of the process end there; to a program that writes it is the same as a full disk."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM, ROOM))


def after(seconds: float) -> Callable[[], bool]:
    """Whether so much time has passed since now."""
    due = time.monotonic() + seconds
    return lambda: time.monotonic() > due


def test_a_full_disk_ends_the_recording_and_keeps_what_it_has(graph, tmp_path):
    bag = tmp_path / "people.mcap"
    environment = {k: v for k, v in os.environ.items() if k != "_ROS_WHEELS_BOOTSTRAP_COMPLETE"}
    recorder = subprocess.Popen(
        [
            *(sys.executable, "-m", "d3pose_ros.recorder"),
            *(str(bag), f"{TOPIC}={PEOPLE_TYPE}"),
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
        message = SmplPersonArray(persons=[SmplPerson()])
        message.header.stamp.sec = next(stamps)
        publisher.publish(message)

    def on_disk() -> int:
        files = recording_folder(bag).rglob("*.mcap")
        return sum(file.stat().st_size for file in files)

    try:
        graph.wait_until(publisher.get_subscription_count, "the recorder's subscription", 60.0)
        empty = on_disk()
        while on_disk() < empty + 5000:  # the first flush, after a second
            assert recorder.poll() is None
            people()
            graph.wait_until(after(0.02), "some time to pass")
        graph.wait_until(lambda: recorder.poll() is not None, "its end", 60.0, between=people)
        _, said = recorder.communicate(timeout=20)
    finally:
        recorder.kill()
        graph.node.destroy_publisher(publisher)
    assert recorder.returncode == 2
    assert "d3pose: error: recording to" in said
    assert "File too large; what came until then is kept" in said
    assert "Traceback" not in said

    assert list(tmp_path.iterdir()) == [bag]
    kept = [each.message.header.stamp.sec for each in read_bag(bag)]
    assert kept == list(range(kept[0], kept[0] + len(kept))), "none is missing in between"
    assert bag.stat().st_size <= ROOM
