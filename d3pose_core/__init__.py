"""Streaming recovery of people as SMPL bodies from one camera. Knows nothing of ROS."""

from typing import TYPE_CHECKING, Any

from d3pose_core.errors import D3PoseError, InputError, ModelFileMissing

if TYPE_CHECKING:
    from d3pose_core.camera import Intrinsics
    from d3pose_core.recovery import MeshRecovery, RecoveredPerson

__all__ = [
    "D3PoseError",
    "InputError",
    "Intrinsics",
    "MeshRecovery",
    "ModelFileMissing",
    "RecoveredPerson",
]


def __getattr__(name: str) -> Any:
    """What needs numpy or torch is imported when it is asked for: torch takes a second that `d3pose --help`
    need not wait, and Ctrl-C meanwhile is for the command to answer."""
    if name == "Intrinsics":
        from d3pose_core import camera

        return camera.Intrinsics
    if name in ("MeshRecovery", "RecoveredPerson"):
        from d3pose_core import recovery

        return getattr(recovery, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
