"""Lossless replay: every image of a bag through the recovery, without a ROS graph, and without rclpy.

Two runs on one machine give the same people, to the last bit: nothing here depends on the clock.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rosbags.typesys.store import Typestore

from d3pose_core.recording import PeopleRecorder, PeopleTable, RunStatistics
from d3pose_core.recovery import MeshRecovery
from d3pose_ros.bag import PEOPLE_TYPE, BagWriter, typestore
from d3pose_ros.messages import MessageTypes, people_to_message
from d3pose_ros.recorded_qos import RECORDED_QOS
from d3pose_ros.replay.images import BagImage, BagImages

PEOPLE_TOPIC = "/d3pose/people"


@dataclass(frozen=True)
class Replayed:
    """What a replay gave."""

    table: PeopleTable
    statistics: RunStatistics
    processed: frozenset[int]  # indices of the images
    fps: float  # images per second of the run, with reading and decoding
    dropped: dict[str, int] = field(default_factory=dict)  # images by cause


def replay_offline(
    images: BagImages,
    recovery: MeshRecovery,
    out_bag: Path,
    progress: Callable[[], object] = lambda: None,
) -> Replayed:
    """Recover the people in every image; `out_bag` (.mcap) gets one SmplPersonArray for each.

    Messages have the stamp and frame of their image and are recorded at the time at which it was: the
    bag plays in step with the one that was read.
    """
    statistics = RunStatistics()
    recorder: PeopleRecorder | None = None
    processed: set[int] = set()
    body = recovery.body
    store = typestore()
    types = MessageTypes.of_bags(store)
    began = time.perf_counter()
    with BagWriter(out_bag) as bag:
        bag.add_topic(PEOPLE_TOPIC, PEOPLE_TYPE, RECORDED_QOS)
        for image in images:
            recorder = recorder or PeopleRecorder(image.intrinsics)
            started = time.perf_counter()
            people = recovery(image.image, image.stamp_ns * 1e-9, image.intrinsics)
            latency_ms = 1e3 * (time.perf_counter() - started)
            header = _header_of(image, store)
            message = people_to_message(header, people, body.name, body.gender, types)
            data = bytes(store.serialize_cdr(message, PEOPLE_TYPE))
            bag.write(PEOPLE_TOPIC, image.received_ns, data)
            recorder.append(image.index, image.time_s, people)
            ids = [person.track_id for person in people]
            statistics.add(latency_ms, recovery.stage_times_ms, ids)
            processed.add(image.index)
            progress()
    fps = statistics.frames / (time.perf_counter() - began)
    assert recorder is not None, "BagImages yields an image or raises"
    return Replayed(recorder.table(), statistics, frozenset(processed), fps, dict(images.dropped))


def _header_of(image: BagImage, store: Typestore) -> Any:
    """The header of the image's message."""
    stamp = store.types["builtin_interfaces/msg/Time"](*divmod(image.stamp_ns, 10**9))
    return store.types["std_msgs/msg/Header"](stamp, image.frame_id)
