"""Bags as .mcap files."""

from __future__ import annotations

from rosbags.rosbag2 import StoragePlugin

from fuzz.bags import bag_file, read_everything
from fuzz.folder import written
from fuzz.target import Target


def seeds() -> list[bytes]:
    return [bag_file(StoragePlugin.MCAP)]


def run(data: bytes) -> None:
    read_everything(written("bag.mcap", data))


TARGET = Target(
    seeds,
    run,
    (
        b"\x89MCAP0\r\n",
        b"zstd",
        b"lz4",
        b"ros2msg",
        b"ros2idl",
        b"cdr",
        b"sensor_msgs/msg/Image",
        b"offered_qos_profiles",
        b"\x01",
        b"\x02",
        b"\x03",
        b"\x04",
        b"\x05",
        b"\x06",
        b"\x08",
        b"\x0b",
    ),
)
