"""What a recorder that was killed left behind, damaged: `rescue` makes a bag of it."""

from __future__ import annotations

import shutil

from rosbags.rosbag2 import StoragePlugin

from d3pose_core.errors import InputError
from d3pose_ros.bag import open_bag, recording_folder, rescue
from fuzz.bags import bag_file
from fuzz.folder import folder
from fuzz.target import Target


def seeds() -> list[bytes]:
    whole = bag_file(StoragePlugin.MCAP)
    return [whole, whole[: len(whole) // 2], whole[:100], b""]


def run(data: bytes) -> None:
    path = folder() / "people.mcap"
    path.unlink(missing_ok=True)
    left = recording_folder(path)
    shutil.rmtree(left, ignore_errors=True)
    (left / "people").mkdir(parents=True)
    (left / "people" / "people.mcap").write_bytes(data)
    if not rescue(path):
        raise InputError("nothing that begins as a bag does")
    assert not left.exists()
    with open_bag(path) as reader:
        for _ in reader.messages(reader.connections):
            pass


TARGET = Target(seeds, run, (b"\x89MCAP0\r\n", b"\x0f", b"\x02"))
