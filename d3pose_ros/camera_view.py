"""The camera of the images at hand: what camera_info says, or a guess while it says nothing."""

from __future__ import annotations

import math
from collections.abc import Callable
from time import monotonic

from sensor_msgs.msg import CameraInfo

from d3pose_core.camera import Intrinsics
from d3pose_ros import calibration
from d3pose_ros.frame_names import name_other_frames
from d3pose_ros.parameters import NodeParameters

NO_CAMERA_INFO = "no_camera_info"
# A camera_info that comes and goes is not logged at the camera's rate.
LOG_PERIOD_S = 5.0


class CameraView:
    """Gives each image its intrinsics. `on_camera_info` may come from another thread than the rest.

    Attributes:
        problem: what is wrong with the calibration in use, for people; "" if nothing is.
        cause: the same as a name to count by.
    """

    def __init__(
        self,
        image_topic: str,
        warn: Callable[[str], object],
        info: Callable[[str], object],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """`warn` and `info` log one line; `clock`: s."""
        self.problem = self.cause = ""
        self._image_topic = image_topic
        self._warn, self._info = warn, info
        self._clock = clock
        self._camera_info: CameraInfo | None = None
        self._first_image_s: float | None = None
        self._next_log_s: dict[str, float] = {}
        self._guessed = False
        self._frames_said = ("", "")

    def on_camera_info(self, info: CameraInfo) -> None:
        """The latest one counts."""
        self._camera_info = info

    def intrinsics(self, width: int, height: int, values: NodeParameters) -> Intrinsics | None:
        """Of an image of `width` x `height` px; None while camera_info may still come."""
        info = self._camera_info
        if info is None:
            now = self._clock()
            if self._first_image_s is None:
                self._first_image_s = now
            if now - self._first_image_s < values.camera_info_timeout_s:
                return None
            return self._guess(NO_CAMERA_INFO, "no camera_info received", width, height, values)
        rectified = calibration.is_rectified(values.image_geometry, self._image_topic)
        try:
            intrinsics = calibration.intrinsics(info, width, height, rectified)
        except calibration.CalibrationError as error:
            if error.usable is None:
                return self._guess(error.cause, str(error), width, height, values)
            self._report(error.cause, str(error))
            intrinsics = error.usable
        else:
            self.problem = self.cause = ""
        if self._guessed:
            self._guessed = False
            if self._may_log("known"):
                self._info("camera_info has come: distances are measured with it from now on")
        return intrinsics

    def is_of_other_frame(self, image_frame: str) -> bool:
        """Whether camera_info names another frame than an image of `image_frame`; said once of these two.

        It is used nonetheless: simulators name the camera's body in one and its optical frame in the other.
        """
        info_frame = self._camera_info.header.frame_id if self._camera_info is not None else ""
        if not name_other_frames(info_frame, image_frame):
            return False
        frames = (info_frame.lstrip("/"), image_frame.lstrip("/"))
        if frames != self._frames_said and self._may_log("other_frame"):
            self._frames_said = frames
            self._warn(
                f"camera_info is of frame {frames[0][:80]!r}, and the images are of {frames[1][:80]!r}: is "
                "it of another camera? See the remappings of image and camera_info. It is used as it is"
            )
        return True

    def _guess(
        self, cause: str, problem: str, width: int, height: int, values: NodeParameters
    ) -> Intrinsics:
        self._guessed = True
        self._report(
            cause,
            f"{problem}; assuming a horizontal field of view of {values.hfov_deg:g} degrees (parameter "
            "hfov_deg): distances are only as good as that",
        )
        return Intrinsics.from_hfov(values.hfov_deg, width, height)

    def _report(self, cause: str, problem: str) -> None:
        """To be seen in the diagnostics as long as it lasts, and in the log when it begins."""
        begins = cause != self.cause
        self.problem, self.cause = problem, cause
        if begins and self._may_log(cause):
            self._warn(problem)

    def _may_log(self, what: str) -> bool:
        now = self._clock()
        if now < self._next_log_s.get(what, -math.inf):
            return False
        self._next_log_s[what] = now + LOG_PERIOD_S
        return True
