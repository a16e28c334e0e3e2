"""Writes docs/parameters.md from the dataclass of the node's parameters.

python -m tools.parameters_page
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from d3pose_ros.parameters import FIELDS

PAGE = Path(__file__).resolve().parents[1] / "docs" / "parameters.md"
HEAD = """\
# Parameters

Made by `python -m tools.parameters_page`; change `d3pose_ros/parameters.py` instead.

* **live**: `ros2 param set /d3pose NAME VALUE` works at any time.
* **configure**: read by the configure transition. While the node is configured a change is refused, with the
  reason: `ros2 lifecycle set /d3pose deactivate`, then `cleanup`; set it; then `configure` and `activate`.
* **start**: read once, when the process starts.

Set them in a YAML file (`config/d3pose.yaml` is a full one), as launch arguments of the same names, or with
`--ros-args -p NAME:=VALUE`. A value outside its range ends the start with one line that says so.

| parameter | type | default | range | takes effect | |
|---|---|---|---|---|---|
"""
FOOT = """
Every topic's quality of service can be overridden when the node is configured:
`qos_overrides.<topic>.<publisher or subscription>.<history, depth or reliability>`, with the topic's full
name, such as `qos_overrides./camera/image_raw.subscription.depth: 2`; camera_info's durability, too.
`use_sim_time` is ROS's own.
"""


def page() -> str:
    """The whole page."""
    return HEAD + "".join(_row(field) for field in FIELDS.values()) + FOOT


def _row(field: dataclasses.Field) -> str:
    metadata, default = field.metadata, field.default
    allowed = ""
    if metadata["between"]:
        low, high = metadata["between"]
        allowed = f"{low:g} .. {high:g}"
    elif metadata["choices"]:
        allowed = ", ".join(f"`{choice}`" for choice in metadata["choices"])
    when = "live" if metadata["live"] else "start" if metadata["read_only"] else "configure"
    shown = str(default).lower() if isinstance(default, bool) else str(default) or '""'
    cells = (
        f"`{field.name}`",
        {"str": "string"}.get(type(default).__name__, type(default).__name__),
        f"`{shown}`",
        allowed,
        when,
        metadata["description"].replace("|", "\\|"),
    )
    return f"| {' | '.join(cells)} |\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
