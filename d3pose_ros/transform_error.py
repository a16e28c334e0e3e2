"""Why the place of one frame in another could not be told."""

from __future__ import annotations

from enum import Enum

from d3pose_core.errors import D3PoseError


class Cause(Enum):
    """The names under which diagnostics count lost images."""

    UNKNOWN = "tf_unknown_frame"
    NOT_CONNECTED = "tf_not_connected"
    FUTURE = "tf_too_late"  # the transform had not come when the timeout ended
    PAST = "tf_too_old"  # the image is older than the buffer
    LOOP = "tf_loop"
    UNSTAMPED = "tf_unstamped_image"
    NAMELESS = "tf_nameless_frame"  # the image's frame_id is empty
    OTHER = "tf_error"


# What a transform that is still on its way may mend.
CURABLE = frozenset((Cause.UNKNOWN, Cause.NOT_CONNECTED, Cause.FUTURE))


class TransformError(D3PoseError):
    """The look-up failed; `cause` says why."""

    def __init__(self, cause: Cause, message: str) -> None:
        super().__init__(message)
        self.cause = cause
