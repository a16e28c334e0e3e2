"""`d3pose models`: fetch, list and verify the files that the pipeline needs but does not ship."""

from __future__ import annotations

import argparse

from d3pose_core import model_files


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Register `models` under the `d3pose` command."""
    parser = subparsers.add_parser(
        "models",
        help="fetch, list or verify model files",
        description="The model files the pipeline needs: fetched once with pip or npm from the packages "
        "that publish them, checked by SHA-256, kept in a cache (D3POSE_CACHE or the platform's).",
    )
    parser.add_argument(
        "action",
        nargs="?",
        choices=("fetch", "list", "verify"),
        default="list",
        help="fetch: what is missing or damaged; verify: status 1 if one is damaged, or missing and needed",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these files (default: all)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Exit status: 0, or 1 when `verify` finds a file missing or damaged."""
    if args.action == "fetch":
        model_files.fetch(args.names or None, report=lambda line: print(line, flush=True))
        return 0
    names = args.names or [entry.name for entry in model_files.MODEL_FILES]
    states = {name: model_files.state(model_files.find(name)) for name in names}
    print(f"cache: {model_files.cache_dir()}")
    for name, state in states.items():
        entry = model_files.find(name)
        print(
            f"{state:8} {name:28} {entry.size / 1e6:5.1f} MB  {entry.licence:13} "
            f"{entry.package} {entry.version}  {entry.purpose}"
        )
    needed = args.names or [entry.name for entry in model_files.needed()]
    wrong = any(states[name] != "ok" for name in needed) or "damaged" in states.values()
    if args.action == "verify" and wrong:
        print(f"run `{model_files.FETCH_COMMAND}` to get what is missing or damaged")
        return 1
    return 0
