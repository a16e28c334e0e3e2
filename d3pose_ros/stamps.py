"""What the stamps of an image stream say: a next image, one to drop, or a new beginning."""

from __future__ import annotations

from enum import Enum
from typing import Any

from d3pose_ros.image_error import ImageError

# A stamp that goes back further than this is a bag that started again or a clock that was set; less is an
# image that overtook another.
RESTART_S = 1.0
# A short bag starts again by less: so many stamps in a row that lie behind the newest, and ascend, are its
# next round and not late images.
RESTART_IMAGES = 10
# After a longer pause nobody is where they were: the observer has forgotten them all.
GAP_S = 2.0


def seconds(stamp: Any) -> float:
    """Of an image's builtin_interfaces/Time.

    Raises:
        ImageError: it is no time; drivers that subtract times wrongly send such.
    """
    if stamp.sec < 0 or stamp.nanosec >= 10**9:
        raise ImageError(
            "invalid_stamp",
            f"dropped an image stamped {stamp.sec} s + {stamp.nanosec} ns, which is no time: check the "
            "camera driver",
        )
    return stamp.sec + stamp.nanosec * 1e-9


class Order(Enum):
    """The place of one image in its stream."""

    NEXT = "next"
    GAP = "gap"  # the next one, after a pause or a leap of the clock
    DUPLICATE = "duplicate_stamp"
    UNSTAMPED = "zero_stamp"  # one of several that are all stamped zero
    OUT_OF_ORDER = "out_of_order"
    RESTART = "restart"


class StampOrder:
    """Compares each stamp with the newest one so far."""

    def __init__(self) -> None:
        self._newest_s: float | None = None
        self._late_s: list[float] = []  # the stamps since the newest, ascending; all behind it

    def check(self, stamp_s: float) -> Order:
        """The order of an image stamped `stamp_s`, s. NEXT, GAP and RESTART become the newest stamp."""
        newest = self._newest_s
        if newest is None:
            order = Order.NEXT
        elif stamp_s > newest:
            order = Order.NEXT if stamp_s - newest <= GAP_S else Order.GAP
        elif stamp_s == newest:
            return Order.DUPLICATE if stamp_s else Order.UNSTAMPED
        elif newest - stamp_s < RESTART_S and not self._ascend(stamp_s):
            return Order.OUT_OF_ORDER
        else:
            order = Order.RESTART
        self._newest_s = stamp_s
        self._late_s.clear()
        return order

    def _ascend(self, late_s: float) -> bool:
        """Takes in a stamp behind the newest; whether these go up for long enough to be a new round."""
        if self._late_s and late_s <= self._late_s[-1]:
            self._late_s.clear()
        self._late_s.append(late_s)
        return len(self._late_s) >= RESTART_IMAGES

    def clear(self) -> None:
        """Any next stamp will do."""
        self._newest_s = None
        self._late_s.clear()
