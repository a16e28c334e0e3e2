"""One case of the benchmark: so many people, at one size of image, with so many threads, frame by frame."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np

from d3pose_core.bench.crowd import Crowd
from d3pose_core.body import BodyModel
from d3pose_core.camera import Intrinsics
from d3pose_core.observe import BlazePoseObserver
from d3pose_core.recovery import MeshRecovery, RecoveredPerson

RATE_HZ = 30.0
HFOV_DEG = 60.0
_JPEG_QUALITY = 90
# A stream begins with people being found; what is measured is the state that lasts.
_MOST_WARM_UP_FRAMES = 90
_FRAMES_WITH_ALL = 6
_FEWEST_FRAMES = 5


class RosStages(Protocol):
    """What follows the recovery in a node; `d3pose_ros.bench` has it."""

    def people(
        self, people: Sequence[RecoveredPerson], body: BodyModel, stamp_s: float
    ) -> Mapping[str, float]:
        """Publishes ~/people; returns what the stages took, ms."""
        ...

    def markers(
        self, people: Sequence[RecoveredPerson], meshes: np.ndarray, body: BodyModel, stamp_s: float
    ) -> Mapping[str, float]:
        """Publishes ~/mesh, `meshes` [P, V, 3] m; returns what the stages took, ms."""
        ...


@dataclass(frozen=True)
class Timing:
    """Of one stage over the frames of a case; ms. `share`: of the frames, those in which it ran at all.

    Median and 95th percentile are over the frames in which it ran, `mean` over all.
    """

    p50: float
    p95: float
    mean: float
    share: float

    @classmethod
    def of(cls, times_ms: Sequence[float]) -> Timing:
        """Times of 0 are frames in which the stage did not run."""
        all_times = np.asarray(times_ms, np.float64)
        ran = all_times[all_times > 0]
        if not len(ran):
            return cls(0.0, 0.0, 0.0, 0.0)
        p50, p95 = np.percentile(ran, (50, 95))
        values = (float(p50), float(p95), float(all_times.mean()), len(ran) / len(all_times))
        return cls(*(round(value, 4) for value in values))


@dataclass(frozen=True)
class Case:
    """What was measured. `stages` are those that `end_to_end` consists of; `extra` comes after it."""

    people: int  # in the images
    width: int
    height: int
    threads: int
    frames: int
    tracked: float  # people recovered, on average over the frames
    end_to_end: Timing  # from a compressed image to published people
    cpu: Timing  # processor time of the same, of all threads of the process
    added: Timing  # end to end without the stages detect and landmarks
    stages: dict[str, Timing]
    extra: dict[str, Timing]  # the mesh and its markers

    @property
    def fps(self) -> float:
        """Frames per second that the mean time allows."""
        return 1e3 / self.end_to_end.mean


class _Player:
    """The crowd at 30 Hz of its own time, as fast as it goes."""

    def __init__(self, recovery: MeshRecovery, crowd: Crowd, ros: RosStages | None) -> None:
        assert isinstance(recovery.observer, BlazePoseObserver)
        self.recovery, self.observer, self.ros = recovery, recovery.observer, ros
        self.height, self.width = crowd.images[0].shape[:2]
        self.intrinsics = Intrinsics.from_hfov(HFOV_DEG, self.width, self.height)
        quality = (cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY)
        self._packed = [cv2.imencode(".jpg", image, quality)[1] for image in crowd.images]
        self._next = 0
        self.times: dict[str, list[float]] = defaultdict(list)
        self.extra: dict[str, list[float]] = defaultdict(list)
        recovery.reset()

    def play(self) -> int:
        """One frame; returns how many people were recovered."""
        stamp_s = self._next / RATE_HZ
        packed = self._packed[self._next % len(self._packed)]
        self._next += 1
        cpu, began = time.process_time(), time.perf_counter()
        image = np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR))
        decoded = time.perf_counter()
        people = self.recovery(image, stamp_s, self.intrinsics)
        stages = {"decode": 1e3 * (decoded - began)}
        stages |= {name: self.observer.stage_times_ms[name] for name in ("detect", "landmarks")}
        stages |= {name: self.recovery.stage_times_ms[name] for name in ("network", "body")}
        if self.ros is not None:
            stages |= self.ros.people(people, self.recovery.body, stamp_s)
        stages["end_to_end"] = 1e3 * (time.perf_counter() - began)
        stages["cpu"] = 1e3 * (time.process_time() - cpu)
        stages["added"] = stages["end_to_end"] - stages["detect"] - stages["landmarks"]
        for name, value in stages.items():
            self.times[name].append(value)

        began = time.perf_counter()
        meshes = self.recovery.body.meshes(people)
        self.extra["mesh"].append(1e3 * (time.perf_counter() - began))
        if self.ros is not None:
            markers = self.ros.markers(people, meshes, self.recovery.body, stamp_s)
            for name, value in markers.items():
                self.extra[name].append(value)
        return len(people)


def run_case(
    recovery: MeshRecovery,
    crowd: Crowd,
    threads: int,
    frames: int,
    seconds: float,
    ros: RosStages | None = None,
) -> Case:
    """Waits until everybody is tracked, then measures.

    Args:
        recovery: with a BlazePoseObserver that may track more people than there are.
        threads: what the recovery was made with, for the report.
        frames, seconds: so many frames are measured, or fewer when they take longer than that.
        ros: None leaves the stages of ROS out.
    """
    player = _Player(recovery, crowd, ros)
    with_all, began = 0, time.perf_counter()
    for _ in range(_MOST_WARM_UP_FRAMES):
        with_all = with_all + 1 if player.play() >= crowd.people else 0
        if with_all >= _FRAMES_WITH_ALL or time.perf_counter() - began > 2 * seconds:
            break
    player.times.clear()
    player.extra.clear()
    counts: list[int] = []
    began = time.perf_counter()
    while len(counts) < frames:
        if len(counts) >= _FEWEST_FRAMES and time.perf_counter() - began > seconds:
            break
        counts.append(player.play())
    timings = {name: Timing.of(times) for name, times in player.times.items()}
    return Case(
        people=crowd.people,
        width=player.width,
        height=player.height,
        threads=threads,
        frames=len(counts),
        tracked=round(float(np.mean(counts)), 3),
        end_to_end=timings.pop("end_to_end"),
        cpu=timings.pop("cpu"),
        added=timings.pop("added"),
        stages=timings,
        extra={name: Timing.of(times) for name, times in player.extra.items()},
    )
