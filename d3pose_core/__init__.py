"""Streaming recovery of people as SMPL bodies from one camera. Knows nothing of ROS."""

from d3pose_core.camera import Intrinsics
from d3pose_core.errors import D3PoseError, InputError, ModelFileMissing

__all__ = [
    "D3PoseError",
    "InputError",
    "Intrinsics",
    "MeshRecovery",
    "ModelFileMissing",
    "RecoveredPerson",
]


def __getattr__(name: str):
    """The pipeline is imported when it is asked for: torch takes a second that `d3pose --help`
    need not wait."""
    if name in ("MeshRecovery", "RecoveredPerson"):
        from d3pose_core import recovery

        return getattr(recovery, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
