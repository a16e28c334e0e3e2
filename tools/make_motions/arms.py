"""Poses of an arm that people can take, and where the hand is then.

A bank of random poses of the left arm, without those beyond the joints' limits or inside the trunk or
the head. A pose is the rotation vectors of collar, shoulder, elbow and wrist [4, 3]; places are in the
frame of the chest (spine3), m, about that joint. A right arm is the mirror image.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from tools.make_motions import limits
from tools.make_motions.geometry import segment_distance
from tools.make_motions.rig import J, rig
from tools.make_motions.rotations import matrix, rotvec, swing

ARM = {
    side: [J[f"{side}_{name}"] for name in ("collar", "shoulder", "elbow", "wrist")]
    for side in ("left", "right")
}
MIRROR = np.array([1.0, -1.0, -1.0])  # of rotation vectors, at the plane x = 0
_TRIES = 60_000
_PATH = np.array([0.2, 0.4, 0.6, 0.8, 1.0])  # where the way between two poses is looked at
_ARMS_APART_M = 0.08
# What an arm can't go through, about spine3: ends of capsules and their radii, m.
_TRUNK = (
    ((0.07, -0.28, 0.02), (0.07, 0.08, 0.03), 0.11),
    ((-0.07, -0.28, 0.02), (-0.07, 0.08, 0.03), 0.11),
    ((0.0, 0.2, 0.04), (0.0, 0.40, 0.06), 0.085),
)


@dataclass(frozen=True)
class ArmBank:
    poses: np.ndarray  # [N, 4, 3]
    elbow: np.ndarray  # [N, 3]
    hand: np.ndarray  # [N, 3]
    direction: np.ndarray  # [N, 3] of the upper arm
    flexion: np.ndarray  # [N] of the elbow, rad

    def pick(
        self,
        rng: np.random.Generator,
        allowed: np.ndarray,
        before: np.ndarray | None,
        other: np.ndarray | None = None,
    ) -> np.ndarray:
        """One of the `allowed` [N] bool poses, such that the way there is free.

        Args:
            before: [4, 3] the pose that it comes from, as a left arm.
            other: [2, 4, 3] how the other arm moves meanwhile, as a left arm.
        """
        return self._reachable(rng.choice(np.flatnonzero(allowed), 48), before, other)

    def reach(
        self,
        rng: np.random.Generator,
        target: np.ndarray,
        before: np.ndarray | None,
        other: np.ndarray | None = None,
    ) -> np.ndarray:
        """A pose [4, 3] with the hand near `target` [3]; the rest as for `pick`."""
        missed = np.linalg.norm(self.hand - target, axis=1)
        nearest = np.argpartition(missed, 24)[:24]
        return self._reachable(rng.permutation(nearest), before, other)

    def _reachable(
        self, candidates: np.ndarray, before: np.ndarray | None, other: np.ndarray | None
    ) -> np.ndarray:
        """The first of the poses whose way is free of trunk, head and other arm, or the freest."""
        poses = self.poses[candidates]
        start = poses if before is None else np.broadcast_to(before, poses.shape)
        way = start[:, None] + (poses - start)[:, None] * _PATH[:, None, None]  # [K, P, 4, 3]
        elbow, hand = _points(way.reshape(-1, 4, 3))
        free = clear_of_trunk(elbow, hand).reshape(len(poses), -1)
        if other is not None:
            ends = _points(other[0] + (other[1] - other[0]) * _PATH[:, None, None])
            first, second = (np.tile(e * [-1, 1, 1], (len(poses), 1)) for e in ends)
            apart = segment_distance(elbow, hand, first, second) > _ARMS_APART_M
            free &= apart.reshape(free.shape)
        return poses[free.sum(1).argmax()]


@cache
def arm_bank() -> ArmBank:
    rng = np.random.default_rng(0)
    direction = rng.normal(size=(_TRIES, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    forward, up = direction[:, 2], direction[:, 1]
    straight = rng.random(_TRIES) < 0.35
    flexion = np.radians(
        np.where(straight, rng.uniform(0, 20, _TRIES), rng.uniform(5, 140, _TRIES))
    )
    # Which way the elbow's hinge faces follows the arm: a raised arm turns outward.
    middle = -55 * np.clip(up + 0.5, 0, 1) - 25 * np.clip(forward, 0, 1)
    twist = np.radians(middle + rng.uniform(-40, 40, _TRIES))
    whole = swing(np.broadcast_to([1.0, 0, 0], direction.shape), direction)
    poses = np.zeros((_TRIES, 4, 3))
    # The shoulder blade takes part in raising the arm, and in bringing it forward.
    raised = np.clip(up + 0.25, 0, 1)
    poses[:, 0, 2] = np.radians(32) * raised + np.radians(4) * rng.normal(size=_TRIES)
    poses[:, 0, 1] = -np.radians(14) * forward + np.radians(3) * rng.normal(size=_TRIES)
    turned = np.zeros_like(direction)
    turned[:, 0] = twist
    poses[:, 1] = rotvec(np.swapaxes(matrix(poses[:, 0]), 1, 2) @ matrix(whole) @ matrix(turned))
    poses[:, 2, 1] = -flexion
    poses[:, 2, 0] = np.radians(rng.uniform(-25, 35, _TRIES))
    poses[:, 3] = np.radians(rng.normal(size=(_TRIES, 3)) * [25, 12, 18])
    joints = ARM["left"]
    inside = (poses >= limits.LOW[joints]) & (poses <= limits.HIGH[joints])
    poses = poses[inside.all((1, 2))]
    elbow, hand = _points(poses)
    clear = clear_of_trunk(elbow, hand)
    poses, elbow, hand = poses[clear], elbow[clear], hand[clear]
    shoulder = matrix(poses[:, 0]) @ matrix(poses[:, 1])
    return ArmBank(poses, elbow, hand, shoulder[..., 0], np.abs(poses[:, 2, 1]))


def _points(poses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Elbows and fingertips [N, 3] of left arms [N, 4, 3]."""
    bones = rig().bones
    collar, shoulder, elbow, wrist = ARM["left"]
    turn = matrix(poses[:, 0])
    place = bones[collar] + turn @ bones[shoulder]
    turn = turn @ matrix(poses[:, 1])
    elbow_place = place + turn @ bones[elbow]
    turn = turn @ matrix(poses[:, 2])
    wrist_place = elbow_place + turn @ bones[wrist]
    turn = turn @ matrix(poses[:, 3])
    return elbow_place, wrist_place + turn @ (1.8 * bones[J["left_hand"]])


def clear_of_trunk(elbow: np.ndarray, hand: np.ndarray) -> np.ndarray:
    """Whether elbow, forearm and hand [N, 3] are outside the trunk: [N] bool."""
    points = elbow[:, None] + (hand - elbow)[:, None] * np.array([0.1, 0.4, 0.7, 1.0])[:, None]
    thickness = np.array([0.03, 0.03, 0.025, 0.01])
    clear = np.ones(len(elbow), bool)
    for start, end, radius in _TRUNK:
        a, axis = np.array(start), np.array(end) - np.array(start)
        along = np.clip(((points - a) @ axis) / (axis @ axis), 0, 1)
        distance = np.linalg.norm(points - a - along[..., None] * axis, axis=-1)
        clear &= (distance > radius + thickness).all(1)
    return clear
