"""Symmetric mesh decimation that keeps a subset of the vertices.

Edges collapse onto one of their ends (Garland and Heckbert, "Surface Simplification Using Quadric
Error Metrics", 1997), never onto a new point: what stays keeps its shape directions, correctives
and weights as they are. The error is summed over several poses, so that detail survives where
bending needs it, and each collapse is done on both sides of the body.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator

import numpy as np

# A face may not turn by more than about 75 degrees (cosine 0.25) in any pose.
MIN_NORMAL_COSINE = 0.25


def decimate(
    poses: np.ndarray,
    faces: np.ndarray,
    mirror: np.ndarray,
    protected: Iterable[int],
    targets: list[int],
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Decimates to each of `targets` in turn.

    Args:
        poses: the mesh in P poses [P, V, 3], m.
        faces: [F, 3].
        mirror: each vertex's mirror image [V].
        protected: vertices that must stay.
        targets: numbers of vertices, descending.

    Yields:
        for each target the kept vertices [K], ascending, and the faces [F', 3] in terms of the old
        vertices.
    """
    mesh = _Mesh(poses, faces)
    fixed = set(protected)
    queue = [
        (mesh.cost(u, v), u, v, 0, 0)
        for u in range(len(mirror))
        for v in mesh.neighbours(u)
        if _may_collapse(mesh, u, v, mirror, fixed)
    ]
    heapq.heapify(queue)
    changes = np.zeros(
        len(mirror), int
    )  # entries of the queue older than a vertex's last change are void
    count = len(mirror)
    for target in targets:
        while count > target and queue:
            _, u, v, seen_u, seen_v = heapq.heappop(queue)
            if changes[u] != seen_u or changes[v] != seen_v or not mesh.alive[[u, v]].all():
                continue
            if not _may_collapse(mesh, u, v, mirror, fixed) or not mesh.is_safe(u, v):
                continue
            twin_u, twin_v = mirror[u], mirror[v]
            if twin_u != u and not mesh.alive[[twin_u, twin_v]].all():
                continue
            mesh.collapse(u, v)
            count -= 1
            changed = [v]
            # Where the mirrored collapse has become unsafe, a slight asymmetry is tolerated.
            if twin_u != u and mesh.is_safe(twin_u, twin_v):
                mesh.collapse(twin_u, twin_v)
                count -= 1
                changed.append(twin_v)
            changes[changed] += 1
            for vertex in changed:
                for other in mesh.neighbours(vertex):
                    for a, b in ((vertex, other), (other, vertex)):
                        if _may_collapse(mesh, a, b, mirror, fixed):
                            entry = (mesh.cost(a, b), a, b, changes[a], changes[b])
                            heapq.heappush(queue, entry)
        yield np.flatnonzero(mesh.alive), mesh.living_faces()


def _may_collapse(mesh: _Mesh, u: int, v: int, mirror: np.ndarray, fixed: set[int]) -> bool:
    """Whether vertex u may move onto v at all."""
    if u in fixed or mirror[u] == v:
        return False
    if mirror[u] == u and mirror[v] != v:  # the middle line stays in the middle
        return False
    # A hole's rim may only shorten along itself.
    return u not in mesh.rim or (v in mesh.rim and mesh.shared_faces(u, v) == 1)


