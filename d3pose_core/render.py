"""Drawing meshes into an image on the CPU: smooth shading, hidden parts hidden, soft edges.

The painter's algorithm: faces that look at the camera are painted from the farthest to the nearest
with OpenCV's polygon filling, at twice the resolution, and averaged down. For closed meshes of
small faces (bodies) that is as good as a depth buffer, and needs no dependency beyond OpenCV.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from d3pose_core.camera import Intrinsics

# Faces with a corner nearer than this are left out, as are those with a corner that is not finite.
NEAR_M = 0.05
SUPERSAMPLING = 2
_SUBPIXEL_BITS = 4  # polygon corners in 1/16 px of the supersampled picture

# From the surface towards the light: over the camera's left shoulder (x right, y down, z forward).
_LIGHT = np.array([-0.5, -0.7, -0.5], dtype=np.float32)
_AMBIENT, _BRIGHTEST = 0.25, 1.15
_SHADES = 256
_MEAN_OF_3 = np.full(3, 1 / 3, dtype=np.float32)


@dataclass(frozen=True)
class Mesh:
    """A closed surface in the camera's optical frame.

    `vertices` [V, 3] m; `faces` [F, 3] vertex indices, counter-clockwise seen from outside, as in
    SMPL; `color` B, G, R, 0..255.
    """

    vertices: np.ndarray
    faces: np.ndarray
    color: tuple[int, int, int]


@dataclass(frozen=True)
class Layer:
    """What was drawn, where its top-left corner lies in the image, how much it covers each pixel.

    `color` [h, w, 3] uint8 is multiplied by the coverage; `coverage` [h, w] uint8, 255 is all.
    """

    x: int
    y: int
    color: np.ndarray
    coverage: np.ndarray

    def over(self, image: np.ndarray, opacity: float = 1.0) -> np.ndarray:
        """The layer blended over `image` [H, W, 3] uint8, in place; returns the image."""
        height, width = self.coverage.shape
        part = image[self.y : self.y + height, self.x : self.x + width]
        behind = cv2.merge([255 - cv2.convertScaleAbs(self.coverage, alpha=opacity)] * 3)
        faded = cv2.multiply(part, behind, scale=1 / 255)
        cv2.addWeighted(self.color, opacity, faded, 1.0, 0.0, dst=faded)
        part[...] = faded
        return image


def render(meshes: Sequence[Mesh], intrinsics: Intrinsics) -> Layer | None:
    """Draw meshes that hide each other by distance; None when nothing of them is in the image.

    Parts outside the image, behind the camera or not finite are left out.
    """
    drawn = [_visible_faces(mesh, intrinsics) for mesh in meshes]
    corners = np.concatenate([part.corners for part in drawn] or [np.empty((0, 3, 2))])
    if not len(corners):
        return None
    points = corners.reshape(-1, 2)
    low = np.floor(points.min(axis=0) - 1).clip(0).astype(int)
    limit = (intrinsics.width, intrinsics.height)
    high = np.ceil(points.max(axis=0) + 2).clip(max=limit).astype(int)
    width, height = (high - low).tolist()

    # Pixel centres are at whole numbers before and after: the edges at -0.5 fall onto each other.
    fixed = ((corners - low + 0.5) * SUPERSAMPLING - 0.5) * (1 << _SUBPIXEL_BITS)
    farthest_first = np.argsort(-np.concatenate([part.depth for part in drawn]), kind="stable")
    polygons = np.rint(fixed[farthest_first]).astype(np.int32)
    # Colours from a palette: a list of 14,000 colours a body costs more than to paint them.
    palette = [color for mesh in meshes for color in _palette(mesh.color)]
    indices = np.concatenate([part.shade + i * _SHADES for i, part in enumerate(drawn)])
    canvas = np.zeros((height * SUPERSAMPLING, width * SUPERSAMPLING, 4), np.uint8)
    for polygon, index in zip(polygons, indices[farthest_first].tolist(), strict=True):
        cv2.fillConvexPoly(canvas, polygon, palette[index], cv2.LINE_8, _SUBPIXEL_BITS)
    canvas = cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA)
    x, y = low.tolist()
    return Layer(x, y, canvas[..., :3], np.ascontiguousarray(canvas[..., 3]))


@dataclass(frozen=True)
class _Faces:
    corners: np.ndarray  # [K, 3, 2] px
    depth: np.ndarray  # [K] m
    shade: np.ndarray  # [K] index into the mesh's palette


def _palette(color: tuple[int, int, int]) -> list[tuple[float, ...]]:
    """B, G, R and full coverage, 0..255, of each shade of a colour."""
    brightness = np.linspace(0, _BRIGHTEST, _SHADES)
    shades = np.multiply.outer(brightness, (*color, 0)).clip(0, 255)
    shades[:, 3] = 255
    return [tuple(shade) for shade in shades.tolist()]


def _visible_faces(mesh: Mesh, intrinsics: Intrinsics) -> _Faces:
    """The faces in front of the camera that look at it and touch the image."""
    vertices = np.asarray(mesh.vertices, dtype=np.float32)
    in_front = np.isfinite(vertices).all(axis=1) & (vertices[:, 2] > NEAR_M)
    usable = mesh.faces if in_front.all() else mesh.faces[in_front[mesh.faces].all(axis=1)]
    depth = np.where(in_front, vertices[:, 2], 1.0)[:, None]
    rays = vertices[:, :2] / depth
    if intrinsics.distortion is not None:
        rays = intrinsics.distortion.distort(rays).astype(np.float32)
    focal = np.array([intrinsics.fx, intrinsics.fy], dtype=np.float32)
    centre = np.array([intrinsics.cx, intrinsics.cy], dtype=np.float32)
    pixels = rays * focal + centre  # [V, 2]

    first, second, third = (pixels[usable[:, corner]] for corner in range(3))  # each [F, 2]
    edge_1, edge_2 = second - first, third - first
    # With y down, what is counter-clockwise from outside has a negative area in the image.
    looks_here = edge_1[:, 0] * edge_2[:, 1] - edge_1[:, 1] * edge_2[:, 0] < 0
    low, high = np.minimum(np.minimum(first, second), third), np.maximum(first, second)
    high = np.maximum(high, third)
    width, height = intrinsics.width, intrinsics.height
    touches = (high[:, 0] > -0.5) & (high[:, 1] > -0.5)
    touches &= (low[:, 0] < width - 0.5) & (low[:, 1] < height - 0.5)
    visible = usable[looks_here & touches]  # [K, 3]

    brightness = _brightness(vertices, usable)[visible] @ _MEAN_OF_3
    shade = np.rint(brightness * ((_SHADES - 1) / _BRIGHTEST)).astype(np.int64)
    return _Faces(pixels[visible], depth[:, 0][visible] @ _MEAN_OF_3, shade)


def _brightness(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Brightness of each vertex [V], 0.._BRIGHTEST, from its faces' normals, weighted by area."""
    corner = vertices[faces]
    face_normals = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])  # [F, 3]
    corner_ids = faces.T.reshape(-1)
    normals = np.stack(
        [
            np.bincount(corner_ids, np.tile(face_normals[:, axis], 3), minlength=len(vertices))
            for axis in range(3)
        ],
        axis=1,
    )  # [V, 3]
    length = np.linalg.norm(normals, axis=1)
    cosine = normals @ _LIGHT / np.maximum(length * np.linalg.norm(_LIGHT), 1e-12)
    # Half Lambert: keeps shape visible on the side away from the light.
    return _AMBIENT + (_BRIGHTEST - _AMBIENT) * (0.5 + 0.5 * cosine) ** 2
