"""`python -m fuzz TARGET... --runs N`: counts by target, and a file for everything found."""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
from dataclasses import asdict
from pathlib import Path

from fuzz import target as targets
from fuzz.supervise import Result, fuzz


def main() -> int:
    """Exit status 1 if anything was found."""
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="or all")
    parser.add_argument("--list", action="store_true", help="the names of all targets, and end")
    parser.add_argument(
        "--runs",
        type=int,
        default=1000,
        help="inputs a target, and a few times as many where they are cheap (default: 1000)",
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--engine",
        choices=("auto", "atheris", "random"),
        default="auto",
        help="atheris goes by coverage (pip install 'd3pose_ros[fuzz]'); auto takes it if it is there",
    )
    parser.add_argument(
        "--hang", type=float, default=10.0, metavar="S", help="longest time an input"
    )
    parser.add_argument(
        "--memory", type=int, default=512, metavar="MB", help="most memory an input"
    )
    parser.add_argument("--out", type=Path, default=Path("out/fuzz"), metavar="DIR")
    parser.add_argument("--input", type=Path, help="only run this file, in this process, and end")
    args = parser.parse_args()
    if args.list:
        print("\n".join(targets.names()))
        return 0
    wanted = targets.names() if args.targets == ["all"] else args.targets
    unknown = sorted(set(wanted) - set(targets.names()))
    if unknown or not wanted:
        parser.error(f"no target {' '.join(unknown)}; there are {' '.join(targets.names())}")
    if args.input is not None:
        targets.load(wanted[0]).run(args.input.read_bytes())
        return 0
    engine = args.engine
    if engine == "auto":
        engine = "atheris" if importlib.util.find_spec("atheris") else "random"
        if engine == "random":
            print("atheris is not installed: random changes, without coverage")
    results = []
    for name in wanted:
        folder = args.out / name
        runs = args.runs * targets.load(name).weight
        result = fuzz(name, engine, runs, args.seed, folder, args.hang, args.memory)
        results.append(result)
        print(_line(result), flush=True)
    (args.out / "summary.json").write_text(json.dumps([asdict(r) for r in results], default=str))
    print(
        f"{sum(r.runs for r in results)} inputs, {sum(len(r.findings) for r in results)} findings"
    )
    return 1 if any(r.findings for r in results) else 0


def _line(result: Result) -> str:
    found = "".join(f"\n  {path}" for path in result.findings)
    return (
        f"{result.target:14} {result.engine:8} {result.runs:7} inputs, {result.accepted} accepted, "
        f"{result.refused} refused, {result.seconds:.0f} s, at most {result.peak_mb:.0f} MB, "
        f"{len(result.findings)} findings{found}"
    )


if __name__ == "__main__":
    sys.exit(main())
