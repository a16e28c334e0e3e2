"""Names of frames in headers, as ROS 2 means them."""

from __future__ import annotations


def name_other_frames(first: str, second: str) -> bool:
    """Whether two `frame_id`s name different frames: not where one is empty, or has a leading slash only."""
    first, second = first.lstrip("/"), second.lstrip("/")
    return bool(first) and bool(second) and first != second
