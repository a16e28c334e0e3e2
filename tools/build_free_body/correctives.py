"""Pose correctives (`posedirs`): displacements that keep bent joints from collapsing.

Linear blend skinning averages positions, so skin between two bones cuts the corner and loses
volume. The correctives move it, as far as a linear function of the rotation can, towards where
blending the *rotations* would put it (a two-bone dual-quaternion blend about the joint).
"""

from __future__ import annotations

import numpy as np

from d3pose_core.skeleton import JOINT_MIRROR, JOINT_NAMES, JOINT_PARENTS, NUM_JOINTS
from tools.build_free_body.geometry import MIRROR, rotation_about, unit

# How far towards the rotation blend; all the way bulges at these joints.
STRENGTH = {
    "elbow": 0.8,
    "knee": 0.8,
    "wrist": 0.9,
    "hand": 0.6,
    "shoulder": 0.45,
    "collar": 0.4,
    "hip": 0.6,
    "neck": 0.6,
    "head": 0.6,
    "spine1": 0.5,
    "spine2": 0.5,
    "spine3": 0.5,
    "ankle": 0.7,
    "foot": 0.6,
}
# The left joints' usual motion: (axis, spread about it, share of the samples, largest angle, rad).
USUAL_MOTION = {
    "elbow": ((0.0, -1.0, 0.0), 0.15, 0.75, 2.2),
    "knee": ((1.0, 0.0, 0.0), 0.15, 0.75, 2.2),
    "hip": ((-1.0, 0.0, 0.0), 0.3, 0.5, 1.9),
    "shoulder": ((0.0, 0.0, -1.0), 0.4, 0.5, 1.5),
}
NUM_SAMPLES = 240
NEGLIGIBLE = 2e-5  # m: smaller displacements are dropped, which makes the array sparse


def fit_posedirs(
    vertices: np.ndarray, joints: np.ndarray, weights: np.ndarray, mirror: np.ndarray
) -> np.ndarray:
    """Pose correctives [V, 3, 207], m per element of R - I.

    Args:
        vertices: rest vertices [V, 3], m.
        joints: rest joints [24, 3], m.
        weights: skinning weights [V, 24].
        mirror: each vertex's mirror image [V].
    """
    random = np.random.default_rng(0)
    posedirs = np.zeros((len(vertices), 3, NUM_JOINTS, 9))
    for joint, name in enumerate(JOINT_NAMES):
        if joint == 0 or name.startswith("right_"):
            continue
        beyond = weights[:, _branch(joint)].sum(1)  # the share that moves with this joint
        active = np.flatnonzero((beyond > 0.005) & (beyond < 0.995))
        part = name.split("_")[-1]
        axes, angles = _sample_rotations(part, random)
        posedirs[active, :, joint] = _fit_joint(
            vertices[active] - joints[joint], beyond[active], axes, angles, STRENGTH[part]
        )
    # Mirrored space: x -> -x, so R -> S R S and the displacement's x flips.
    rotation_sign = np.outer(MIRROR, MIRROR).ravel()
    mirrored = posedirs[mirror] * MIRROR[:, None, None] * rotation_sign
    for joint, name in enumerate(JOINT_NAMES):
        if name.startswith("right_"):
            posedirs[:, :, joint] = mirrored[:, :, JOINT_MIRROR[joint]]
        elif JOINT_MIRROR[joint] == joint:
            posedirs[:, :, joint] = (posedirs[:, :, joint] + mirrored[:, :, joint]) / 2
    negligible = np.abs(posedirs).max(1, keepdims=True) < NEGLIGIBLE
    posedirs = np.where(negligible, 0.0, posedirs)
    return posedirs[:, :, 1:].reshape(len(vertices), 3, -1)


def _branch(joint: int) -> list[int]:
    """`joint` and all that hangs from it."""
    branch = [joint]
    for child in range(joint + 1, NUM_JOINTS):
        if JOINT_PARENTS[child] in branch:
            branch.append(child)
    return branch


def _sample_rotations(part: str, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Plausible rotations of a joint: axes [K, 3] and angles [K], rad."""
    axes = unit(random.normal(size=(NUM_SAMPLES, 3)))
    angles = random.uniform(0.1, 1.5, NUM_SAMPLES)
    if part in USUAL_MOTION:
        axis, spread, share, largest = USUAL_MOTION[part]
        usual = random.random(NUM_SAMPLES) < share
        axes[usual] = unit(axis + spread * random.normal(size=(usual.sum(), 3)))
        angles[usual] = random.uniform(0.1, largest, usual.sum())
    if part.startswith("spine"):
        angles *= 0.5
    return axes, angles


def _fit_joint(
    offsets: np.ndarray, beyond: np.ndarray, axes: np.ndarray, angles: np.ndarray, strength: float
) -> np.ndarray:
    """Ridge fit of the corrections over K sampled rotations.

    Args:
        offsets: rest vertices from the joint [n, 3], m.
        beyond: skinning weight of the moving side [n].
        axes, angles: the rotations [K, 3], [K].

    Returns:
        displacement per element of R - I: [n, 3, 9].
    """
    identity = np.eye(3)
    rotations = rotation_about(axes, angles)  # [K, 3, 3]
    features = (rotations - identity).reshape(NUM_SAMPLES, 9)

    # A vertex's share of the quaternion's half angle.
    sine = np.outer(np.sin(angles / 2), beyond)
    cosine = (1 - beyond) + np.outer(np.cos(angles / 2), beyond)
    share = 2 * np.arctan2(sine, cosine)[..., None]  # [K, n, 1]
    axis = axes[:, None]
    along = axis * (axes @ offsets.T)[..., None]
    across = np.cross(axis, offsets)
    wanted = offsets * np.cos(share) + across * np.sin(share) + along * (1 - np.cos(share))

    linear = identity + beyond[:, None, None] * (rotations - identity)[:, None]  # [K, n, 3, 3]
    skinned = np.einsum("knij,nj->kni", linear, offsets)
    # Correctives act before skinning: undo it, damped where blending has nearly collapsed space.
    transposed = linear.swapaxes(-1, -2)
    inverse = transposed @ np.linalg.inv(linear @ transposed + 0.03 * identity)
    correction = np.einsum("knij,knj->kni", inverse, strength * (wanted - skinned))

    ridge = 0.02 * NUM_SAMPLES * np.eye(9)
    solve = np.linalg.solve(features.T @ features + ridge, features.T)  # [9, K]
    return np.einsum("fk,kni->nif", solve, correction)
