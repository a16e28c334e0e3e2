"""Small bags for the targets that read bags, and everything that d3pose reads from one."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import lru_cache
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from rclpy.serialization import serialize_message
from rosbags.rosbag2 import StoragePlugin, Writer
from std_msgs.msg import Header

from d3pose_core.camera import Intrinsics
from d3pose_core.data.datasets.bag import Bag
from d3pose_core.errors import D3PoseError
from d3pose_core.recovery import RecoveredPerson
from d3pose_ros.bag import PEOPLE_TYPE, open_bag, typestore
from d3pose_ros.messages import people_to_message
from d3pose_ros.replay.images import BagImages, RecordedCamera
from d3pose_ros.replay.people import read_tracks
from d3pose_ros.replay.topics import (
    COMPRESSED_TYPE,
    IMAGE_TYPE,
    INFO_TYPE,
    choose_image_topic,
    choose_info_topic,
    list_topics,
)
from fuzz.folder import folder

START_NS = 1_700_000_000 * 10**9
_MESSAGES = 3
_MOST_IMAGES = 8


@lru_cache(maxsize=4)
def bag_file(plugin: StoragePlugin) -> bytes:
    """A bag with images, calibration and people, as one file."""
    path = folder() / "seed"
    shutil.rmtree(path, ignore_errors=True)
    types = typestore()
    with Writer(path, version=9, storage_plugin=plugin) as writer:
        topics = {
            "/camera/image": (IMAGE_TYPE, _image),
            "/camera/small/compressed": (COMPRESSED_TYPE, _compressed),
            "/camera/camera_info": (INFO_TYPE, _info),
            "/people": (PEOPLE_TYPE, _people),
        }
        for topic, (kind, make) in topics.items():
            connection = writer.add_connection(topic, kind, typestore=types)
            for index in range(_MESSAGES):
                message = make(types, index)
                if not isinstance(message, bytes):
                    message = bytes(types.serialize_cdr(message, kind))
                writer.write(connection, START_NS + index * 33_000_000, message)
    (file,) = (each for each in path.iterdir() if each.suffix in (".mcap", ".db3"))
    data = file.read_bytes()
    shutil.rmtree(path)
    return data


def _header(types, index: int):
    stamp = types.types["builtin_interfaces/msg/Time"](1_700_000_000, index * 33_000_000)
    return types.types["std_msgs/msg/Header"](stamp, "camera_optical_frame")


def _image(types, index: int):
    data = np.full(8 * 6 * 3, index, np.uint8)
    return types.types[IMAGE_TYPE](_header(types, index), 6, 8, "bgr8", 0, 24, data)


def _compressed(types, index: int):
    _, data = cv2.imencode(".png", np.full((4, 4, 3), index, np.uint8))
    return types.types[COMPRESSED_TYPE](_header(types, index), "png", data)


def _info(types, index: int):
    roi = types.types["sensor_msgs/msg/RegionOfInterest"](0, 0, 0, 0, False)
    k = np.array([8.0, 0, 3.5, 0, 8, 2.5, 0, 0, 1])
    p = np.array([8.0, 0, 3.5, 0, 0, 8, 2.5, 0, 0, 0, 1, 0])
    d = np.array([-0.1, 0.01, 0, 0, 0])
    header, r = _header(types, index), np.eye(3).ravel()
    return types.types[INFO_TYPE](header, 6, 8, "plumb_bob", d, k, r, p, 0, 0, roi)


def _people(types, index: int) -> bytes:
    header = Header(frame_id="camera_optical_frame")
    header.stamp.sec, header.stamp.nanosec = divmod(START_NS + index * 33_000_000, 10**9)
    person = RecoveredPerson(
        track_id=index,
        confidence=0.9,
        global_orient=np.full(3, 0.1, np.float32),
        body_pose=np.full((23, 3), 0.1, np.float32),
        betas=np.zeros(10, np.float32),
        transl=np.ones(3, np.float32),
        joints=np.ones((24, 3), np.float32),
        joints_2d=np.ones((24, 2), np.float32),
        joint_confidence=np.ones(24, np.float32),
        observation_age_s=0.0,
    )
    return serialize_message(people_to_message(header, [person], "free-low", "neutral"))


def read_everything(path: Path) -> None:
    """As `d3pose replay`, `evaluate` and the dataset reader do; D3PoseError if nothing could be read."""
    with open_bag(path):  # what is no bag at all is refused here
        pass
    topics = list_topics(path)
    refused: list[D3PoseError] = []

    def attempt(read: Callable[[], object]) -> None:
        try:
            read()
        except D3PoseError as error:
            refused.append(error)

    attempts = [
        lambda: choose_image_topic(path, None),
        lambda: choose_info_topic(path, "/camera/image", None),
        lambda: RecordedCamera(path, "/camera/camera_info", "/camera/image")(START_NS, 8, 6),
        lambda: read_tracks(path),
        lambda: [Bag(path).load(name) for name in Bag(path).names],
    ]
    for topic in topics[:6]:
        if topic.type in (IMAGE_TYPE, COMPRESSED_TYPE):
            attempts.append(lambda topic=topic: _images(path, topic))
    for read in attempts:
        attempt(read)
    if len(refused) == len(attempts):
        raise refused[0]


def _images(path: Path, topic) -> None:
    camera = lambda _, width, height: Intrinsics.from_hfov(60, width, height)  # noqa: E731
    for image in islice(BagImages(path, topic, camera), _MOST_IMAGES):
        assert image.image.ndim == 3
