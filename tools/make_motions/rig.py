"""The free body as a skeleton with masses and a few points of its skin."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch

from d3pose_core.body import load_body
from d3pose_core.skeleton import JOINT_MIRROR, JOINT_NAMES, JOINT_PARENTS, NUM_JOINTS

SIDES = ("left", "right")
J = {name: index for index, name in enumerate(JOINT_NAMES)}

# Shares of the body's mass, halfway along each segment (Winter's table, rounded).
_SEGMENTS = (
    ("head", "neck", 0.08),
    ("neck", "spine2", 0.22),
    ("spine2", "pelvis", 0.28),
    *((f"{s}_shoulder", f"{s}_elbow", 0.028) for s in ("left", "right")),
    *((f"{s}_elbow", f"{s}_wrist", 0.016) for s in ("left", "right")),
    *((f"{s}_wrist", f"{s}_hand", 0.006) for s in ("left", "right")),
    *((f"{s}_hip", f"{s}_knee", 0.10) for s in ("left", "right")),
    *((f"{s}_knee", f"{s}_ankle", 0.0465) for s in ("left", "right")),
    *((f"{s}_ankle", f"{s}_foot", 0.0145) for s in ("left", "right")),
)
_SKIN_POINTS = 160


def mirror(pose: np.ndarray) -> np.ndarray:
    """Rotation vectors [..., 24, 3] of the mirror image at the plane x = 0."""
    return pose[..., list(JOINT_MIRROR), :] * np.array([1.0, -1.0, -1.0])


def mirror_name(name: str) -> str:
    """ "left knee" for "right knee"; a name without a side is its own."""
    swap = {"left": "right", "right": "left"}
    return " ".join(swap.get(word, word) for word in name.split())


class Rig:
    """Rest joints [24, 3], m, with the sole at `floor`; skin points [P, 3] and their weights [P, 24]."""

    def __init__(self) -> None:
        body = load_body("free-low")
        betas = torch.zeros(1, 10)
        self.rest = body.joints_rest(betas)[0].double().numpy()
        still = torch.zeros(1, 3), torch.zeros(1, 23, 3), betas, torch.zeros(1, 3)
        skin = body(*still).vertices[0].double().numpy()
        chosen = _spread(skin, _SKIN_POINTS)
        self.skin, self.skin_weights = skin[chosen], body.skin_weights[chosen].double().numpy()
        self.floor = float(skin[:, 1].min())
        self.ball_height = float(self.rest[J["left_foot"], 1]) - self.floor
        parents = list(JOINT_PARENTS[1:])
        self.bones = np.concatenate([self.rest[:1] * 0, self.rest[1:] - self.rest[parents]])
        self.mass = np.zeros(NUM_JOINTS)
        for first, second, share in _SEGMENTS:
            self.mass[[J[first], J[second]]] += share / 2
        self.mass /= self.mass.sum()

    def pose(self, rotations: np.ndarray, root: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Local rotations [F, 24, 3, 3], pelvis [F, 3] -> joints' rotations in the world, and joints
        [F, 24, 3]."""
        world, joints = np.empty_like(rotations), np.empty((len(rotations), NUM_JOINTS, 3))
        world[:, 0], joints[:, 0] = rotations[:, 0], root
        for joint in range(1, NUM_JOINTS):
            parent = JOINT_PARENTS[joint]
            world[:, joint] = world[:, parent] @ rotations[:, joint]
            joints[:, joint] = joints[:, parent] + world[:, parent] @ self.bones[joint]
        return world, joints

    def skin_points(self, world: np.ndarray, joints: np.ndarray) -> np.ndarray:
        """[F, P, 3] of what `pose` returned, without the bulges that come with bending."""
        shift = joints - (world @ self.rest[..., None])[..., 0]
        transforms = np.concatenate([world, shift[..., None]], -1).reshape(
            len(world), NUM_JOINTS, 12
        )
        mixed = (self.skin_weights @ transforms).reshape(len(world), -1, 3, 4)
        return (mixed[..., :3] @ self.skin[..., None])[..., 0] + mixed[..., 3]


def _spread(points: np.ndarray, count: int) -> np.ndarray:
    """Indices of `count` of the points [N, 3], far from each other, from the lowest on."""
    chosen = [int(points[:, 1].argmin())]
    distance = np.full(len(points), np.inf)
    for _ in range(count - 1):
        distance = np.minimum(distance, np.linalg.norm(points - points[chosen[-1]], axis=1))
        chosen.append(int(distance.argmax()))
    return np.array(chosen)


@cache
def rig() -> Rig:
    return Rig()
