"""The node's use of depth: the image that belongs to people, their new distances, and what is counted."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from std_msgs.msg import Header

from d3pose_core.body import BodyModel
from d3pose_core.camera import Intrinsics
from d3pose_core.depth import DepthCorrection, DepthImage
from d3pose_core.recovery import RecoveredPerson
from d3pose_ros.depth_input import DepthBuffer, to_depth
from d3pose_ros.frame_names import name_other_frames
from d3pose_ros.image_error import ImageError
from d3pose_ros.parameters import NodeParameters

WRONG_SIZE, OTHER_FRAME = "wrong_size", "other_frame"


class DepthStage:
    """Moves people to where the topic `depth` sees them.

    It runs after recovery, when the depth image of a colour image has mostly come too; where it has not,
    people are published without it. `count` is told an event a person, e.g. "depth/used", and of every
    depth image that cannot be used; `warn` the reason.
    """

    def __init__(
        self, body: BodyModel, count: Callable[[str], object], warn: Callable[[str, str], object]
    ) -> None:
        self.buffer = DepthBuffer()
        self._correction = DepthCorrection(body)
        self._count = count
        self._warn = warn

    def reset(self) -> None:
        """Forget what was learned of everybody."""
        self._correction.reset()

    def __call__(
        self,
        people: Sequence[RecoveredPerson],
        header: Header,
        intrinsics: Intrinsics,
        values: NodeParameters,
    ) -> list[RecoveredPerson]:
        """The people of the colour image that has this header, moved."""
        if not people:
            return []
        stamp_ns = header.stamp.sec * 10**9 + header.stamp.nanosec
        depth = self._image(stamp_ns, header.frame_id, intrinsics, values.depth_tolerance_s)
        moved, outcomes = self._correction(
            people, depth, stamp_ns * 1e-9, intrinsics, values.depth_max_correction
        )
        for outcome in outcomes:
            self._count(f"depth/{outcome.value}")
        return moved

    def _image(
        self, stamp_ns: int, frame_id: str, intrinsics: Intrinsics, tolerance_s: float
    ) -> DepthImage | None:
        message = self.buffer.nearest(stamp_ns, tolerance_s)
        if message is None:
            return None
        try:
            depth = to_depth(message)
            if name_other_frames(message.header.frame_id, frame_id):
                raise ImageError(
                    OTHER_FRAME,
                    f"the depth image was taken in {message.header.frame_id!r} and the image in "
                    f"{frame_id!r}: it is not aligned with it; let the driver align depth to colour, or use "
                    "depth_image_proc's register",
                )
            if not depth.fits(intrinsics):
                raise ImageError(
                    WRONG_SIZE,
                    f"the depth image has {message.width}x{message.height} px and the image "
                    f"{intrinsics.width}x{intrinsics.height}: it is not aligned with it; let the driver "
                    "align depth to colour, or use depth_image_proc's register",
                )
        except ImageError as error:
            self._count(f"depth/{error.cause}")
            self._warn(f"depth/{error.cause}", str(error))
            return None
        return depth
