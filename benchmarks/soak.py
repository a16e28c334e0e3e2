"""A bag played to the node for hours, stamped as of now: do memory, threads, descriptors or latency grow?

    python -m benchmarks.soak out/soak --minutes 60                # the demo clip, made into a bag
    python -m benchmarks.soak out/soak --minutes 60 --bag my_bag
    python -m benchmarks.soak out/soak --report                    # of a soak that was killed

Leaves samples.csv (written line by line as the soak goes on), and at the end verdict.json and soak.svg. Exit
status 1 where the node ended or the verdict is bad. The node runs as users run it, in a process of its own
over DDS; somebody subscribes to the mesh and the skeleton, too, so that all of it is worked out.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.signals import SignalHandlerOptions
from visualization_msgs.msg import MarkerArray

from benchmarks.process_sample import ProcessSample
from benchmarks.soak_report import COLUMNS, draw, read_samples, verdict
from d3pose_core.errors import InputError
from d3pose_core.recording import atomic_path
from d3pose_ros.demo.processes import Child, ProcessFailed, graph_environment, wait_until
from d3pose_ros.msg import SmplPersonArray
from d3pose_ros.replay.topics import COMPRESSED_TYPE, base_name, choose_image_topic
from test.helpers.clip_bag import write_demo_bag

ROOT = Path(__file__).resolve().parents[1]
START_TIMEOUT_S = 120.0
SILENCE_S = 60.0  # without people messages the soak ends: the node hangs


class Listener:
    """Everything that comes out of the node, counted; between two samples it holds only their ages."""

    def __init__(self) -> None:
        self.node = rclpy.create_node("soak")
        self.ages_ms: list[float] = []
        self.people = 0
        self.last_message_s = time.monotonic()
        self.counts: Mapping[str, str] = {}
        subscribe = self.node.create_subscription
        subscribe(SmplPersonArray, "/d3pose/people", self._on_people, 50)
        subscribe(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)
        # As bytes: making Python objects of a mesh's points would cost more than the node does.
        for topic in ("mesh", "skeleton"):
            subscribe(MarkerArray, f"/d3pose/{topic}", lambda _: None, 5, raw=True)

    def _on_people(self, message: SmplPersonArray) -> None:
        stamp = message.header.stamp
        self.ages_ms.append((time.time_ns() - stamp.sec * 10**9 - stamp.nanosec) * 1e-6)
        self.people += len(message.persons)
        self.last_message_s = time.monotonic()

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        self.counts = {pair.key: pair.value for pair in message.status[0].values}

    def spin_until(self, end_s: float) -> None:
        """Until that time of the monotonic clock."""
        while (left_s := end_s - time.monotonic()) > 0:
            rclpy.spin_once(self.node, timeout_sec=left_s)

    def take(self) -> list[float]:
        """Messages, people and percentiles of age since the last call; see COLUMNS."""
        ages, people = self.ages_ms, self.people
        self.ages_ms, self.people = [], 0
        percentiles = np.percentile(ages, (50, 95, 99, 100)) if ages else np.full(4, np.nan)
        return [len(ages), people, *percentiles.round(2).tolist()]

    def images(self) -> list[int]:
        """Received, processed, dropped as busy and dropped otherwise, since the node's start."""
        numbers = {
            key: int(value)
            for key, value in self.counts.items()
            if key.startswith(("images received", "images processed", "dropped/"))
            and not key.endswith("per s")
        }
        busy = numbers.get("dropped/busy", 0)
        dropped = sum(value for key, value in numbers.items() if key.startswith("dropped/"))
        counted = (numbers.get(f"images {what}", 0) for what in ("received", "processed"))
        return [*counted, busy, dropped - busy]


def sample(pid: int, elapsed_s: float, listener: Listener) -> list[float]:
    """One row of the CSV."""
    process = ProcessSample.of(pid)
    row = [
        *(round(elapsed_s, 1), round(process.resident_mib, 2), round(process.private_mib, 2)),
        *(process.threads, process.descriptors, process.cpu_s),
        *listener.take(),
        *listener.images(),
        round(os.getloadavg()[0], 2),
    ]
    assert len(row) == len(COLUMNS)
    return row


