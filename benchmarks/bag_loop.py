"""A bag played again and again to the node: nothing leaks, and ids and stamps of two rounds never mix.

    python -m test.fixtures.make_regression_bag out/bag --frames 60
    python benchmarks/bag_loop.py out/bag --loops 20

Exit status 1 where a check fails. The node takes its time from the bag's clock.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

import rclpy

from benchmarks.node_rate import Probe
from benchmarks.process_sample import ProcessSample
from d3pose_ros.bag import read_bag
from d3pose_ros.demo.processes import Child, graph_environment
from d3pose_ros.msg import SmplPersonArray
from d3pose_ros.replay.topics import base_name, choose_image_topic

ROOT = Path(__file__).resolve().parents[1]
ALLOWED_GROWTH_MIB = 20.0  # from the third round on, when all buffers are in use


def rounds(messages: list[tuple[int, tuple[int, ...]]]) -> list[list[tuple[int, tuple[int, ...]]]]:
    """(stamp, ids) of each message, cut where stamps go back."""
    cut: list[list] = [[]]
    for message in messages:
        if cut[-1] and message[0] < cut[-1][-1][0]:
            cut.append([])
        cut[-1].append(message)
    return cut


def main() -> int:
    """Prints what was seen."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bag", type=Path)
    parser.add_argument("--loops", type=int, default=20)
    parser.add_argument("--rate", type=float, default=1.0)
    parser.add_argument("--domain-id", type=int, default=67)
    args = parser.parse_args()
    image = choose_image_topic(args.bag, None).name
    recorded = {
        each.message.header.stamp.sec * 10**9 + each.message.header.stamp.nanosec
        for each in read_bag(args.bag, (image,))
    }
    environment = graph_environment(args.domain_id, Path(tempfile.mkdtemp()))
    environment["PYTHONPATH"] = str(ROOT)
    os.environ.update(environment)
    node = ["--ros-args", "-r", f"image:={base_name(image)}", "-p", "use_sim_time:=true"]
    play = [str(args.bag), "--loop", str(args.loops), "--rate", str(args.rate), "--wait", "60"]
    rclpy.init(args=[])
    probe = Probe(mesh=True)
    messages: list[tuple[int, tuple[int, ...]]] = []
    probe.node.create_subscription(
        SmplPersonArray,
        "/d3pose/people",
        lambda m: messages.append(
            (
                m.header.stamp.sec * 10**9 + m.header.stamp.nanosec,
                tuple(person.track_id for person in m.persons),
            )
        ),
        100,
    )
    children = [Child("node", "d3pose_ros.node", node, environment)]
    memory: list[float] = []
    try:
        children.append(Child("player", "d3pose_ros.replay.play", play, environment))
        while not children[1].wait(0):
            children[0].check()
            probe.spin_for(0.5)
            begun = len(rounds(messages)) if messages else 0
            if begun > len(memory):
                memory.append(ProcessSample.of(children[0].pid).resident_mib)
        probe.spin_for(1.0)
        memory.append(ProcessSample.of(children[0].pid).resident_mib)
    finally:
        for child in reversed(children):
            child.stop()
        rclpy.try_shutdown()
    cut = rounds(messages)
    ids = [{track for _, tracks in part for track in tracks} for part in cut]
    growth = memory[-1] - memory[min(2, len(memory) - 1)]
    mixed_ids = sum(len(a & b) for k, a in enumerate(ids) for b in ids[:k])
    repeated = sum(len(part) - len({stamp for stamp, _ in part}) for part in cut)
    foreign = sum(stamp not in recorded for stamp, _ in messages)
    print(f"rounds                 {len(cut)} of {args.loops}, {len(messages)} messages of people")
    print(
        f"resident memory, MiB   {' '.join(f'{each:.0f}' for each in memory)}; growth {growth:+.1f}"
    )
    print(
        f"ids in two rounds      {mixed_ids}; ids of each: {' '.join(map(str, map(sorted, ids)))}"
    )
    print(f"stamps twice in a round {repeated}; not in the bag: {foreign}")
    good = len(cut) == args.loops and growth < ALLOWED_GROWTH_MIB
    return 0 if good and not (mixed_ids or repeated or foreign) else 1


if __name__ == "__main__":
    sys.exit(main())
