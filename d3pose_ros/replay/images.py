"""The images of one topic of a bag: every one, in the order of their stamps, each with its camera."""

from __future__ import annotations

import bisect
import logging
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from d3pose_core.bag_file import deserialized
from d3pose_core.camera import Intrinsics
from d3pose_core.errors import InputError
from d3pose_core.video import Frame
from d3pose_ros import calibration
from d3pose_ros.bag import open_bag, read_bag, typestore
from d3pose_ros.geometry import AUTO
from d3pose_ros.images import ImageError, to_bgr
from d3pose_ros.replay.topics import BagTopic
from d3pose_ros.stamps import RESTART_S, seconds

logger = logging.getLogger(__name__)

FALLBACK_FPS = 30.0
UNREADABLE, DUPLICATE = "unreadable_message", "duplicate_stamp"


@dataclass(frozen=True)
class BagImage(Frame):
    """One image of a bag. `time_s` counts from the first stamp; after the stamps of a bag that was
    recorded in a loop go back, so does it."""

    stamp_ns: int  # the message's own, ns since 1970 or since the simulation's start
    received_ns: int  # when it was recorded, ns since 1970
    frame_id: str
    intrinsics: Intrinsics


Camera = Callable[[int, int, int], Intrinsics]  # stamp in ns, width, height -> the camera then


class BagImages:
    """Iterate as often as you like; each time reads the bag anew.

    Images that arrived out of order are put in order; where stamps go back by more than RESTART_S, the
    stream starts anew, as the node takes it. A second image of the same stamp is left out, and so is one
    that cannot be decoded or whose stamp is no time: `dropped` counts them by cause during an iteration.

    Attributes:
        topic: what is read.
        frame_count: images in order, without duplicates, at most `max_images`.
        fps: of the usual step between two images, 1..1000.
        stamps_ns: of those images; start_ns: the first that is a time.

    Raises:
        InputError: no image at all, or a bag of images that all have one stamp.
    """

    def __init__(
        self, path: Path, topic: BagTopic, camera: Camera, max_images: int | None = None
    ) -> None:
        self.path, self.topic = path, topic
        self._camera = camera
        stamps = _read_stamps(path, topic)
        order, self._duplicates = stamp_order(stamps)
        if len(stamps) > 1 and len(order) == 1:
            raise InputError(
                f"{path}: all {len(stamps)} images of {topic.name} are stamped {stamps[0] * 1e-9:.9f} s; "
                "without stamps of their own they have no order: make the camera driver stamp them"
            )
        self._order = order[:max_images]
        self.stamps_ns = [stamps[position] for position in self._order]
        self.frame_count = len(self.stamps_ns)
        # The first that is a time; 0 is what a driver says before it knows it.
        self.start_ns = next((ns for ns in self.stamps_ns if ns > 0), 0)
        self.fps = _usual_rate(self.stamps_ns)
        self.dropped: dict[str, int] = {}

    def __iter__(self) -> Iterator[BagImage]:
        self.dropped = {DUPLICATE: self._duplicates} if self._duplicates else {}
        types, size, good = typestore(), None, 0
        problem = ""
        for index, received_ns, data in self._in_order():
            try:
                message = deserialized(types, data, self.topic.type, self.topic.name)
                seconds(message.header.stamp)  # which refuses what is no time
                image = to_bgr(message)
            except InputError as error:
                problem = problem or str(error)
                cause = error.cause if isinstance(error, ImageError) else UNREADABLE
                self._drop(cause, f"image {index}: {error}")
                continue
            height, width = image.shape[:2]
            if size not in (None, (width, height)):
                raise InputError(
                    f"{self.path}: image {index} is {width} x {height}, those before are "
                    f"{size[0]} x {size[1]}: replay the parts as bags of their own"
                )
            size, good = (width, height), good + 1
            stamp_ns = _nanoseconds(message.header.stamp)
            yield BagImage(
                index=index,
                time_s=(stamp_ns - self.start_ns) * 1e-9,
                image=image,
                stamp_ns=stamp_ns,
                received_ns=received_ns,
                frame_id=message.header.frame_id,
                intrinsics=self._camera(stamp_ns, width, height),
            )
        if not good:
            raise InputError(f"{self.path}: no image of {self.topic.name} can be used: {problem}")

    def _drop(self, cause: str, message: str) -> None:
        if cause not in self.dropped:
            logger.warning("%s: %s; further ones are counted only", self.topic.name, message)
        self.dropped[cause] = self.dropped.get(cause, 0) + 1

    def _in_order(self) -> Iterator[tuple[int, int, bytes]]:
        """(index, received, message): one that comes early waits for those before it."""
        place = {position: index for index, position in enumerate(self._order)}
        waiting: dict[int, tuple[int, bytes]] = {}
        following = 0
        for position, (received_ns, data) in enumerate(_raw_messages(self.path, self.topic)):
            if position not in place:
                continue
            waiting[place[position]] = received_ns, data
            while following in waiting:
                yield following, *waiting.pop(following)
                following += 1
            if following == len(place):
                return