def soak(args: argparse.Namespace, bag: Path) -> None:
    """Runs the processes and writes samples until the time is over, or an interrupt.

    Raises ProcessFailed when the node or the player ends or no people come any more.
    """
    topic = choose_image_topic(bag, args.image)
    logs = args.out / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    environment = {**graph_environment(args.domain_id, logs), "PYTHONPATH": str(ROOT)}
    os.environ.update(environment)
    node = ["--ros-args", "-r", f"image:={base_name(topic.name)}"]
    node += ["-r", f"camera_info:={base_name(topic.name).rpartition('/')[0]}/camera_info"]
    node += ["-p", "image_transport:=compressed"] if topic.type == COMPRESSED_TYPE else []
    play = [str(bag), "--stamp-now", "--loop", "0", "--rate", str(args.rate), "--wait", "60"]
    # rclpy's own handlers would take the context away, and with it what was sampled last.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    children = [Child("node", "d3pose_ros.node", node, environment)]
    try:
        listener = Listener()
        children.append(Child("player", "d3pose_ros.replay.play", play, environment))

        def people_come() -> bool:
            rclpy.spin_once(listener.node, timeout_sec=0.1)
            return bool(listener.ages_ms)

        wait_until(people_come, children, START_TIMEOUT_S, "people")
        listener.take()
        _sample_on(args, children, listener)
    except KeyboardInterrupt:
        print("interrupted; what was sampled so far counts", flush=True)
    finally:
        for child in reversed(children):
            child.stop()
        rclpy.try_shutdown()


def _sample_on(args: argparse.Namespace, children: list[Child], listener: Listener) -> None:
    began_s = time.monotonic()
    steps = max(1, round(args.minutes * 60 / args.every))
    with (args.out / "samples.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for step in range(1, steps + 1):
            listener.spin_until(began_s + step * args.every)
            for child in children:
                child.check()
            row = sample(children[0].pid, time.monotonic() - began_s, listener)
            writer.writerow(row)
            file.flush()  # a soak that is killed loses nothing
            if step % max(1, round(60 / args.every)) == 0:
                shown = dict(zip(COLUMNS, row, strict=True))
                print("  ".join(f"{name} {value:g}" for name, value in shown.items()), flush=True)
            silence_s = time.monotonic() - listener.last_message_s
            if silence_s > SILENCE_S:
                log = children[0].log_tail()
                raise ProcessFailed(f"no people message for {silence_s:.0f} s; {log}")


def report(out: Path, warm_up_s: float) -> bool:
    """Writes soak.svg and verdict.json of the samples in a folder, and prints the verdict: is it good?"""
    samples = read_samples(out / "samples.csv")
    judged = verdict(samples, warm_up_s)
    with atomic_path(out / "verdict.json") as partial:
        partial.write_text(json.dumps(judged, indent=2) + "\n", encoding="utf-8")
    title = f"The node for {judged['minutes']:.0f} minutes"
    with atomic_path(out / "soak.svg") as partial:
        partial.write_text(draw(samples, warm_up_s, title), encoding="utf-8")
    print(json.dumps(judged, indent=2))
    return bool(judged["good"])


def main() -> int:
    """Runs, or only reports."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, metavar="DIR", help="output folder")
    parser.add_argument("--minutes", type=float, default=5.0, help="default: %(default)s")
    parser.add_argument("--warm-up", type=float, metavar="MIN", help="default: a tenth, at most 5")
    parser.add_argument("--every", type=float, default=5.0, metavar="S", help="between samples")
    parser.add_argument("--bag", type=Path, help="default: the demo clip in 640x480, made into one")
    parser.add_argument("--image", metavar="TOPIC", help="default: the bag's only image topic")
    parser.add_argument("--rate", type=float, default=1.0, help="how many times as fast")
    parser.add_argument("--domain-id", type=int, default=67)
    parser.add_argument("--report", action="store_true", help="only judge the samples in DIR")
    args = parser.parse_args()
    failed = False
    try:
        if not args.report:
            args.out.mkdir(parents=True, exist_ok=True)
            bag = args.bag or args.out / "demo_bag"
            if args.bag is None and not (bag / "metadata.yaml").is_file():
                print(f"making {bag}", flush=True)
                write_demo_bag(bag)
            try:
                soak(args, bag)
            except ProcessFailed as error:
                failed = True
                print(f"the soak ended early: {error}", file=sys.stderr)
        samples = read_samples(args.out / "samples.csv")["elapsed_s"]
        minutes = samples[-1] / 60 if len(samples) else 0.0
        warm_up = min(5.0, minutes / 10) if args.warm_up is None else args.warm_up
        good = report(args.out, 60 * warm_up)
    except (InputError, FileNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0 if good and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
