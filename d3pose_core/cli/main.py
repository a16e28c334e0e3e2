"""The `d3pose` command. Each subcommand is one module of this package, imported only when it is asked for."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from typing import TextIO

from d3pose_core.errors import D3PoseError

# In the order of `d3pose --help`. Each names a module of this package with
# `add_parser(subparsers)`, whose parser sets `run=<function(args) -> exit status>`.
SUBCOMMANDS = (
    *("demo", "video", "replay", "process", "view", "evaluate", "export"),
    *("bench", "prepare", "train", "bench-models", "models", "body", "doctor"),
)

EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130
EXIT_PIPE_CLOSED = 141  # as of a command that SIGPIPE ends


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one subcommand and returns the exit status; 2 for an error that the user can mend."""
    argv = list(sys.argv[1:] if argv is None else argv)
    # None where they were closed before the start, as with `2>&-`.
    sys.stdout, sys.stderr = sys.stdout or _nowhere(), sys.stderr or _nowhere()
    try:
        args = _parser(argv).parse_args(argv)  # imports the subcommand, which may take seconds
        status = args.run(args)
        sys.stdout.flush()
        return status
    except D3PoseError as error:
        print(f"d3pose: error: {error}", file=sys.stderr)
        return EXIT_USER_ERROR
    except BrokenPipeError:
        # Whoever read the output has seen enough, as in `d3pose ... | head`. Python flushes it at its end.
        with _nowhere() as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
        return EXIT_PIPE_CLOSED
    except OSError as error:
        # Of a file that nobody checked: a name that is too long, a lost network drive, ...
        print(f"d3pose: error: the system refused: {error}", file=sys.stderr)
        return EXIT_USER_ERROR
    except KeyboardInterrupt:
        print("d3pose: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED


def _nowhere() -> TextIO:
    return open(os.devnull, "w", encoding="utf-8")


def _parser(argv: list[str]) -> argparse.ArgumentParser:
    """The parser for the subcommand that `argv` starts with, or for all of them when it starts otherwise."""
    parser = argparse.ArgumentParser(
        prog="d3pose",
        description="People seen by one ordinary camera, recovered as SMPL bodies in real time.",
    )
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    wanted = argv[:1] if argv and argv[0] in SUBCOMMANDS else SUBCOMMANDS
    for name in wanted:
        try:
            module = importlib.import_module(f"d3pose_core.cli.{name.replace('-', '_')}")
        except ImportError as error:
            _add_unavailable(subparsers, name, error)
        else:
            module.add_parser(subparsers)
    return parser


def _add_unavailable(subparsers: argparse._SubParsersAction, name: str, error: ImportError) -> None:
    """A subcommand whose requirements are not installed says so when it is run; the others work."""

    def run(args: argparse.Namespace) -> int:
        raise D3PoseError(f"`d3pose {name}` cannot be loaded: {error}; run `d3pose doctor`")

    parser = subparsers.add_parser(name, help=f"(not available: {error})", add_help=False)
    parser.add_argument("ignored", nargs=argparse.REMAINDER)
    parser.set_defaults(run=run)


if __name__ == "__main__":
    sys.exit(main())
