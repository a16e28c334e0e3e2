"""`d3pose body convert`: a licensed model's pickle becomes an .npz that loads without unpickling."""

from __future__ import annotations

import argparse
from pathlib import Path

from d3pose_core.errors import InputError


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Register `body` under the `d3pose` command."""
    parser = subparsers.add_parser("body", help="convert a licensed SMPL file to .npz")
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    convert = actions.add_parser(
        "convert",
        help="SMPL .pkl -> .npz",
        description="Writes the arrays of an SMPL, SMPL-H or SMPL-X pickle to an .npz, which "
        "--body and the node's `body` parameter take. Keep it under your licence: it is the model.",
    )
    convert.add_argument("file", type=Path, metavar="FILE.pkl")
    convert.add_argument("--out", type=Path, metavar="FILE.npz", help="default: beside the pickle")
    convert.add_argument(
        "--trust",
        action="store_true",
        help="needed, because unpickling runs any code that a file holds: give it for files from "
        "the makers' own sites only",
    )
    convert.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Exit status 0; InputError without --trust, or for a file that won't do."""
    if not args.trust:
        raise InputError(
            f"{args.file} is opened only with --trust: unpickling runs any code that a file holds, "
            "so give it for files from the makers' own sites only"
        )
    from d3pose_core.body.licensed import convert_pickle

    out = args.out or args.file.with_suffix(".npz")
    if args.out is None and out.exists():  # SMPL-X comes as both, and the .npz holds more
        raise InputError(
            f"{out} is there already; use it as it is, or name the file to be written by --out"
        )
    convert_pickle(args.file, out)
    print(f"written: {out}")
    return 0
