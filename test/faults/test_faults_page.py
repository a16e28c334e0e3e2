"""docs/faults.md names tests that there are."""

from __future__ import annotations

import re

from test.helpers.fault_node import ROOT


def test_every_test_that_the_page_names_is_there():
    named, file = 0, ""
    for name, function in re.findall(
        r"`([\w/]+\.py)?(?:::(\w+))?`", (ROOT / "docs/faults.md").read_text(encoding="utf-8")
    ):
        file = name or file
        here = ROOT / "test/faults" / file
        path = here if here.is_file() else ROOT / "test" / file
        assert path.is_file(), file
        assert not function or f"def {function}(" in path.read_text(encoding="utf-8"), function
        named += bool(name or function)
    assert named > 40
