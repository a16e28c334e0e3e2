"""A ROS graph to test from."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node


class Graph:
    """A ROS context with one node to test from; everything in it is spun by `wait_until`."""

    def __init__(self) -> None:
        # rclpy's lifecycle nodes hang in reference cycles and go on being seen when they are destroyed: one
        # of the last test, some of whose services are gone, keeps those of its name from ever being ready.
        gc.collect()
        rclpy.init()
        self.executor = SingleThreadedExecutor()
        self.node = Node("test_probe")
        self.add(self.node)

    def add(self, node: Node) -> Node:
        self.executor.add_node(node)
        return node

    def collect(self, message_type: type, topic: str, qos: int = 10) -> list:
        """A list that grows with every message on `topic`."""
        received: list = []
        self.node.create_subscription(message_type, topic, received.append, qos)
        return received

    def wait_until(
        self,
        condition: Callable[[], object],
        what: str,
        timeout_s: float = 30.0,
        between: Callable[[], object] = lambda: None,
    ) -> None:
        """Spins until `condition()` is true, calling `between()` each round; fails with `what`."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline, f"waited {timeout_s} s in vain for: {what}"
            between()
            self.executor.spin_once(timeout_sec=0.05)

    def close(self) -> None:
        for node in list(self.executor.get_nodes()):
            node.destroy_node()
        self.executor.shutdown()
        rclpy.try_shutdown()
