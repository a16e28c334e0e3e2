"""The comparison as Markdown and JSON."""

import json

from d3pose_core.evaluation.comparison_table import markdown_table, write_comparison

ROWS = {
    "d3pose": {"mpjpe": 70.94, "pa_mpjpe": 56.0, "accel": 12.4, "ms": 5.0, "true_jitter": 2.25},
    "vibe": {
        "mpjpe": 80.0,
        "pa_mpjpe": 55.5,
        "accel": 13.0,
        "parameters": 2.75,
        "true_jitter": 2.25,
    },
}


def test_a_row_for_each_network_with_the_best_error_in_bold():
    title, rule, *rows = markdown_table(ROWS).splitlines()
    assert title.count("|") == rule.count("|") == rows[0].count("|")
    assert title.startswith("| network | MPJPE | PA-MPJPE | PVE | accel |")
    assert rows[0] == "| d3pose | **70.9** | 56.0 | - | **12.4** | - | - | - | 5.00 | - |"
    assert rows[1] == "| vibe | 80.0 | **55.5** | - | 13.0 | - | 2.75 | - | - | - |"


def test_both_files_are_written(tmp_path):
    text = write_comparison(tmp_path, {"Held-out people": ROWS}, {"data": "made up"})
    assert (tmp_path / "comparison.md").read_text() == text
    for part in ("## Held-out people", markdown_table(ROWS), "* data: made up", "truth: 2.2"):
        assert part in text
    assert "mean jerk" in text
    written = json.loads((tmp_path / "comparison.json").read_text())
    assert written == {"notes": {"data": "made up"}, "tables": {"Held-out people": ROWS}}
