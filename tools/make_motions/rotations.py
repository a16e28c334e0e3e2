"""Rotations as numpy arrays: rotation vectors [..., 3] and matrices [..., 3, 3]."""

from __future__ import annotations

import numpy as np
import roma
import torch


def matrix(rotvec: np.ndarray) -> np.ndarray:
    return roma.rotvec_to_rotmat(torch.from_numpy(np.ascontiguousarray(rotvec, np.float64))).numpy()


def rotvec(matrices: np.ndarray) -> np.ndarray:
    """Of the shorter way round."""
    return roma.rotmat_to_rotvec(torch.from_numpy(np.ascontiguousarray(matrices))).numpy()


def about(axis: int, angle: np.ndarray | float) -> np.ndarray:
    """Turns about x, y or z (0, 1, 2) by `angle` [...] rad."""
    vector = np.zeros((*np.shape(angle), 3))
    vector[..., axis] = angle
    return matrix(vector)


def swing(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Rotation vectors of the shortest turns from unit vectors `start` to `end` [..., 3]."""
    axis = np.cross(start, end)
    sine = np.linalg.norm(axis, axis=-1, keepdims=True)
    angle = np.arctan2(sine, (start * end).sum(-1, keepdims=True))
    return axis / np.maximum(sine, 1e-12) * angle


def quaternion(matrices: np.ndarray) -> np.ndarray:
    """[..., 4], x y z w, sign as it comes."""
    return roma.rotmat_to_unitquat(torch.from_numpy(np.ascontiguousarray(matrices))).numpy()


def from_quaternion(quaternions: np.ndarray) -> np.ndarray:
    """Matrices of quaternions [..., 4] of any length but 0."""
    unit = quaternions / np.linalg.norm(quaternions, axis=-1, keepdims=True)
    return roma.unitquat_to_rotmat(torch.from_numpy(np.ascontiguousarray(unit))).numpy()


def blend(first: np.ndarray, second: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Matrices `share` [...] of the shorter way from `first` to `second` [..., 3, 3]."""
    way = rotvec(np.swapaxes(first, -1, -2) @ second)
    return first @ matrix(way * share[..., None])


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