def stamp_order(stamps: list[int]) -> tuple[list[int], int]:
    """Positions of the stamps (ns) in the order in which they are processed, and how many repeat another.

    Within one run of the stream that is the order of time; a stamp more than RESTART_S before the newest
    one starts another run.
    """
    order: list[int] = []
    run: dict[int, int] = {}  # stamp -> position
    newest = None
    for position, stamp in enumerate(stamps):
        if newest is not None and stamp < newest - RESTART_S * 1e9:
            order += [run[key] for key in sorted(run)]
            run, newest = {}, None
        run.setdefault(stamp, position)
        newest = stamp if newest is None else max(newest, stamp)
    order += [run[key] for key in sorted(run)]
    return order, len(stamps) - len(order)


class RecordedCamera:
    """The camera_info of a bag: of each image the one with its stamp, else the last one before it."""

    def __init__(self, path: Path, topic: str, image_topic: str) -> None:
        """`image_topic` tells by its name whether the images are rectified, as in the node.

        Raises InputError if the topic has no messages.
        """
        self._rectified = calibration.is_rectified(AUTO, image_topic)
        self._warned = False
        infos: list[tuple[int, Any]] = [
            (_nanoseconds(recorded.message.header.stamp), recorded.message)
            for recorded in read_bag(path, (topic,))
        ]
        if not infos:
            raise InputError(f"{topic} has no messages in {path}: give --hfov or --intrinsics")
        infos.sort(key=lambda pair: pair[0])
        self.topic = topic
        self._stamps = [stamp for stamp, _ in infos]
        self._infos = [info for _, info in infos]

    def __call__(self, stamp_ns: int, width: int, height: int) -> Intrinsics:
        """For one image. Where its own camera_info can't be used, the nearest one before or after that can.

        Raises InputError where none can.
        """
        own = max(0, bisect.bisect_right(self._stamps, stamp_ns) - 1)
        problem: calibration.CalibrationError | None = None
        for index in (*range(own, -1, -1), *range(own + 1, len(self._infos))):
            try:
                found = calibration.intrinsics(self._infos[index], width, height, self._rectified)
            except calibration.CalibrationError as error:
                problem = problem or error
                if error.usable is None:
                    continue
                found = error.usable
            if problem is not None and not self._warned:
                logger.warning("image of %.9f s: %s", stamp_ns * 1e-9, problem)
                self._warned = True
            return found
        raise InputError(f"{self.topic}: {problem}; here: give --hfov or --intrinsics")


def _raw_messages(path: Path, topic: BagTopic) -> Iterator[tuple[int, bytes]]:
    with open_bag(path) as bag:
        wanted = [each for each in bag.connections if each.topic == topic.name]
        for _, received_ns, data in bag.messages(wanted):
            yield received_ns, data


def _read_stamps(path: Path, topic: BagTopic) -> list[int]:
    """Stamps of all messages, ns, in the order of recording. All image messages begin with a header."""
    stamps = [stamp_of(data) for _, data in _raw_messages(path, topic)]
    if not stamps:
        raise InputError(f"{path}: none of {topic.count} messages of {topic.name} can be read")
    if len(stamps) < topic.count:
        logger.warning(
            "%s is damaged: it promises %d messages of %s and %d can be read; going on with those",
            *(path, topic.count, topic.name, len(stamps)),
        )
    return stamps


def stamp_of(message: bytes) -> int:
    """The header's stamp of a serialized message: after 4 bytes that say how it is encoded."""
    if len(message) < 12:
        return 0
    little_endian = message[1] & 1
    seconds, nanoseconds = struct.unpack_from("<iI" if little_endian else ">iI", message, 4)
    return seconds * 10**9 + nanoseconds


def _nanoseconds(stamp: Any) -> int:
    return stamp.sec * 10**9 + stamp.nanosec


def _usual_rate(stamps_ns: list[int]) -> float:
    steps = np.diff(stamps_ns)
    steps = steps[steps > 0]
    return float(np.clip(1e9 / np.median(steps), 1, 1000)) if len(steps) else FALLBACK_FPS
