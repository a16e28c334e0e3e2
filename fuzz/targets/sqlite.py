"""Bags as .db3 files, which are SQLite databases."""

from __future__ import annotations

from rosbags.rosbag2 import StoragePlugin

from fuzz.bags import bag_file, read_everything
from fuzz.folder import written
from fuzz.target import Target


def seeds() -> list[bytes]:
    return [bag_file(StoragePlugin.SQLITE3)]


def run(data: bytes) -> None:
    read_everything(written("bag.db3", data))


TARGET = Target(
    seeds,
    run,
    (
        b"SQLite format 3\0",
        b"CREATE TABLE",
        b"messages",
        b"topics",
        b"cdr",
        b"sensor_msgs/msg/Image",
        b"CREATE VIEW",
        b"message_definitions",
    ),
)
