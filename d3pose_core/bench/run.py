"""The whole benchmark: what `d3pose bench` does."""

from __future__ import annotations

import itertools
import os
import platform
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import cv2
import torch

from d3pose_core.bench import floor, start_up
from d3pose_core.bench.crowd import crowd, read_man
from d3pose_core.bench.floor import Floor
from d3pose_core.bench.stages import Case, RosStages, run_case
from d3pose_core.bench.start_up import StartUp
from d3pose_core.bench.work import (
    Work,
    image_work,
    joints_work,
    mesh_work,
    network_work,
    tflite_work,
)
from d3pose_core.body import BodyModel, load_body
from d3pose_core.errors import InputError
from d3pose_core.landmark_models import FULL, LANDMARKS
from d3pose_core.machine import describe
from d3pose_core.model.checkpoint import load_model
from d3pose_core.model.d3pose import D3Pose
from d3pose_core.model_files import read_model
from d3pose_core.observe import BlazePoseObserver
from d3pose_core.observe.blazepose import BlazePoseLandmarker
from d3pose_core.observe.blazepose_detector import DETECTION_MODEL
from d3pose_core.observe.cached import CachedObserver
from d3pose_core.recording import package_version
from d3pose_core.recovery import MeshRecovery
from d3pose_core.runtime import AUTO, TORCH

BODY = "free-low"
_PACKAGES = ("torch", "ai-edge-litert", "onnxruntime", "numpy", "opencv-python-headless")


@dataclass(frozen=True)
class BenchOptions:
    """What is measured.

    `frames` of each case, or fewer when they take longer than `seconds`.
    """

    people: tuple[int, ...] = (1, 2, 4, 8)
    sizes: tuple[tuple[int, int], ...] = ((640, 480), (1280, 720))  # width, height
    threads: tuple[int, ...] = (1, 2)
    frames: int = 60
    seconds: float = 3.0
    start_up_people: tuple[int, ...] = (1, 8)
    weights: str = "d3pose-landmarks"
    runtime: str = AUTO  # of the network, see d3pose_core.runtime
    landmarks: str = FULL  # see d3pose_core.landmark_models

    def __post_init__(self) -> None:
        if self.landmarks not in LANDMARKS:
            known = ", ".join(LANDMARKS)
            raise InputError(f"landmarks must be one of {known}, got {self.landmarks!r}")
        for name in ("people", "sizes", "threads"):
            if not getattr(self, name):
                raise InputError(f"{name} must name at least one case")
        if min(self.people) < 1 or max(self.people) > 20:
            raise InputError(f"people must be 1..20, not {list(self.people)}")
        if min(self.threads) < 1:
            raise InputError(f"threads must be at least 1, not {list(self.threads)}")
        if min(min(size) for size in self.sizes) < 64:
            raise InputError(f"images must have at least 64 px a side, not {list(self.sizes)}")
        if self.frames < 1 or self.seconds <= 0:
            raise InputError(f"frames and seconds must be positive: {self.frames}, {self.seconds}")

    @classmethod
    def quick(cls) -> BenchOptions:
        """Enough to see that everything works."""
        return cls((1, 2), ((640, 480),), (1,), frames=20, seconds=1.5, start_up_people=(1,))


@dataclass(frozen=True)
class Needs:
    """The work of the stages: of one person or detector run, or by the number of people."""

    landmarks: Work
    detect: Work
    network: dict[int, Work]
    body: dict[int, Work]
    mesh: dict[int, Work]

    @classmethod
    def of(
        cls, model: D3Pose, body: BodyModel, people: Sequence[int], landmarks: str = FULL
    ) -> Needs:
        """For so many people; raises ModelFileMissing."""
        landmarker = BlazePoseLandmarker(landmarks, num_threads=1)
        return cls(
            landmarks=tflite_work(landmarker.content).times(len(landmarker.ways)),
            detect=tflite_work(read_model(DETECTION_MODEL)),
            network={count: network_work(model, 2 * count) for count in people},  # both ways
            body={count: joints_work(body, count) for count in people},
            mesh={count: mesh_work(body, count) for count in people},
        )

    def of_case(self, case: Case) -> dict[str, Work]:
        """By the name of the stage; of `detect`, one run."""
        people = case.people
        return {
            "decode": image_work(case.width, case.height),
            "detect": self.detect,
            "landmarks": self.landmarks.times(people),
            "network": self.network[people],
            "body": self.body[people],
            "mesh": self.mesh[people],
        }


@dataclass(frozen=True)
class Bench:
    """Everything that was measured in one run."""

    options: BenchOptions
    runtime: str  # that executed the network
    machine: dict[str, Any]
    versions: dict[str, str]
    floors: dict[int, Floor]  # by threads
    needs: Needs
    start_ups: list[StartUp]
    cases: list[Case]
    skipped: list[str] = field(default_factory=list)  # what could not be measured, and why
    load_after: float = 0.0


def run_bench(
    options: BenchOptions,
    ros: AbstractContextManager[RosStages] | None,
    skipped: Sequence[str] = (),
    progress: Callable[[str], object] = lambda _: None,
) -> Bench:
    """Measures in order; one line to `progress` before each part.

    Args:
        ros: the stages of ROS, entered when they are needed; None where ROS is missing.
        skipped: why something can't be measured.

    Raises:
        ModelFileMissing: run `d3pose models fetch`.
    """
    man = read_man()
    model, body = load_model(options.weights), load_body(BODY)
    machine = describe()
    progress("what the stages need")
    needs = Needs.of(model, body, options.people, options.landmarks)
    floors = {}
    for threads in sorted({1, *options.threads}):
        progress(f"what the machine can do with {threads} threads")
        floors[threads] = floor.measure(threads, needs.network[options.people[0]].megabytes)
    start_ups = []
    for people in options.start_up_people:
        progress(f"start of a process for {people} people")
        networks = ["--weights", options.weights, "--runtime", options.runtime]
        networks += ["--landmarks", options.landmarks]
        start_ups.append(start_up.measure(people, networks))
    cases = []
    with ExitStack() as stack:
        stages = stack.enter_context(ros) if ros is not None else None
        stack.callback(torch.set_num_threads, torch.get_num_threads())
        stack.callback(cv2.setNumThreads, cv2.getNumThreads())
        for threads in options.threads:
            # As in the node: torch's threads are slower than one with tensors as small as a body's.
            torch.set_num_threads(threads if options.runtime == TORCH else 1)
            cv2.setNumThreads(threads)
            loaded = MeshRecovery.from_pretrained(
                options.weights, body=BODY, observer=CachedObserver(), runtime=options.runtime
            )
            for (width, height), people in itertools.product(options.sizes, options.people):
                progress(f"{people} people, {width} x {height}, {threads} threads")
                # One place is free: the search for others goes on, as it does in a room.
                observer = BlazePoseObserver(
                    people + 1,
                    landmarks=options.landmarks,
                    num_threads=threads,
                )
                shown = crowd(man, people, width, height)
                limits = (options.frames, options.seconds)
                cases.append(run_case(loaded.another(observer), shown, threads, *limits, stages))
    return Bench(
        options=options,
        runtime=loaded.step.runtime,
        machine=machine,
        versions=_versions(),
        floors=floors,
        needs=needs,
        start_ups=start_ups,
        cases=cases,
        skipped=list(skipped),
        load_after=round(os.getloadavg()[0], 2),
    )


def _versions() -> dict[str, str]:
    found = {"d3pose_ros": package_version(), "python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found
