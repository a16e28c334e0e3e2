"""What is odd about a stream of images: stamps, or a camera that becomes another one on the way."""

from __future__ import annotations

from dataclasses import dataclass

from sensor_msgs.msg import CompressedImage, Image

from d3pose_ros.image_error import ImageError
from d3pose_ros.stamps import Order, StampOrder, seconds

# Names under which diagnostics count events, each after "stream/".
TIME_WENT_BACK, GAP, NO_FRAME_ID = "time_went_back", "gap", "no_frame_id"
FRAME_ID, SIZE, ENCODING = "frame_id_changed", "size_changed", "encoding_changed"

_REFUSED = {
    Order.DUPLICATE: "it is the newest image's stamp: two cameras on one topic, or a driver that repeats "
    "images",
    Order.UNSTAMPED: "all images have that stamp: the camera driver does not fill header.stamp, without "
    "which nothing can be said about motion",
    Order.OUT_OF_ORDER: "newer images came before it",
}


@dataclass(frozen=True)
class Event:
    """Something to be counted and said; with `starts_anew` the motion so far is worth nothing."""

    name: str
    text: str
    starts_anew: bool


class StreamWatch:
    """Looks at each image in turn."""

    def __init__(self) -> None:
        self._stamps = StampOrder()
        self._newest_s = 0.0
        self._frame_id: str | None = None
        self._size: tuple[int, int] | None = None
        self._encoding = ""

    def clear(self) -> None:
        """The next image is a first one."""
        self._stamps.clear()
        self._frame_id = self._size = None

    def check(self, image: Image | CompressedImage, width: int, height: int) -> list[Event]:
        """What this image, of `width` x `height` px when decoded, changes.

        Raises:
            ImageError: an image that is to be dropped for its stamp.
        """
        stamp_s = seconds(image.header.stamp)
        order = self._stamps.check(stamp_s)
        if order in _REFUSED:
            raise ImageError(
                order.value, f"dropped an image stamped {stamp_s:.6f} s: {_REFUSED[order]}"
            )
        events = []
        if order is Order.RESTART:
            text = f"time went back from {self._newest_s:.3f} s to {stamp_s:.3f} s: starting anew"
            events.append(Event(TIME_WENT_BACK, text, True))
        elif order is Order.GAP:
            text = f"no image for {stamp_s - self._newest_s:.1f} s, by their stamps: looking for people anew"
            events.append(Event(GAP, text, False))  # whoever is forgotten goes by the same stamps
        self._newest_s = stamp_s
        return events + self._changes(image, width, height)

    def _changes(self, image: Image | CompressedImage, width: int, height: int) -> list[Event]:
        """Against the image before; the first image changes nothing."""
        before = (self._frame_id, self._size, self._encoding)
        self._frame_id, self._size = image.header.frame_id, (width, height)
        # Drivers and re-publishers write all sorts of things into a compressed image's format.
        self._encoding = getattr(image, "encoding", "")
        events = []
        if not self._frame_id:
            text = (
                "images come without header.frame_id, and so do the people: RViz and TF cannot place them. "
                "Set the camera driver's frame_id"
            )
            events.append(Event(NO_FRAME_ID, text, False))
        if before[0] is None or before[1] is None:
            return events
        if before[0] != self._frame_id:
            text = f"frame_id changed from {before[0]!r} to {self._frame_id!r}: another camera, starting anew"
            events.append(Event(FRAME_ID, text, True))
        if before[1] != self._size:
            was = "{}x{}".format(*before[1])
            text = f"the images' size changed from {was} to {width}x{height}: starting anew"
            events.append(Event(SIZE, text, True))
        if before[2] != self._encoding:
            text = f"the images' encoding changed from {before[2]!r} to {self._encoding!r}"
            events.append(Event(ENCODING, text, False))
        return events
