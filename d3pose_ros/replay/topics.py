"""Which topics of a bag hold images and their camera's calibration."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from d3pose_core.errors import InputError
from d3pose_ros.bag import open_bag, read_bag
from d3pose_ros.frame_names import name_other_frames
from d3pose_ros.images import SUPPORTED_ENCODINGS

IMAGE_TYPE = "sensor_msgs/msg/Image"
COMPRESSED_TYPE = "sensor_msgs/msg/CompressedImage"
INFO_TYPE = "sensor_msgs/msg/CameraInfo"
# image_transport publishes beside the raw topic, under names of its own.
_TRANSPORTS = ("compressed",)


@dataclass(frozen=True)
class BagTopic:
    """One topic of a bag: its name, `package/msg/Name`, and how many messages the bag promises."""

    name: str
    type: str
    count: int


def list_topics(path: Path) -> list[BagTopic]:
    """All topics of a bag by name. InputError for a bag that can't be read."""
    counts: dict[tuple[str, str], int] = {}
    with open_bag(path) as bag:
        for connection in bag.connections:
            key = (connection.topic, connection.msgtype)
            counts[key] = counts.get(key, 0) + connection.msgcount
    return [BagTopic(*key, count) for key, count in sorted(counts.items())]


def topic_table(topics: list[BagTopic]) -> str:
    """One line a topic: messages, type, name."""
    if not topics:
        return "  (none)"
    width = max(len(topic.type) for topic in topics)
    return "\n".join(f"  {topic.count:7}  {topic.type:<{width}}  {topic.name}" for topic in topics)


def choose_image_topic(path: Path, name: str | None) -> BagTopic:
    """The image topic called `name`, or the only one that shows colour or grey images.

    A raw topic is preferred to its own compressed copies, and depth images do not count.

    Raises:
        InputError: no such topic, several to choose from, or one without messages; lists what is there.
    """
    topics = list_topics(path)
    images = [topic for topic in topics if topic.type in (IMAGE_TYPE, COMPRESSED_TYPE)]
    there = f"{path} holds\n{topic_table(topics)}"
    if name is not None:
        chosen = [topic for topic in topics if topic.name == name]
        if not chosen:
            raise InputError(f"no topic {name!r} in the bag: {there}")
        if chosen[0] not in images:
            raise InputError(f"{name} holds {chosen[0].type}, which are no images: {there}")
    else:
        chosen = [topic for topic in images if topic.count and _shows_people(path, topic)]
        raw = {topic.name for topic in chosen if topic.type == IMAGE_TYPE}
        chosen = [
            topic for topic in chosen if topic.name in raw or base_name(topic.name) not in raw
        ]
        if len(chosen) > 1:
            raise InputError(f"several image topics to choose from, give one by --image: {there}")
        if not chosen:
            raise InputError(f"no images that can be used: {there}")
    if not chosen[0].count:
        raise InputError(f"{chosen[0].name} has no messages: {there}")
    return chosen[0]


def choose_info_topic(path: Path, image_topic: str, name: str | None) -> str | None:
    """The camera_info topic called `name`, or the one beside the image topic, or the only one.

    Returns None if there is none (without a `name`).

    Raises:
        InputError: `name` is not there, or no CameraInfo; or the only one is of another camera's frame.
    """
    topics = list_topics(path)
    if name is not None:
        found = next((topic for topic in topics if topic.name == name), None)
        if found is None or found.type != INFO_TYPE:
            what = "no topic" if found is None else f"{found.type}, no CameraInfo, at"
            raise InputError(f"{what} {name!r} in the bag: {path} holds\n{topic_table(topics)}")
        return name
    infos = [topic.name for topic in topics if topic.type == INFO_TYPE and topic.count]
    beside = base_name(image_topic).rpartition("/")[0] + "/camera_info"
    if beside in infos:
        return beside
    if len(infos) != 1:
        return None
    frames = [first_frame_id(path, topic) for topic in (infos[0], image_topic)]
    if name_other_frames(*frames):
        raise InputError(
            f"the only camera_info of the bag, {infos[0]}, is of {frames[0]!r}, and the images are of "
            f"{frames[1]!r}: give --camera-info {infos[0]} if it is their camera's, else --hfov or "
            "--intrinsics"
        )
    return infos[0]


def first_frame_id(path: Path, topic: str) -> str:
    """The frame of the first message of a topic of images or camera_info; "" where there is none."""
    for recorded in read_bag(path, (topic,)):
        return recorded.message.header.frame_id
    return ""


def base_name(image_topic: str) -> str:
    """`/camera/image_raw/compressed` -> `/camera/image_raw`."""
    base, _, transport = image_topic.rpartition("/")
    return base if transport in _TRANSPORTS else image_topic


def _shows_people(path: Path, topic: BagTopic) -> bool:
    """Whether the first message is a colour or grey image: depth images have encodings of their own."""
    for recorded in read_bag(path, (topic.name,)):
        message = recorded.message
        if topic.type == IMAGE_TYPE:
            return message.encoding in SUPPORTED_ENCODINGS
        return "compressedDepth" not in message.format
    return False
