"""A small recorder: the bytes of some topics, as they come, into one `.mcap` file.

    python -m d3pose_ros.recorder people.mcap /d3pose/people=d3pose_ros/msg/SmplPersonArray

It runs until SIGINT or SIGTERM, then finishes the file. A line of JSON on stdout says when every topic
has a publisher (`{"event": "ready"}`), and how much was recorded (`{"event": "recorded", ...}`).
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions

from d3pose_core.errors import D3PoseError
from d3pose_ros.bag import BagWriter
from d3pose_ros.events import emit
from d3pose_ros.message_class import message_class
from d3pose_ros.recorded_qos import RECORDED_QOS

REPORT_PERIOD_S = 0.2
# When told to stop: as long as messages still come within DRAIN_S of each other, but not for ever.
DRAIN_S, DRAIN_AT_MOST_S = 0.3, 3.0
QUEUE = 1000


class RecorderNode(Node):
    """Subscribes to `topics` (name -> `package/msg/Name`) and hands the raw bytes to a bag."""

    def __init__(self, bag: BagWriter, topics: dict[str, str]) -> None:
        super().__init__("d3pose_recorder")
        self._bag = bag
        qos = QoSProfile(
            history=HistoryPolicy.KEEP_LAST, depth=QUEUE, reliability=ReliabilityPolicy.RELIABLE
        )
        self._ready = False
        self._reported: dict[str, int] = {}
        self._last_s = time.monotonic()
        self._readers = []
        for topic, message_type in topics.items():
            kind = message_class(message_type)
            bag.add_topic(topic, message_type, RECORDED_QOS)
            self._readers.append(
                self.create_subscription(kind, topic, self._writer_of(topic), qos, raw=True)
            )
        self.create_timer(REPORT_PERIOD_S, self._report)

    def quiet_for(self) -> float:
        """Seconds since the last message."""
        return time.monotonic() - self._last_s

    def _writer_of(self, topic: str) -> Callable[[bytes], None]:
        def write(data: bytes) -> None:
            self._bag.write(topic, time.time_ns(), data)
            self._last_s = time.monotonic()

        return write

    def _report(self) -> None:
        self._bag.flush_if_due()
        if not self._ready and all(reader.get_publisher_count() for reader in self._readers):
            self._ready = True
            emit("ready")
        if self._bag.counts != self._reported:
            self._reported = dict(self._bag.counts)
            emit("recorded", counts=self._reported)


def _parse(argv: Sequence[str] | None) -> tuple[Path, dict[str, str]]:
    parser = argparse.ArgumentParser(prog="d3pose_ros.recorder", description=__doc__)
    parser.add_argument("bag", type=Path, help="the .mcap file to write")
    parser.add_argument("topics", nargs="+", metavar="TOPIC=TYPE", help="what to record")
    args = parser.parse_args(argv)
    pairs = [text.partition("=") for text in args.topics]
    if not all(topic and message_type for topic, _, message_type in pairs):
        parser.error(f"expected TOPIC=TYPE, got {' '.join(args.topics)}")
    return args.bag, {topic: message_type for topic, _, message_type in pairs}


def main(argv: Sequence[str] | None = None) -> int:
    """Records until it is told to stop. Exit status 2 for a type or file that won't do."""
    path, topics = _parse(argv)
    # rclpy's own handlers would end the context, and with it what is still on its way to us.
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    stopped_s: list[float] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped_s.append(time.monotonic()))
    executor = SingleThreadedExecutor()
    try:
        with BagWriter(path) as bag:
            node = RecorderNode(bag, topics)
            executor.add_node(node)
            while not stopped_s or (
                node.quiet_for() < DRAIN_S and time.monotonic() < stopped_s[0] + DRAIN_AT_MOST_S
            ):
                executor.spin_once(timeout_sec=0.1)
            node.destroy_node()
        emit("closed", counts=bag.counts)
    except D3PoseError as error:
        print(f"d3pose: error: {error}", file=sys.stderr)
        return 2
    except ExternalShutdownException:
        pass
    finally:
        executor.shutdown()
        rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
