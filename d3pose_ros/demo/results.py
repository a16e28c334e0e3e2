"""What the demo makes of its bag: people matched to frames, the overlay, the numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from d3pose_core.body import FREE_BODIES, load_body
from d3pose_core.camera import Intrinsics
from d3pose_core.cli.report import progress_bar
from d3pose_core.errors import D3PoseError
from d3pose_core.overlay import write_overlay
from d3pose_core.recording import PeopleRecorder, PeopleTable, RunStatistics
from d3pose_core.video import ClipReader
from d3pose_ros.bag import read_bag
from d3pose_ros.messages import person_from_message

DIAGNOSTICS = "/diagnostics"
# The node's free body with more vertices: poses and betas mean the same on all three.
_OVERLAY_BODY = "free-mid"


@dataclass(frozen=True)
class Recorded:
    """What the bag holds of the demo."""

    table: PeopleTable
    statistics: RunStatistics
    processed: frozenset[int]  # indices of the frames that have a message
    fps: float  # of the frames that have a message
    body: str
    stages_ms: dict[str, float]  # medians, as the node last reported them


def read_people(
    path: Path,
    topic: str,
    stamps: dict[int, int],
    intrinsics: Intrinsics,
    published_ns: Mapping[int, int] | None = None,
) -> Recorded:
    """People frame by frame, matched to the clip by stamp (`stamps`: ns -> index of the frame).

    Latencies run from when an image was published (`published_ns` of its stamp; None: at its stamp) to the
    arrival of its people at the recorder.
    """
    start_ns = min(stamps, default=0)
    published_ns = published_ns or {}
    recorder, statistics = PeopleRecorder(intrinsics), RunStatistics()
    seen: dict[int, int] = {}  # stamp -> index
    body, status = "", {}
    for recorded in read_bag(path, (topic, DIAGNOSTICS)):
        message: Any = recorded.message
        if recorded.topic == DIAGNOSTICS:
            status = {pair.key: pair.value for each in message.status for pair in each.values}
            continue
        stamp_ns = message.header.stamp.sec * 10**9 + message.header.stamp.nanosec
        if stamp_ns not in stamps or stamp_ns in seen:
            raise D3PoseError(
                f"{path}: a message is stamped {stamp_ns} ns, which is no image's stamp or came twice"
            )
        seen[stamp_ns] = stamps[stamp_ns]
        people = [person_from_message(person) for person in message.persons]
        recorder.append(seen[stamp_ns], (stamp_ns - start_ns) * 1e-9, people)
        latency_ms = (recorded.received_ns - published_ns.get(stamp_ns, stamp_ns)) * 1e-6
        statistics.add(latency_ms, {}, (person.track_id for person in people))
        body = message.body_model
    suffix = " ms p50"
    stages = {key[: -len(suffix)]: float(v) for key, v in status.items() if key.endswith(suffix)}
    duration_s = (max(seen, default=0) - min(seen, default=0)) * 1e-9
    fps = (len(seen) - 1) / duration_s if duration_s > 0 else 0.0
    return Recorded(recorder.table(), statistics, frozenset(seen.values()), fps, body, stages)


def render_overlay(path: Path, clip: ClipReader, recorded: Recorded) -> None:
    """`overlay.mp4` from the clip and the bag; dropped frames repeat the picture before them."""
    body = load_body(_OVERLAY_BODY if recorded.body in FREE_BODIES else recorded.body)
    with progress_bar(clip.frame_count, "overlay") as bar:
        write_overlay(path, clip, recorded.table, body, recorded.processed, bar.update)
