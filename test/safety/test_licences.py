"""What an installation of ours brings along is licensed for any use."""

from __future__ import annotations

import re
from importlib.metadata import Distribution, distribution

from packaging.requirements import Requirement

PERMISSIVE = re.compile(
    r"(0BSD|3-Clause BSD License|any-OSI|Apache([ -]|, |Version|Software|License|2\.0)*"
    r"|BSD([ -]|\d|Clause|License)*"
    r"|BSL-1\.0|CC0-1\.0|MIT( License)?|MPL-2\.0|PSF-2\.0|Zlib|Apache-2\.0 WITH LLVM-exception)"
)
# The wheels of ROS say nothing of their licence; the packages' own package.xml say Apache-2.0 or BSD, but for
# libyaml, spdlog (MIT) and foonathan_memory (Zlib).
SILENT = "ros-"
OURS = "d3pose_ros"


def requirements(name: str) -> dict[str, Distribution]:
    """Everything that `name` needs to run, by its name."""
    found: dict[str, Distribution] = {}
    waiting = [name]
    while waiting:
        each = waiting.pop()
        if each.lower() in found:
            continue
        found[each.lower()] = distribution(each)
        for text in found[each.lower()].requires or []:
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting.append(requirement.name)
    return found


def licences(package: Distribution) -> list[str]:
    """As its metadata name them; the newer fields win."""
    said = package.metadata.get("License-Expression") or ""
    classifiers = [
        value.rpartition(" :: ")[2]
        for value in package.metadata.get_all("Classifier") or []
        if value.startswith("License ::")
    ]
    if not said and not classifiers:
        said = package.metadata.get("License") or ""
    return re.split(r" AND | OR ", said) if said else classifiers


def test_all_of_it_is_permissive():
    needed = requirements(OURS)
    assert len(needed) > 50
    wrong = {
        name: licences(package)
        for name, package in needed.items()
        if not name.startswith(SILENT)
        and not (
            licences(package) and all(PERMISSIVE.fullmatch(each) for each in licences(package))
        )
    }
    assert not wrong


def test_others_would_be_noticed():
    for name in (
        "GPL-3.0-only",
        "AGPL-3.0",
        "GNU General Public License v3 (GPLv3)",
        "Proprietary",
    ):
        assert not PERMISSIVE.fullmatch(name)
    # smplx, which tests use as an oracle, is not for commercial use, and so no requirement.
    assert "smplx" not in requirements(OURS)