class _Mesh:
    """A triangle mesh under edge collapses."""

    def __init__(self, poses: np.ndarray, faces: np.ndarray) -> None:
        self._at = np.ascontiguousarray(poses.transpose(1, 0, 2))  # [V, P, 3]
        self._homogeneous = np.concatenate([self._at, np.ones((*self._at.shape[:2], 1))], axis=2)
        self._faces: dict[int, tuple[int, ...]] = dict(enumerate(map(tuple, faces.tolist())))
        self._faces_of: list[set[int]] = [set() for _ in self._at]
        for number, face in self._faces.items():
            for vertex in face:
                self._faces_of[vertex].add(number)
        self._quadrics = _plane_quadrics(poses, faces)  # [V, P, 4, 4]
        self.alive = np.ones(len(self._at), bool)
        edges = Counter(
            tuple(sorted(edge))
            for a, b, c in self._faces.values()
            for edge in ((a, b), (b, c), (c, a))
        )
        self.rim = {vertex for edge, uses in edges.items() if uses == 1 for vertex in edge}

    def neighbours(self, vertex: int) -> set[int]:
        around = {other for face in self._faces_of[vertex] for other in self._faces[face]}
        return around - {vertex}

    def shared_faces(self, u: int, v: int) -> int:
        return len(self._faces_of[u] & self._faces_of[v])

    def cost(self, u: int, v: int) -> float:
        """Squared distance of v from the planes around u and v, area-weighted, over all poses."""
        point = self._homogeneous[v]
        planes = self._quadrics[u] + self._quadrics[v]
        error = np.einsum("pi,pij,pj->", point, planes, point)
        # On flat skin all errors are 0: short edges first, for even triangles.
        return float(error) + 1e-9 * float(((self._at[u] - self._at[v]) ** 2).sum())

    def is_safe(self, u: int, v: int) -> bool:
        """Whether moving u onto v leaves a manifold whose faces have not flipped in any pose."""
        shared = self._faces_of[u] & self._faces_of[v]
        # A loose piece, such as an eyeball, keeps its last triangle, else its vertices hang in the air.
        if not (self._faces_of[u] | self._faces_of[v]) - shared:
            return False
        opposite = {x for face in shared for x in self._faces[face]} - {u, v}
        if any(not self._faces_of[x] - shared for x in opposite):
            return False
        if len(self.neighbours(u) & self.neighbours(v)) != len(shared):
            return False
        if u not in self.rim and len(shared) != 2:
            return False
        around_v = {frozenset(self._faces[face]) for face in self._faces_of[v]}
        moved = [self._faces[face] for face in self._faces_of[u] - shared]
        after = [tuple(v if vertex == u else vertex for vertex in face) for face in moved]
        if any(frozenset(face) in around_v for face in after):
            return False
        if not moved:
            return True
        before_normal, after_normal = self._normals(moved), self._normals(after)
        cosine = (before_normal * after_normal).sum(-1)
        lengths = np.linalg.norm(before_normal, axis=-1) * np.linalg.norm(after_normal, axis=-1)
        return bool((cosine >= MIN_NORMAL_COSINE * lengths).all())

    def collapse(self, u: int, v: int) -> None:
        """Moves u onto v."""
        for face in self._faces_of[u] & self._faces_of[v]:
            for vertex in self._faces.pop(face):
                self._faces_of[vertex].discard(face)
        for face in self._faces_of[u]:
            self._faces[face] = tuple(v if x == u else x for x in self._faces[face])
            self._faces_of[v].add(face)
        self._faces_of[u] = set()
        self._quadrics[v] += self._quadrics[u]
        self.alive[u] = False

    def living_faces(self) -> np.ndarray:
        return np.array([self._faces[number] for number in sorted(self._faces)])

    def _normals(self, faces: list[tuple[int, ...]]) -> np.ndarray:
        """Normals [n, P, 3], as long as twice the faces' area."""
        a, b, c = (self._at[list(corner)] for corner in zip(*faces, strict=True))
        return np.cross(b - a, c - a)


def _plane_quadrics(poses: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Sum over each vertex's faces of area * plane plane^T: [V, P, 4, 4]."""
    quadrics = np.zeros((poses.shape[1], len(poses), 4, 4))
    for number, vertices in enumerate(poses):
        a, b, c = vertices[faces].transpose(1, 0, 2)
        normal = np.cross(b - a, c - a)
        length = np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
        normal = normal / length
        plane = np.concatenate([normal, -(normal * a).sum(1, keepdims=True)], axis=1)
        quadric = plane[:, :, None] * plane[:, None, :] * length[:, :, None]
        for corner in range(3):
            np.add.at(quadrics[:, number], faces[:, corner], quadric)
    return quadrics
