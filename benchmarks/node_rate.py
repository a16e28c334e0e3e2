"""The node against a camera on this machine's DDS: rate, age, the mesh's cost, and the time to be active.

    python benchmarks/node_rate.py [--seconds 20] [--people 1] [--size 640x480] [--rate 30] [--compressed]

A process publishes people of the demo clip; the node runs in another one; this one subscribes to people and
mesh, and reads the node's diagnostics. A rate that the node cannot reach shows the one that it can.

`--set name:=value` sets a parameter of the node; `--nothing-else` subscribes to people only; `--package DIR`
runs the node of another checkout, to compare with.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from visualization_msgs.msg import MarkerArray

from d3pose_ros.demo.processes import Child, graph_environment
from d3pose_ros.msg import SmplPersonArray

ROOT = Path(__file__).resolve().parents[1]
WARM_UP_S = 3.0
IMAGE = "/camera/image_raw"


class Probe:
    """What comes out of the node."""

    def __init__(self, mesh: bool) -> None:
        self.node = rclpy.create_node("benchmark")
        self.values: dict[str, str] = {}
        self.state = ""
        self.ages_ms: list[float] = []
        self.people = 0
        subscribe = self.node.create_subscription
        subscribe(SmplPersonArray, "/d3pose/people", self._on_people, 50)
        if mesh:
            subscribe(MarkerArray, "/d3pose/mesh", lambda _: None, 5, raw=True)
        subscribe(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)

    def _on_people(self, message: SmplPersonArray) -> None:
        stamp_ns = message.header.stamp.sec * 10**9 + message.header.stamp.nanosec
        self.ages_ms.append((time.time_ns() - stamp_ns) * 1e-6)
        self.people += len(message.persons)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        self.values = {pair.key: pair.value for pair in message.status[0].values}
        self.state = message.status[0].message

    def spin_for(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            rclpy.spin_once(self.node, timeout_sec=0.05)


def cpu_seconds(pid: int) -> float:
    """Processor time of a process so far, of all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--people", type=int, default=1)
    parser.add_argument("--size", default="640x480")
    parser.add_argument("--rate", type=float, default=30.0)
    parser.add_argument("--compressed", action="store_true", help="JPEG images")
    parser.add_argument("--nothing-else", action="store_true", help="no subscriber of the mesh")
    parser.add_argument("--set", action="append", default=[], metavar="NAME:=VALUE")
    parser.add_argument("--package", type=Path, default=ROOT, metavar="DIR")
    parser.add_argument("--domain-id", type=int, default=67)
    args = parser.parse_args()
    logs = Path(tempfile.mkdtemp())
    environment = {**graph_environment(args.domain_id, logs), "PYTHONPATH": str(ROOT)}
    os.environ.update(environment)
    node = ["--ros-args", "-r", f"image:={IMAGE}", "-r", "camera_info:=/camera/camera_info"]
    settings = [f"max_people:={max(5, args.people + 1)}", *args.set]
    if args.compressed:
        settings.append("image_transport:=compressed")
    for setting in ("diagnostics_period_s:=0.2", *settings):
        node += ["-p", setting]
    camera = [IMAGE, "--rate", str(args.rate), "--size", args.size, "--people", str(args.people)]
    if args.compressed:
        camera.append("--compressed")
    rclpy.init(args=[])
    probe = Probe(mesh=not args.nothing_else)
    began = time.monotonic()
    node_environment = {**environment, "PYTHONPATH": str(args.package.resolve())}
    os.chdir(args.package)  # `python -m` looks here first
    children = [Child("node", "d3pose_ros.node", node, node_environment)]
    os.chdir(ROOT)
    try:
        while "waiting for images" not in children[0].log_path.read_text():
            children[0].check()
            time.sleep(0.02)
        active_s, active_cpu_s = time.monotonic() - began, cpu_seconds(children[0].pid)
        children.append(Child("camera", "benchmarks.crowd_camera", camera, environment))
        while not probe.people:
            for child in children:
                child.check()
            probe.spin_for(0.1)
        probe.spin_for(WARM_UP_S)
        probe.ages_ms.clear()
        probe.people = 0
        cpu = cpu_seconds(children[0].pid)
        probe.spin_for(args.seconds)
        cpu = cpu_seconds(children[0].pid) - cpu
    finally:
        for child in reversed(children):
            child.stop()
        rclpy.try_shutdown()
    count = len(probe.ages_ms)
    p50, p95 = np.percentile(probe.ages_ms, (50, 95))
    print(
        f"active after                     {active_s:6.2f} s, of which computing {active_cpu_s:.2f} s"
    )
    print(
        f"~/people                         {count / args.seconds:6.1f} Hz, {probe.people / count:.2f} people"
    )
    print(f"age when received, p50 / p95     {p50:6.1f} / {p95:.1f} ms")
    print(f"node's processor time an image   {1e3 * cpu / count:6.1f} ms")
    for key in (
        "age at publish ms p50",
        "convert ms p50",
        "observe ms p50",
        "network ms p50",
        "body ms p50",
        "publish ms p50",
        "total ms p50",
        "total ms p95",
        "markers ms p50",
        "dropped/busy",
        "memory MiB",
    ):
        print(f"{key:32s} {probe.values.get(key, '-'):>6s}")
    print(f"load of the machine              {os.getloadavg()[0]:6.1f} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
