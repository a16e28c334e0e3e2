"""The helper that tests see the ROS graph by."""

import gc
import time

import pytest
from rclpy.lifecycle import LifecycleNode

from test.helpers.graph import Graph


@pytest.fixture
def only_called_collections():
    gc.disable()
    yield
    gc.enable()


def test_nodes_of_the_test_before_are_gone(only_called_collections):
    """Though Python would let them lie for a while."""
    before = Graph()
    before.add(LifecycleNode("left_over"))
    before.close()
    del before

    now = Graph()
    deadline = time.monotonic() + 1.5
    while time.monotonic() < deadline:
        now.executor.spin_once(timeout_sec=0.05)
        assert now.node.get_node_names() == ["test_probe"]
    now.close()
