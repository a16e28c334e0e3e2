"""What the page shows next: people and the image they were found in, as one packet for the browser."""

from __future__ import annotations

import json
import struct
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from sensor_msgs.msg import CompressedImage, Image

from d3pose_core.viewer.pack import axes_of_frame, can_show
from d3pose_ros.images import ImageError, to_bgr
from d3pose_ros.msg import SmplPerson, SmplPersonArray

# Images wait for the people found in them: about a second of a camera.
IMAGES_KEPT, BYTES_KEPT = 30, 200 * 10**6
# Without people for so long, images are shown alone.
PEOPLE_LATE_S = 3.0
# Nobody has asked for a packet for so long: nobody looks.
UNWATCHED_S = 5.0
MAX_WIDTH = 960  # px of the picture that is sent
JPEG_QUALITY = 80
# How far the joints' pixels may lie from a pinhole's: more is a distorted lens or another frame.
PINHOLE_TOLERANCE = 0.01  # of the image's width


class Feed:
    """Collects messages in the ROS thread; `wait` hands the newest packet to any number of others.

    A packet is the length of its header (uint32, little endian), a JSON header, and a JPEG picture. Who
    is slow skips packets and never falls behind.
    """

    def __init__(self, clock_ns: Callable[[], int]) -> None:
        """`clock_ns`: the time that stamps are compared with."""
        self._clock_ns = clock_ns
        self._images: OrderedDict[int, Image | CompressedImage] = OrderedDict()
        self._condition = threading.Condition()
        self._packet, self._number = b"", 0
        self._asked_s = -np.inf
        self._people_s = -np.inf
        self._arrivals: deque[float] = deque(maxlen=60)
        self._status: dict[str, Any] = {}

    def watched(self) -> bool:
        """Whether anybody looks at the page."""
        return time.monotonic() - self._asked_s < UNWATCHED_S

    def wait(self, after: int, timeout_s: float) -> tuple[int, bytes]:
        """The newest packet with a number beyond `after` and that number; (after, b"") if none comes."""
        with self._condition:
            self._asked_s = time.monotonic()
            # A page that was opened before the server was restarted has a number from before.
            if after > self._number:
                after = 0
            self._condition.wait_for(lambda: self._number > after, timeout_s)
            self._asked_s = time.monotonic()
            if self._number > after:
                return self._number, self._packet
            return after, b""

    def on_image(self, message: Image | CompressedImage) -> None:
        """Keep it until its people come; show it alone when none have come for a while."""
        self._images[_stamp_ns(message)] = message
        size = sum(len(image.data) for image in self._images.values())
        while len(self._images) > IMAGES_KEPT or (size > BYTES_KEPT and len(self._images) > 1):
            size -= len(self._images.popitem(last=False)[1].data)
        if time.monotonic() - self._people_s > PEOPLE_LATE_S:
            self._publish(message.header, None, message)

    def forget_images(self) -> None:
        """Nobody looks any more: large images must not fill the memory meanwhile."""
        self._images.clear()

    def on_people(self, message: SmplPersonArray) -> None:
        """Show them over their own image, if it is there."""
        self._people_s = time.monotonic()
        self._arrivals.append(self._people_s)
        self._publish(message.header, message, self._images.get(_stamp_ns(message)))

    def on_status(self, level: int, message: str, values: dict[str, str]) -> None:
        """What the node says of itself; the next packet has it."""
        self._status = {"level": level, "message": message, "values": values}

    def _publish(
        self, header: Any, people: SmplPersonArray | None, image: Image | CompressedImage | None
    ) -> None:
        if not self.watched():
            return
        picture, size = _encode(image)
        persons = people.persons if people is not None else []
        camera = pinhole_of(persons, size)
        content = {
            "stamp": header.stamp.sec + header.stamp.nanosec * 1e-9,
            "frame": header.frame_id,
            "axes": "optical" if camera else axes_of_frame(header.frame_id),
            "size": size,
            "camera": camera,
            "people": None if people is None else [_person(person) for person in persons],
            "mesh": people is not None and can_show(people.body_model),
            "body": "" if people is None else people.body_model,
            "rate": self._rate(),
            "delayMs": (self._clock_ns() - _nanoseconds(header.stamp)) * 1e-6,
            "status": self._status,
        }
        # JSON has no nan: a joint behind the camera is null.
        text = json.dumps(_finite(content), separators=(",", ":")).encode()
        packet = struct.pack("<I", len(text)) + text + picture
        with self._condition:
            self._packet = packet
            self._number += 1
            self._condition.notify_all()

    def _rate(self) -> float:
        """People messages a second, of late."""
        recent = [t for t in self._arrivals if t > time.monotonic() - 3]
        return (len(recent) - 1) / (recent[-1] - recent[0]) if len(recent) > 2 else 0.0


