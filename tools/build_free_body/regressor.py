"""A sparse joint regressor: each joint as a weighted mean of skin vertices around it."""

from __future__ import annotations

import numpy as np
from scipy.optimize import nnls

from d3pose_core.skeleton import JOINT_MIRROR, JOINT_NAMES, JOINT_PARENTS, NUM_JOINTS
from tools.build_free_body.geometry import MIRROR, unit

TRUNK = ("pelvis", "spine1", "spine2", "spine3", "neck", "head")

# Half the height of the slab of skin around a joint, along its limb, m.
SLAB_HALF_HEIGHT = {
    "pelvis": 0.06,
    "hip": 0.08,
    "spine1": 0.05,
    "spine2": 0.05,
    "spine3": 0.06,
    "neck": 0.04,
    "collar": 0.05,
    "head": 0.08,
    "shoulder": 0.06,
    "elbow": 0.05,
    "foot": 0.03,
    "hand": 0.03,
}
OTHER_SLAB = 0.035  # knee, ankle, wrist
# How far from the limb's axis skin may lie, m: keeps the chest out of shoulders, and one hip out of
# the other.
SLAB_RADIUS = {"hip": 0.16, "collar": 0.12, "shoulder": 0.14}
OTHER_RADIUS = 0.30
MAX_VERTICES = 260
# Ridge that spreads a joint's weights over its slab: with few heavy vertices it would follow local
# noise.
SPREAD = 2e-7


def fit_joint_regressor(
    vertices: np.ndarray, joints: np.ndarray, weights: np.ndarray, mirror: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Non-negative weights whose rows sum to 1, fitted over a slab of skin around each joint.

    Args:
        vertices: T-posed people [N, V, 3], m.
        joints: their joints [N, 24, 3], m.
        weights: skinning weights [V, 24].
        mirror: each vertex's mirror image [V].

    Returns:
        the regressor [24, V], and its errors [N / 5, 24], m, on a fifth of the people that it was
        not fitted to.
    """
    train = np.arange(len(vertices)) < int(0.8 * len(vertices))
    mean_vertices, mean_joints = vertices.mean(0), joints.mean(0)
    mismatch = np.linalg.norm(mean_vertices[mirror] * MIRROR - mean_vertices, axis=1)
    symmetric = mismatch.max() < 1e-3  # a decimated mesh may be not quite: then each side is fitted
    random = np.random.default_rng(0)
    regressor = np.zeros((NUM_JOINTS, vertices.shape[1]))
    for joint, name in enumerate(JOINT_NAMES):
        if symmetric and name.startswith("right_"):
            continue
        slab = _slab_around(joint, mean_vertices, mean_joints, weights)
        if len(slab) > MAX_VERTICES:
            slab = _spread_subset(mean_vertices, slab, MAX_VERTICES, random)
        offsets = vertices[train][:, slab] - joints[train][:, joint, None]
        regressor[joint, slab] = _weights_meeting_at_zero(offsets)
    if symmetric:
        for joint, name in enumerate(JOINT_NAMES):
            if name.startswith("right_"):
                regressor[joint] = regressor[JOINT_MIRROR[joint]][mirror]
            elif JOINT_MIRROR[joint] == joint:
                regressor[joint] = (regressor[joint] + regressor[joint][mirror]) / 2
    held_out = np.einsum("jv,nvd->njd", regressor, vertices[~train])
    return regressor, np.linalg.norm(held_out - joints[~train], axis=-1)


def _slab_around(
    joint: int, vertices: np.ndarray, joints: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Vertices within a slice across the limb at `joint`, belonging to the limb's two sides."""
    name, parent = JOINT_NAMES[joint], JOINT_PARENTS[joint]
    part = name.split("_")[-1]
    axis = _limb_axis(joint, joints)
    membership = weights[:, joint] + (weights[:, parent] if parent >= 0 else 0)
    if name == "pelvis":
        membership = weights[:, :4].sum(1)  # with both hips and spine1
    offset = vertices - joints[joint]
    height = offset @ axis
    radius = np.linalg.norm(offset - height[:, None] * axis, axis=1)

    half_height = SLAB_HALF_HEIGHT.get(part, OTHER_SLAB)
    max_radius, least = SLAB_RADIUS.get(part, OTHER_RADIUS), 0.25
    enough = min(60, len(vertices) // 20)
    while True:  # coarse meshes: widen the slab until there is enough to choose from
        inside = (membership > least) & (np.abs(height) < half_height) & (radius < max_radius)
        if inside.sum() >= enough or half_height > 0.3:
            return np.flatnonzero(inside)
        half_height, least, max_radius = half_height * 1.25, least * 0.8, max_radius * 1.1


def _limb_axis(joint: int, joints: np.ndarray) -> np.ndarray:
    name, parent = JOINT_NAMES[joint], JOINT_PARENTS[joint]
    if name in TRUNK:
        return np.array([0.0, 1.0, 0.0])
    if name.endswith("hip"):  # the groin's crease, not the thigh
        return unit(np.array([0.25 if name.startswith("left") else -0.25, 1.0, 0.0]))
    if name.endswith("collar"):
        return np.array([1.0, 0.0, 0.0])
    children = [child for child, p in enumerate(JOINT_PARENTS) if p == joint]
    end = joints[children].mean(0) if children else 2 * joints[joint] - joints[parent]
    return unit(end - joints[parent])


def _spread_subset(
    vertices: np.ndarray, candidates: np.ndarray, count: int, random: np.random.Generator
) -> np.ndarray:
    """Farthest-point sampling: `count` of `candidates`, evenly spread."""
    points = vertices[candidates]
    chosen = [int(random.integers(len(candidates)))]
    distance = np.linalg.norm(points - points[chosen[0]], axis=1)
    while len(chosen) < count:
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, np.linalg.norm(points - points[chosen[-1]], axis=1))
    return candidates[chosen]


def _weights_meeting_at_zero(offsets: np.ndarray) -> np.ndarray:
    """Non-negative w [K], sum 1, that bring the weighted sums of `offsets` [N, K, 3] closest to zero."""
    count = offsets.shape[1]
    rows = offsets.transpose(0, 2, 1).reshape(-1, count)
    gram = rows.T @ rows / len(rows) + SPREAD * count * np.eye(count)
    # The Cholesky factor stands for all the rows at once; the last row asks for the sum of 1.
    system = np.vstack([np.linalg.cholesky(gram).T, np.full((1, count), 10.0)])
    weights, _ = nnls(system, np.append(np.zeros(count), 10.0))
    weights[weights < 0.002 * weights.max()] = 0
    return weights / weights.sum()
