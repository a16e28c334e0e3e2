"""Rosbags with reference people: messages `d3pose_ros/msg/SmplPersonArray`, whoever published them.

The bag's own message definitions are used, so that ROS need not be installed.
"""

from __future__ import annotations

from collections import defaultdict
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from rosbags.interfaces import MessageDefinitionFormat
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from d3pose_core.bag_file import BagFile, deserialized, opened
from d3pose_core.camera import Intrinsics
from d3pose_core.data.datasets.dataset import Dataset
from d3pose_core.data.datasets.sequence import (
    DatasetPerson,
    DatasetSequence,
    Joints2D,
    Joints3D,
    SmplTrack,
    pinhole,
)
from d3pose_core.errors import InputError
from d3pose_core.skeleton import JOINT_NAMES

PEOPLE_TYPE = "d3pose_ros/msg/SmplPersonArray"
CAMERA_TYPE = "sensor_msgs/msg/CameraInfo"


class Bag(Dataset):
    """`root` is a bag (a folder with metadata.yaml, an .mcap or a .db3 file); a sequence is one topic.

    Positions are in the frame of the messages' header, an optical frame; `up` isn't known. Images stay in
    the bag (`d3pose replay`).
    """

    key = "bag"
    title = "A bag with reference people"
    where_to_get = "a recording of your own: `ros2 bag record` of a SmplPersonArray topic"
    layout = "a bag with a topic of d3pose_ros/msg/SmplPersonArray"
    splits = ("all",)

    def __init__(self, root: str | Path, split: str = "all", bodies: Any = None) -> None:
        path = Path(root).expanduser()
        if not path.exists():
            raise self.missing(path)
        self._bag = path
        super().__init__(path if path.is_dir() else path.parent, split, bodies)

    def _find(self) -> list[str]:
        with opened(self._bag) as bag:
            topics = {c.topic for c in bag.connections if c.msgtype == PEOPLE_TYPE}
        return sorted(topics)

    def _load(self, name: str) -> DatasetSequence:
        camera, messages = None, []
        with opened(self._bag) as bag:
            types = _types(bag)
            wanted = [
                c
                for c in bag.connections
                if c.msgtype == CAMERA_TYPE or (c.topic, c.msgtype) == (name, PEOPLE_TYPE)
            ]
            for connection, _, data in bag.messages(wanted):
                if connection.msgtype == PEOPLE_TYPE:
                    messages.append(deserialized(types, data, PEOPLE_TYPE, name))
                elif camera is None:
                    camera = _camera(deserialized(types, data, CAMERA_TYPE, connection.topic))
        if not messages:
            raise InputError(f"{self._bag}: topic {name} is empty")
        try:
            stamps = [m.header.stamp.sec * 10**9 + m.header.stamp.nanosec for m in messages]
            order = np.argsort(stamps, kind="stable")
            messages, ns = [messages[i] for i in order], np.array(stamps)[order]
            rows: dict[int, list[tuple[int, Any]]] = defaultdict(list)
            for frame, message in enumerate(messages):
                for person in message.persons:
                    rows[int(person.track_id)].append((frame, person))
            frames = len(messages)
            gender = str(messages[0].gender) or "neutral"
            people = tuple(_person(i, rows[i], frames, gender) for i in sorted(rows))
        except (AttributeError, ValueError, TypeError) as error:
            raise InputError(
                f"{self._bag}: {PEOPLE_TYPE} has other fields there than here: {error}"
            ) from error
        return DatasetSequence(
            dataset=self.key,
            name=name,
            split=self.split,
            subject="",
            frame_ids=np.arange(frames),
            times_s=(ns - ns[0]) * 1e-9,
            rotation=np.broadcast_to(np.eye(3), (frames, 3, 3)),
            translation=np.zeros((frames, 3)),
            people=people,
            intrinsics=camera,
        )


def _types(bag: BagFile) -> Typestore:
    """ROS's own types, and people as the bag defines them; no other definition of the bag is looked at."""
    definitions = (c.msgdef for c in bag.connections if c.msgtype == PEOPLE_TYPE)
    text = next((d.data for d in definitions if d.format == MessageDefinitionFormat.MSG), None)
    if text is None:
        raise InputError(
            f"{bag.path} does not hold the definition of {PEOPLE_TYPE}; record it with a newer ros2 bag, or "
            "as .mcap"
        )
    try:
        return _with_people(text)
    except Exception as error:  # of rosbags' parsers, for which there is no common base
        raise InputError(
            f"{bag.path}: its definition of {PEOPLE_TYPE} can't be used: {error}"
        ) from error


@lru_cache(maxsize=8)
def _with_people(definition: str) -> Typestore:
    types = get_typestore(Stores.ROS2_KILTED)
    types.register(get_types_from_msg(definition, PEOPLE_TYPE))
    return types


def _person(track_id: int, rows: list[tuple[int, Any]], frames: int, gender: str) -> DatasetPerson:
    def column(read: Any, *shape: int) -> np.ndarray:
        out = np.full((frames, *shape), np.nan)
        for frame, person in rows:
            out[frame] = np.reshape(read(person), shape)
        return out

    valid = np.zeros(frames, bool)
    valid[[frame for frame, _ in rows]] = True
    smpl = SmplTrack(
        model="smpl",
        gender=gender,
        betas=column(lambda p: p.betas, 10),
        global_orient=column(lambda p: p.global_orient, 3),
        body_pose=column(lambda p: p.body_pose, 23, 3),
        transl=column(lambda p: p.transl, 3),
    )
    joints = column(lambda p: [(j.x, j.y, j.z) for j in p.joints], 24, 3)
    pixels = column(lambda p: p.joints_2d, 24, 2)
    confidence = np.nan_to_num(column(lambda p: p.joint_confidence, 24))
    return DatasetPerson(
        person_id=track_id,
        valid=valid,
        smpl=smpl,
        joints=Joints3D(JOINT_NAMES, joints),
        joints_2d=Joints2D(JOINT_NAMES, pixels, confidence),
    )


def _camera(message: Any) -> Intrinsics | None:
    """The rectified camera of a CameraInfo; None for an uncalibrated one."""
    k = np.asarray(message.k).reshape(3, 3)
    if not k[0, 0] > 0:
        return None
    return pinhole(k, message.width, message.height)
