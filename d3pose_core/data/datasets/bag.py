"""Rosbags with reference people: messages `d3pose_ros/msg/SmplPersonArray`, whoever published them.

The bag's own message definitions are used, so that ROS need not be installed.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from rosbags.highlevel import AnyReader, AnyReaderError
from rosbags.typesys import Stores, get_typestore

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
        with self._reader() as reader:
            topics = {c.topic for c in reader.connections if c.msgtype == PEOPLE_TYPE}
        return sorted(topics)

    def _reader(self) -> AnyReader:
        try:
            store = get_typestore(Stores.ROS2_KILTED)
            return AnyReader([self._bag], default_typestore=store)
        except (AnyReaderError, OSError) as error:
            raise InputError(f"{self._bag} is not a readable bag: {error}") from error

    def load(self, name: str) -> DatasetSequence:
        camera, messages = None, []
        try:
            with self._reader() as reader:
                wanted = [
                    c for c in reader.connections if c.topic == name or c.msgtype == CAMERA_TYPE
                ]
                for connection, _, data in reader.messages(wanted):
                    if connection.msgtype == CAMERA_TYPE:
                        if camera is None:
                            camera = _camera(reader.deserialize(data, connection.msgtype))
                    else:
                        messages.append(reader.deserialize(data, connection.msgtype))
        except (AnyReaderError, OSError, KeyError) as error:
            raise InputError(f"{self._bag}: {name} can't be read: {error!r}") from error
        if not messages:
            raise InputError(f"{self._bag}: topic {name} is empty")
        stamps = [m.header.stamp.sec * 10**9 + m.header.stamp.nanosec for m in messages]
        order = np.argsort(stamps, kind="stable")
        messages, ns = [messages[i] for i in order], np.array(stamps)[order]
        rows: dict[int, list[tuple[int, Any]]] = defaultdict(list)
        for frame, message in enumerate(messages):
            for person in message.persons:
                rows[int(person.track_id)].append((frame, person))
        frames = len(messages)
        gender = str(messages[0].gender) or "neutral"
        return DatasetSequence(
            dataset=self.key,
            name=name,
            split=self.split,
            subject="",
            frame_ids=np.arange(frames),
            times_s=(ns - ns[0]) * 1e-9,
            rotation=np.broadcast_to(np.eye(3), (frames, 3, 3)),
            translation=np.zeros((frames, 3)),
            people=tuple(_person(i, rows[i], frames, gender) for i in sorted(rows)),
            intrinsics=camera,
        )


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