def pinhole_of(persons: list[SmplPerson], size: list[int] | None) -> dict[str, float] | None:
    """The pinhole that takes the joints to their pixels, found from both; None where there is none.

    That is the camera the node used, whatever it came from. There is none with nobody in sight, with a
    lens that bends lines, or when people are in another frame than the camera's.
    """
    if size is None or not persons:
        return None
    joints = np.array([[(p.x, p.y, p.z) for p in person.joints] for person in persons]).reshape(
        -1, 3
    )
    pixels = np.array([person.joints_2d for person in persons], np.float64).reshape(-1, 2)
    known = np.isfinite(pixels).all(axis=1) & np.isfinite(joints).all(axis=1)
    seen = known & (joints[:, 2] > 0.05)
    if seen.sum() < 8:
        return None
    rays, pixels = joints[seen, :2] / joints[seen, 2:], pixels[seen]
    (fx, cx), (fy, cy) = (np.polyfit(rays[:, axis], pixels[:, axis], 1) for axis in (0, 1))
    off = np.abs(rays * (fx, fy) + (cx, cy) - pixels).max()
    if not (fx > 0 and fy > 0 and off < PINHOLE_TOLERANCE * size[0]):
        return None
    return {"fx": fx, "fy": fy, "cx": cx, "cy": cy, "width": size[0], "height": size[1]}


def _encode(image: Image | CompressedImage | None) -> tuple[bytes, list[int] | None]:
    """A JPEG, and the size of the original image, px; neither of an image that can't be decoded."""
    if image is None:
        return b"", None
    try:
        picture = to_bgr(image)
    except ImageError:
        return b"", None
    height, width = picture.shape[:2]
    if width > MAX_WIDTH:
        shrunk = (MAX_WIDTH, max(1, round(height * MAX_WIDTH / width)))
        picture = cv2.resize(picture, shrunk, interpolation=cv2.INTER_AREA)
    done, data = cv2.imencode(".jpg", picture, (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY))
    if not done:  # JPEG ends at 65535 pixels
        return b"", None
    return data.tobytes(), [width, height]


def _person(person: SmplPerson) -> dict[str, Any]:
    joints = np.array([(p.x, p.y, p.z) for p in person.joints])
    return {
        "id": person.track_id,
        "confidence": round(float(person.confidence), 3),
        "pose": _rounded(np.concatenate([person.global_orient, person.body_pose])),
        "betas": _rounded(person.betas),
        "transl": _rounded(person.transl),
        "joints": _rounded(joints),
        "pixels": _rounded(person.joints_2d, 1),
        "certain": _rounded(person.joint_confidence, 2),
    }


def _rounded(values: Any, digits: int = 4) -> list[float]:
    return np.asarray(values, np.float64).reshape(-1).round(digits).tolist()


def _finite(value: Any) -> Any:
    """The same with None for every number that is not finite."""
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_finite(each) for each in value]
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value


def _stamp_ns(message: Any) -> int:
    return _nanoseconds(message.header.stamp)


def _nanoseconds(stamp: Any) -> int:
    return stamp.sec * 10**9 + stamp.nanosec
