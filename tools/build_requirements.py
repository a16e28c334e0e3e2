"""Prints requirements that pyproject.toml lists, for `pip install` in the Makefile.

Without an argument those of the build; with `--extra NAME` those of an optional dependency group, its
references to other groups of this package resolved. (`pip install .[dev]` would build the package again.)
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    from pip._vendor import tomli as tomllib

PYPROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"


def extra_requirements(project: dict, name: str) -> list[str]:
    """Requirements of the optional group `name`, with groups that it names replaced by theirs."""
    found = []
    for requirement in project["optional-dependencies"][name]:
        own = re.fullmatch(rf"{re.escape(project['name'])}\[([\w,]+)\]", requirement)
        if own:
            for group in own[1].split(","):
                found += extra_requirements(project, group)
        else:
            found.append(requirement)
    return list(dict.fromkeys(found))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--extra", help="an optional dependency group instead of the build's")
    args = parser.parse_args()
    content = tomllib.loads(PYPROJECT.read_text())
    if args.extra:
        requirements = extra_requirements(content["project"], args.extra)
    else:
        requirements = content["build-system"]["requires"]
    print(" ".join(requirement.replace(" ", "") for requirement in requirements))


if __name__ == "__main__":
    main()
