"""Several cameras in one process: a node, a topic namespace and a worker thread each, one set of weights.

d3pose_cameras front back --ros-args -r image:=image_raw

runs the nodes /front/d3pose and /back/d3pose, which subscribe to /front/image_raw and /back/image_raw.
Parameters and remappings are for all, or by the node's full name for one. Nobody knows that two cameras see
the same person: track ids count for each camera on its own.
"""

from __future__ import annotations

import argparse
import sys
import threading
from collections.abc import Sequence
from weakref import WeakSet

from rclpy.utilities import remove_ros_args

from d3pose_core.observe import BlazePoseObserver
from d3pose_core.recovery import MeshRecovery
from d3pose_ros.entry_points import end_process
from d3pose_ros.node import D3PoseNode, load_recovery, run
from d3pose_ros.parameters import NodeParameters


class SharedRecovery:
    """A RecoveryFactory for several nodes: network and body are loaded once, and freed with the last.

    Observers are not shared, because they remember the people of their stream.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # Weak: after the cleanup of all nodes nothing may stay in the device's memory.
        self._in_use: dict[tuple[str, str, str, str], WeakSet[MeshRecovery]] = {}

    def __call__(self, values: NodeParameters) -> MeshRecovery:
        """The recovery of one node. Raises D3PoseError."""
        key = (values.weights, values.device, values.body, values.runtime)
        with self._lock:
            in_use = self._in_use.setdefault(key, WeakSet())
            loaded = next(iter(in_use), None)
            if loaded is None:
                recovery = load_recovery(values)
            else:
                observer = BlazePoseObserver(values.max_people, landmarks=values.landmarks)
                recovery = loaded.another(observer, values.stature_m or None)
            in_use.add(recovery)
        return recovery


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one node a camera until interrupted. Exit status 2 for an invalid parameter or name."""
    parser = argparse.ArgumentParser(prog="d3pose_cameras", description=__doc__.splitlines()[0])
    parser.add_argument("camera", nargs="+", help="namespace of a camera's topics, e.g. front")
    arguments = list(sys.argv if argv is None else ["d3pose_cameras", *argv])
    cameras = parser.parse_args(remove_ros_args(arguments)[1:]).camera
    if len(set(cameras)) < len(cameras):
        parser.error(f"each camera needs a name of its own, got {' '.join(cameras)}")
    shared = SharedRecovery()
    return run(lambda: [D3PoseNode(shared, namespace=camera) for camera in cameras], arguments[1:])


if __name__ == "__main__":
    end_process(main())
