"""What the front end gains: people side by side, images decoded ahead, the detector's input in two steps.

    python benchmarks/front_end.py [--seconds 2]

Each way and its alternative take turns in one run. Where something else is busy, only the processor's time
says what a way costs; what two threads gain in wall time shows on two free cores.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Mapping

import cv2
import numpy as np
import torch

from d3pose_core.bench.crowd import crowd, read_man
from d3pose_core.camera import Intrinsics
from d3pose_core.observe import BlazePoseObserver
from d3pose_core.observe.blazepose import BlazePoseLandmarker
from d3pose_core.observe.blazepose_detector import letterbox
from d3pose_core.recovery import MeshRecovery
from d3pose_ros.worker import AheadWorker, NewestWorker

THREADS = 2
RATE_HZ = 120.0  # of the camera: more than can be worked on


def main() -> None:
    """Prints three tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=2.0, help="for each row")
    args = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    man = read_man()

    print(f"landmarks of people in 640x480, {THREADS} threads      wall ms   CPU ms   (medians)")
    for people in (1, 2, 3, 4, 8):
        landmarks(man, people, args.seconds)
    print("\nthe detector's input                        wall ms   CPU ms")
    for size in ((640, 480), (1280, 720), (1920, 1080)):
        detector_input(man, size, args.seconds / 4)
    print(
        f"\nJPEG images at {RATE_HZ:g} Hz, worked on as fast as it goes   images/s   age ms   CPU ms"
    )
    for size, people in (((1280, 720), 1), ((1920, 1080), 2)):
        decoding(man, size, people, args.seconds)


def take_turns(title: str, ways: Mapping[str, Callable[[], object]], seconds: float) -> None:
    """Medians of wall and processor time of each way."""
    for way in ways.values():
        way()  # makes what is made when first needed
    wall: dict[str, list[float]] = {name: [] for name in ways}
    cpu: dict[str, list[float]] = {name: [] for name in ways}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or not all(wall.values()):
        for name, way in ways.items():
            began, began_cpu = time.perf_counter(), time.process_time()
            way()
            cpu[name].append(1e3 * (time.process_time() - began_cpu))
            wall[name].append(1e3 * (time.perf_counter() - began))
    for name in ways:
        medians = statistics.median(wall[name]), statistics.median(cpu[name])
        print(f"{title:12} {name:30} {medians[0]:8.2f} {medians[1]:8.2f}", flush=True)


def landmarks(man: list[np.ndarray], people: int, seconds: float) -> None:
    """One network for all threads, or a network for each."""
    images = crowd(man, people, 640, 480).images
    observer = BlazePoseObserver(max_people=people)
    for index in range(35):
        observer(images[index], index / 30)
    rois = [track.roi for track in observer._tracker.tracks]
    image, landmarker = images[35], BlazePoseLandmarker(num_threads=THREADS)
    ways = {
        "one by one, all threads": lambda: [landmarker(image, roi) for roi in rois],
        "side by side": lambda: landmarker.several(image, rois),
    }
    take_turns(f"{len(rois)} people", ways, seconds)


def detector_input(man: list[np.ndarray], size: tuple[int, int], seconds: float) -> None:
    """Shrinking the whole image at once, or by a whole number first."""
    image = crowd(man, 2, *size).images[0]
    tensor = np.empty((224, 224, 3), np.float32)

    def at_once() -> None:
        scale = 224 / max(size)
        small = (round(size[0] * scale), round(size[1] * scale))
        resized = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
        tensor.fill(-1.0)
        inner = tensor[: small[1], : small[0]]
        np.multiply(resized[:, :, ::-1], np.float32(1 / 127.5), out=inner)
        inner -= 1.0

    ways = {"at once": at_once, "in two steps": lambda: letterbox(image, tensor)}
    take_turns(f"{size[0]}x{size[1]}", ways, seconds)


def decoding(man: list[np.ndarray], size: tuple[int, int], people: int, seconds: float) -> None:
    """In the thread of the recovery, or ahead of it."""
    images = crowd(man, people, *size).images
    packed = [cv2.imencode(".jpg", image, (cv2.IMWRITE_JPEG_QUALITY, 90))[1] for image in images]
    recovery = MeshRecovery.from_pretrained(observer=BlazePoseObserver(max_people=people + 1))
    camera = Intrinsics.from_hfov(60.0, *size)
    Item = tuple[int, float]  # noqa: N806
    ages: list[float] = []

    def decode(item: Item) -> tuple[Item, np.ndarray]:
        return item, np.asarray(cv2.imdecode(packed[item[0] % len(packed)], cv2.IMREAD_COLOR))

    def recover(decoded: tuple[Item, np.ndarray]) -> None:
        (index, came), image = decoded
        recovery(image, index / RATE_HZ, camera)
        ages.append(1e3 * (time.perf_counter() - came))

    ways: dict[str, Callable[[], NewestWorker | AheadWorker]] = {
        "when it is needed": lambda: NewestWorker(lambda item: recover(decode(item)), "bench"),
        "ahead": lambda: AheadWorker(decode, recover, "bench"),
    }
    for warm_up in (True, False):
        for name, make in ways.items():
            recovery.reset()
            ages.clear()
            length = 1.0 if warm_up else seconds
            worker, began, cpu = make(), time.perf_counter(), time.process_time()
            index = 0
            while time.perf_counter() - began < length:
                worker.submit((index, time.perf_counter()))
                index += 1
                time.sleep(max(0.0, began + index / RATE_HZ - time.perf_counter()))
            worker.stop()
            cost = 1e3 * (time.process_time() - cpu) / len(ages)
            if not warm_up:
                title = f"{size[0]}x{size[1]}, {people} people"
                rate, age = len(ages) / length, statistics.median(ages)
                print(f"{title:22} {name:28} {rate:10.1f} {age:8.1f} {cost:8.1f}", flush=True)


if __name__ == "__main__":
    main()
