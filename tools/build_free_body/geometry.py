"""Small geometry on rotations and triangle meshes (numpy, float64)."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

MIRROR = np.array([-1.0, 1.0, 1.0])  # x points to the body's left, so the sagittal mirror flips it


def unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors [..., 3] scaled to length 1."""
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def rotation_about(axis: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """Rotations [N, 3, 3] by `angle` [N], rad, about one `axis` [3] or one each [N, 3]."""
    return Rotation.from_rotvec(unit(axis) * np.atleast_1d(angle)[:, None]).as_matrix()


def shortest_rotation(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """The rotation without twist that turns directions `start` [N, 3] to `end` [3] or [N, 3]: [N, 3, 3]."""
    start, end = np.broadcast_arrays(unit(start), unit(end))
    normal = np.cross(start, end)
    sine = np.linalg.norm(normal, axis=-1, keepdims=True)
    angle = np.arctan2(sine, (start * end).sum(-1, keepdims=True))
    return Rotation.from_rotvec(normal / np.maximum(sine, 1e-12) * angle).as_matrix()


def rotate(rotations: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """[N, 3, 3] applied to [N, 3]: [N, 3]."""
    return np.einsum("nij,nj->ni", rotations, vectors)


def mirror_vertices(vertices: np.ndarray) -> np.ndarray:
    """For each of `vertices` [V, 3], the vertex nearest to its mirror image: [V]."""
    return cKDTree(vertices).query(vertices * MIRROR)[1]


def vertex_areas(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """A third of the area of the faces around each vertex: [V], m^2."""
    a, b, c = vertices[faces].transpose(1, 0, 2)
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2
    return np.bincount(faces.ravel(), np.repeat(area / 3, 3), minlength=len(vertices))


def volume(vertices: np.ndarray, faces: np.ndarray) -> float:
    """Volume inside a closed mesh, m^3."""
    a, b, c = vertices[faces].transpose(1, 0, 2)
    return float((np.cross(a, b) * c).sum() / 6)
