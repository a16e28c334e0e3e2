"""The Fast DDS profile that lets images through shared memory (see config/fastdds.xml)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

PROFILE_VARIABLE = "FASTDDS_DEFAULT_PROFILES_FILE"


def fastdds_profile() -> Path:
    """config/fastdds.xml of this installation: from the checkout, or from the share folder of the prefix.

    Raises FileNotFoundError for an installation without it.
    """
    for parent in Path(__file__).resolve().parents:
        for folder in (parent / "config", parent / "share" / "d3pose_ros" / "config"):
            if (folder / "fastdds.xml").is_file():
                return folder / "fastdds.xml"
    raise FileNotFoundError(
        f"config/fastdds.xml was not found above {__file__}: install d3pose_ros with pip or colcon"
    )


def with_shared_memory(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """A copy of `environment` for a child process that publishes images; a profile that is set stays."""
    return {PROFILE_VARIABLE: str(fastdds_profile()), **environment}
