"""`d3pose bench`: how fast the pipeline is on this machine, and where the time goes."""

from __future__ import annotations

import argparse
import re
import sys
from dataclasses import replace
from pathlib import Path

from d3pose_core.cli.options import count
from d3pose_core.landmark_models import FULL, LANDMARKS
from d3pose_core.runtime import AUTO, RUNTIMES


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Register `bench` under the `d3pose` command."""
    parser = subparsers.add_parser(
        "bench",
        help="measure speed and memory on this machine, stage by stage",
        description="Plays images of real people through the pipeline and measures every stage: median "
        "and 95th percentile, memory, start-up time, and how far each is from what this machine could do "
        "at best, which is measured beside it. Takes two minutes; let nothing else run meanwhile. "
        "`d3pose models fetch` gets the clip that the people are from.",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write everything measured")
    parser.add_argument("--quick", action="store_true", help="few cases, half a minute")
    parser.add_argument(
        "--people", type=count, nargs="+", metavar="N", help="numbers of people (1 2 4 8)"
    )
    parser.add_argument(
        "--sizes", type=_size, nargs="+", metavar="WxH", help="of the images (640x480 1280x720)"
    )
    parser.add_argument(
        "--threads", type=count, nargs="+", metavar="N", help="numbers of threads (1 2)"
    )
    parser.add_argument(
        "--frames", type=count, metavar="N", help="measured in each case, at most (60)"
    )
    parser.add_argument(
        "--weights",
        default="d3pose-landmarks",
        metavar="W",
        help="network weights: a name or a file (default: %(default)s)",
    )
    parser.add_argument(
        "--runtime",
        choices=RUNTIMES,
        default=AUTO,
        help="what executes the network (default: %(default)s)",
    )
    parser.add_argument(
        "--landmarks",
        choices=LANDMARKS,
        default=FULL,
        help="BlazePose's landmark network (default: %(default)s)",
    )
    parser.add_argument(
        "--domain-id",
        type=int,
        choices=range(102),
        metavar="0..101",
        help="ROS domain to publish in (default: one that is not in use by you)",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Exit status 0; D3PoseError for options or weights that won't do, or a missing file."""
    from d3pose_core.bench import report
    from d3pose_core.bench.run import BenchOptions, run_bench

    options = BenchOptions.quick() if args.quick else BenchOptions()
    options = replace(
        options,
        people=tuple(args.people or options.people),
        sizes=tuple(args.sizes or options.sizes),
        threads=tuple(args.threads or options.threads),
        frames=args.frames or options.frames,
        weights=args.weights,
        runtime=args.runtime,
        landmarks=args.landmarks,
    )
    ros, skipped = None, []
    try:
        from d3pose_ros.bench import RosBench

        ros = RosBench(args.domain_id)
    except ImportError as error:
        skipped.append(
            f"messages, publish, markers: ROS 2 or d3pose_ros' messages are missing ({error}); "
            "`d3pose doctor` says how to mend it"
        )
    bench = run_bench(options, ros, skipped, lambda line: print(f"... {line}", file=sys.stderr))
    print(report.text(bench))
    if args.json is not None:
        report.save(bench, args.json)
        print(f"\nwritten: {args.json}")
    return 0


def _size(text: str) -> tuple[int, int]:
    """Parses `WIDTHxHEIGHT`."""
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"expected WIDTHxHEIGHT such as 640x480, got {text!r}")
    return int(match[1]), int(match[2])
