"""The comparison of networks, as Markdown and as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

# Title and digits of each column; a network without the number gets a dash.
COLUMNS: dict[str, tuple[str, int]] = {
    "mpjpe": ("MPJPE", 1),
    "pa_mpjpe": ("PA-MPJPE", 1),
    "pve": ("PVE", 1),
    "accel": ("accel", 1),
    "jitter": ("jitter", 1),
    "parameters": ("params, M", 2),
    "mflop": ("MFLOP/frame", 1),
    "ms": ("ms/frame", 2),
    "lookahead_ms": ("look-ahead, ms", 0),
}
LEGEND = (
    "MPJPE, PA-MPJPE (24 joints) and PVE in mm, pelvis-aligned; accel: acceleration error, mm/frame^2; "
    "jitter: mean jerk of the joints, 100 m/s^3. MFLOP: matrix products of one streaming step, 2 a "
    "multiply-add; ms: median of one streaming step of one person. All frames in which the person was "
    "seen, stepped from an empty state."
)


def markdown_table(rows: Mapping[str, Mapping[str, float]]) -> str:
    """One row a network; the lowest error in each of the first five columns is bold."""
    lowest = {
        column: min(row[column] for row in rows.values() if column in row)
        for column in list(COLUMNS)[:5]
        if any(column in row for row in rows.values())
    }

    def cell(row: Mapping[str, float], column: str) -> str:
        if column not in row:
            return "-"
        text = f"{row[column]:.{COLUMNS[column][1]}f}"
        return f"**{text}**" if row[column] == lowest.get(column) else text

    lines = [
        "| network | " + " | ".join(title for title, _ in COLUMNS.values()) + " |",
        "|---" * (len(COLUMNS) + 1) + "|",
    ]
    for name, row in rows.items():
        lines.append(f"| {name} | " + " | ".join(cell(row, c) for c in COLUMNS) + " |")
    return "\n".join(lines)


def write_comparison(
    folder: Path, tables: Mapping[str, Mapping[str, Mapping[str, float]]], notes: Mapping[str, str]
) -> str:
    """Write `comparison.md` and `comparison.json`; returns the Markdown.

    Args:
        tables: test set -> network -> column -> number.
        notes: what a reader must know of the run, e.g. the budget and the machine.
    """
    parts = []
    for test_set, rows in tables.items():
        parts += [f"## {test_set}", "", markdown_table(rows), ""]
        true_jitter = next((row["true_jitter"] for row in rows.values()), None)
        if true_jitter is not None:
            parts += [f"Jitter of the truth: {true_jitter:.1f}.", ""]
    parts += [LEGEND, "", *(f"* {name}: {value}" for name, value in notes.items()), ""]
    text = "\n".join(parts)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "comparison.md").write_text(text)
    (folder / "comparison.json").write_text(
        json.dumps({"notes": dict(notes), "tables": tables}, indent=1) + "\n"
    )
    return text
