"""docs/parameters.md is what the code says."""

from d3pose_ros.parameters import FIELDS
from tools.parameters_page import PAGE, page


def test_the_page_is_up_to_date():
    assert PAGE.read_text(encoding="utf-8") == page(), "run python -m tools.parameters_page"


def test_every_parameter_has_a_row():
    rows = [line for line in page().splitlines() if line.startswith("| `")]
    assert [row.split("`")[1] for row in rows] == list(FIELDS)
    assert all(row.replace("\\|", "").count("|") == 7 for row in rows)
