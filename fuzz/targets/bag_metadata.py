"""Bags as folders: what their metadata.yaml says."""

from __future__ import annotations

from functools import lru_cache

from rosbags.rosbag2 import StoragePlugin

from fuzz.bags import bag_file, read_everything
from fuzz.folder import folder
from fuzz.target import Target

_METADATA = """\
rosbag2_bagfile_information:
  version: 9
  storage_identifier: mcap
  duration: {nanoseconds: 66000001}
  starting_time: {nanoseconds_since_epoch: 1700000000000000000}
  message_count: 12
  topics_with_message_count:
    - topic_metadata: {name: /camera/image, type: sensor_msgs/msg/Image, serialization_format: cdr,
        offered_qos_profiles: [], type_description_hash: ""}
      message_count: 3
    - topic_metadata: {name: /people, type: d3pose_ros/msg/SmplPersonArray, serialization_format: cdr,
        offered_qos_profiles: "", type_description_hash: ""}
      message_count: 3
  compression_format: ""
  compression_mode: ""
  relative_file_paths: [bag.mcap]
  files: [{path: bag.mcap, starting_time: {nanoseconds_since_epoch: 0}, duration: {nanoseconds: 1},
    message_count: 12}]
  custom_data: {}
  ros_distro: kilted
"""


def seeds() -> list[bytes]:
    return [
        _METADATA.encode(),
        _METADATA.replace('compression_mode: ""', "compression_mode: message")
        .replace('compression_format: ""', "compression_format: zstd")
        .encode(),
    ]


@lru_cache(maxsize=1)
def _bag() -> None:
    (folder() / "bag").mkdir(exist_ok=True)
    (folder() / "bag" / "bag.mcap").write_bytes(bag_file(StoragePlugin.MCAP))


def run(data: bytes) -> None:
    _bag()
    (folder() / "bag" / "metadata.yaml").write_bytes(data)
    read_everything(folder() / "bag")


TARGET = Target(
    seeds,
    run,
    (
        b"sqlite3",
        b"mcap",
        b"zstd",
        b"message",
        b"file",
        b"../../etc/passwd",
        b"&a [*a]",
        b"null",
        b"[]",
        b"{}",
        b"!!python/object/apply:os.system",
        b"1e999",
        b"-1",
        b"reliability: 1",
        b"history: keep_all",
    ),
)
