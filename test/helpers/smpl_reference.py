"""SMPL's forward pass, slow and readable: one person, numpy, float64, one joint at a time."""

import numpy as np
from scipy.spatial.transform import Rotation

from d3pose_core.body.arrays import BodyArrays
from d3pose_core.skeleton import JOINT_PARENTS, NUM_JOINTS


def reference_forward(
    body: BodyArrays,
    pose: np.ndarray,  # [24, 3] axis-angle, rad; the first is global_orient
    betas: np.ndarray,  # [10]
    transl: np.ndarray,  # [3] m
) -> tuple[np.ndarray, np.ndarray]:
    """Vertices [V, 3] and joints [24, 3], m."""
    rotations = Rotation.from_rotvec(pose).as_matrix()

    shaped = body.v_template.astype(np.float64) + body.shapedirs.astype(np.float64) @ betas
    rest_joints = body.joint_regressor.astype(np.float64) @ shaped
    bend = (rotations[1:] - np.eye(3)).ravel()
    rest = shaped + body.posedirs.astype(np.float64) @ bend

    world = np.zeros((NUM_JOINTS, 4, 4))
    for joint in range(NUM_JOINTS):
        parent = JOINT_PARENTS[joint]
        local = np.eye(4)
        local[:3, :3] = rotations[joint]
        local[:3, 3] = rest_joints[joint] - (rest_joints[parent] if parent >= 0 else 0)
        world[joint] = local if parent < 0 else world[parent] @ local

    vertices = np.zeros_like(rest)
    for joint in range(NUM_JOINTS):
        moved = (rest - rest_joints[joint]) @ world[joint, :3, :3].T + world[joint, :3, 3]
        vertices += body.weights[:, joint, None] * moved
    return vertices + transl, world[:, :3, 3] + transl
