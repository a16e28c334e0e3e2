"""Lossless replay: every image of a bag through the recovery, without a ROS graph, and without rclpy.

Two runs on one machine give the same people, to the last bit: nothing here depends on the clock.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from rosbags.typesys.store import Typestore

from d3pose_core.errors import InputError
from d3pose_core.recording import PeopleRecorder, PeopleTable, RunStatistics
from d3pose_core.recovery import MeshRecovery
from d3pose_core.resume import FOLDER, ResumableRun
from d3pose_ros.bag import PEOPLE_TYPE, BagWriter, open_bag, rescue, typestore
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
    progress: Callable[[], object],
    run: ResumableRun,
    up: np.ndarray | None = None,
) -> Replayed:
    """Recover the people in every image; `out_bag` (.mcap) gets one SmplPersonArray for each.

    Messages have the stamp and frame of their image and are recorded at the time at which it was: the
    bag plays in step with the one that was read.

    Args:
        progress: called for each image.
        run: what was done before, and where to keep what is done.
        up: against gravity in the camera, see `MeshRecovery`; None: not known.

    Raises:
        InputError: the images can't be used; or the messages of the earlier run are gone.
    """
    statistics = RunStatistics()
    recorder: PeopleRecorder | None = None
    processed = [index for details in run.details for index in details["processed"]]
    before = _earlier_bag(out_bag, len(processed))
    done_before = len(processed)
    body = recovery.body
    store = typestore()
    types = MessageTypes.of_bags(store)
    run.recall(recovery)
    with BagWriter(out_bag) as bag:
        bag.add_topic(PEOPLE_TOPIC, PEOPLE_TYPE, RECORDED_QOS)
        if before is not None:
            _copy(before, bag, done_before)
        for image in images:
            progress()
            recorder = recorder or PeopleRecorder(image.intrinsics)
            if image.index < run.next_frame:
                continue
            started = time.perf_counter()
            people = recovery(image.image, image.stamp_ns * 1e-9, image.intrinsics, up)
            latency_ms = 1e3 * (time.perf_counter() - started)
            header = _header_of(image, store)
            message = people_to_message(header, people, body.name, body.gender, types)
            data = bytes(store.serialize_cdr(message, PEOPLE_TYPE))
            bag.write(PEOPLE_TOPIC, image.received_ns, data)
            recorder.append(image.index, image.time_s, people)
            ids = [person.track_id for person in people]
            statistics.add(latency_ms, recovery.stage_times_ms, ids)
            processed.append(image.index)
            if run.is_due():
                bag.flush()
                new = processed[done_before:]
                run.keep(image.index + 1, recorder, statistics, recovery, processed=new)
                done_before = len(processed)
    assert recorder is not None, "BagImages yields an image or raises"
    if run.was_kept:  # drawing takes as long again
        new = processed[done_before:]
        run.keep(images.frame_count, recorder, statistics, recovery, processed=new)
    table, everything = run.finish(recorder, statistics)
    fps = everything.frames / run.seconds
    return Replayed(table, everything, frozenset(processed), fps, dict(images.dropped))


def _earlier_bag(out_bag: Path, count: int) -> Path | None:
    """The bag of the earlier run, which holds at least `count` messages; None where nothing was done."""
    if not count:
        return None
    kept = out_bag.parent / FOLDER / out_bag.name
    rescue(out_bag)
    # A run that was killed while it copied left less than there was before.
    if out_bag.is_file() and _message_count(out_bag) >= count:
        os.replace(out_bag, kept)
    if not kept.is_file() or _message_count(kept) < count:
        raise InputError(
            f"{count} messages of the earlier run should be in {out_bag}, which is gone or was replaced: "
            "start anew without --resume"
        )
    return kept


def _message_count(path: Path) -> int:
    with open_bag(path) as bag:
        return sum(connection.msgcount for connection in bag.connections)


def _copy(source: Path, bag: BagWriter, count: int) -> None:
    with open_bag(source) as earlier:
        for _, received_ns, data in islice(earlier.messages(earlier.connections), count):
            bag.write(PEOPLE_TOPIC, received_ns, data)


def _header_of(image: BagImage, store: Typestore) -> Any:
    """The header of the image's message."""
    stamp = store.types["builtin_interfaces/msg/Time"](*divmod(image.stamp_ns, 10**9))
    return store.types["std_msgs/msg/Header"](stamp, image.frame_id)
