"""A small buffer of transforms, for machines whose ROS has no tf2_ros.

It answers one question, as tf2 does: where is a frame in another at a time in the last ten seconds? Unlike
tf2's, its frames have one parent at a time: a frame that gets another parent forgets where it was before.
"""

from __future__ import annotations

import bisect
import threading
from collections import OrderedDict
from dataclasses import dataclass, field

from d3pose_core.errors import InputError
from d3pose_core.rigid import RigidTransform, quaternion_of, rotation_matrix, rotation_vector
from d3pose_ros.transform_error import Cause, TransformError

CACHE_NS = 10 * 10**9
# Frames that come and go, as people's do, must not fill the memory. Static ones stay.
MAX_FRAMES = 2000


@dataclass
class _Link:
    """One frame in its parent, over time."""

    parent: str
    static: bool
    stamps_ns: list[int] = field(default_factory=list)  # ascending
    transforms: list[RigidTransform] = field(default_factory=list)

    def insert(self, stamp_ns: int, transform: RigidTransform) -> None:
        if self.static:
            self.stamps_ns, self.transforms = [stamp_ns], [transform]
            return
        if self.stamps_ns and stamp_ns < self.stamps_ns[-1] - CACHE_NS:
            # Time went back, as in a bag that starts again.
            self.stamps_ns, self.transforms = [], []
        index = bisect.bisect_left(self.stamps_ns, stamp_ns)
        if index < len(self.stamps_ns) and self.stamps_ns[index] == stamp_ns:
            return  # as tf2: the first of a stamp counts
        self.stamps_ns.insert(index, stamp_ns)
        self.transforms.insert(index, transform)
        expired = bisect.bisect_left(self.stamps_ns, self.stamps_ns[-1] - CACHE_NS)
        del self.stamps_ns[:expired], self.transforms[:expired]

    def forget_after(self, stamp_ns: int) -> None:
        if not self.static:
            keep = bisect.bisect_right(self.stamps_ns, stamp_ns)
            del self.stamps_ns[keep:], self.transforms[keep:]

    def at(self, child: str, stamp_ns: int) -> RigidTransform:
        if self.static:
            return self.transforms[0]
        what = f"{child} in {self.parent} at {stamp_ns * 1e-9:.3f} s"
        if not self.stamps_ns or stamp_ns > self.stamps_ns[-1]:
            newest = f"{self.stamps_ns[-1] * 1e-9:.3f} s" if self.stamps_ns else "none"
            raise TransformError(
                Cause.FUTURE, f"no transform yet of {what}: the newest is {newest}"
            )
        if stamp_ns < self.stamps_ns[0]:
            raise TransformError(
                Cause.PAST,
                f"no transform any more of {what}: the oldest is {self.stamps_ns[0] * 1e-9:.3f} s",
            )
        after = bisect.bisect_left(self.stamps_ns, stamp_ns)
        if self.stamps_ns[after] == stamp_ns:
            return self.transforms[after]
        before = after - 1
        share = (stamp_ns - self.stamps_ns[before]) / (
            self.stamps_ns[after] - self.stamps_ns[before]
        )
        return interpolated(self.transforms[before], self.transforms[after], share)


class TransformBuffer:
    """The tree of frames; from any thread."""

    def __init__(self) -> None:
        self._links: OrderedDict[str, _Link] = (
            OrderedDict()
        )  # by child, least recently heard of first
        self._changed = threading.Condition()

    def insert(
        self, parent: str, child: str, stamp_ns: int, transform: RigidTransform, static: bool
    ) -> str:
        """`transform` is `child` in `parent`. Returns the parent that it had until now, if that was another.

        Raises:
            InputError: a frame without a name, or one that is its own parent.
        """
        parent, child = parent.lstrip("/"), child.lstrip("/")
        if not parent or not child or parent == child:
            raise InputError(f"not a transform between two frames: {child!r} in {parent!r}")
        with self._changed:
            link = self._links.get(child)
            before = link.parent if link is not None else parent
            if link is None or link.parent != parent or link.static != static:
                link = self._links[child] = _Link(parent, static)
            link.insert(stamp_ns, transform)
            self._links.move_to_end(child)
            if not static and len(self._links) > MAX_FRAMES:
                moving = [name for name, one in self._links.items() if not one.static]
                for oldest in moving[: max(0, len(moving) - MAX_FRAMES)]:
                    del self._links[oldest]
            self._changed.notify_all()
        return before if before != parent else ""

    def forget_after(self, stamp_ns: int) -> None:
        """Time starts again at `stamp_ns`: what was heard of later times belongs to the last round."""
        with self._changed:
            for link in self._links.values():
                link.forget_after(stamp_ns)

    def wait(self, timeout_s: float) -> None:
        """Until the next `insert`, at most `timeout_s`."""
        with self._changed:
            self._changed.wait(timeout_s)

    def lookup(self, target: str, source: str, stamp_ns: int) -> RigidTransform:
        """The frame `source` in the frame `target` at `stamp_ns`.

        Raises:
            TransformError: by any of its causes.
        """
        target, source = target.lstrip("/"), source.lstrip("/")
        if target == source:  # known to any buffer, as to tf2's
            return RigidTransform.identity()
        with self._changed:
            parents = {link.parent for link in self._links.values()}
            for name in (target, source):
                if name not in self._links and name not in parents:
                    raise TransformError(
                        Cause.UNKNOWN, f"no transform was ever received for the frame {name!r}"
                    )
            up, down = self._ancestors(source), self._ancestors(target)
            common = next((name for name in up if name in down), None)
            if common is None:
                raise TransformError(
                    Cause.NOT_CONNECTED,
                    f"{source!r} and {target!r} are in separate trees, below {up[-1]!r} and {down[-1]!r}",
                )
            in_common = self._compose(up[: up.index(common)], stamp_ns)
            target_in_common = self._compose(down[: down.index(common)], stamp_ns)
        return target_in_common.inverse() @ in_common

    def _ancestors(self, name: str) -> list[str]:
        """`name`, its parent, and so on up to the root."""
        chain = [name]
        while (link := self._links.get(chain[-1])) is not None:
            if link.parent in chain:
                raise TransformError(
                    Cause.LOOP, "frames in a circle: " + " in ".join([*chain, link.parent])
                )
            chain.append(link.parent)
        return chain

    def _compose(self, chain: list[str], stamp_ns: int) -> RigidTransform:
        """The first frame of `chain` in the parent of its last."""
        result = RigidTransform.identity()
        for name in chain:
            result = self._links[name].at(name, stamp_ns) @ result
        return result


def interpolated(before: RigidTransform, after: RigidTransform, share: float) -> RigidTransform:
    """Straight in position, along the shortest arc in rotation; `share` 0..1 of the way."""
    arc = rotation_vector(after.rotation @ before.rotation.T)
    # Through the quaternion, which is normalised: products of matrices drift from rotations.
    rotation = rotation_matrix(share * arc) @ before.rotation
    translation = (1 - share) * before.translation + share * after.translation
    return RigidTransform.from_quaternion(quaternion_of(rotation), translation)
