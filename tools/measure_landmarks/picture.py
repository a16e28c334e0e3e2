"""Renders a scene's frames as a camera would take them, and says what of the person can be seen."""

from __future__ import annotations

import cv2
import numpy as np

from d3pose_core.body.arrays import BodyArrays
from d3pose_core.data.sight import Sight
from tools.measure_landmarks.clothes import random_outfit
from tools.measure_landmarks.rasterizer import BACKGROUND, DepthBuffer, shade, vertex_normals
from tools.measure_landmarks.scenery import Backdrop, Background, Obstacle, random_obstacle
from tools.measure_landmarks.scenes import Scene

_OBSTACLE_SHARE = 0.25
_FINE_BELOW = 400  # px: smaller people are drawn at twice the resolution
# A landmark is seen if the surface before it is its own: it lies this many times its depth under
# the skin of the unposed body, and a little, behind that surface.
_DEPTH_FACTOR, _DEPTH_EXTRA_M = 1.6, 0.03


class Camera:
    """Draws one clip: its light, clothes, background and sensor stay the same over the frames."""

    def __init__(self, scene: Scene, body: BodyArrays, depth_under_skin: np.ndarray, seed: int):
        """`depth_under_skin` [33] m: see `landmark_depths`."""
        rng = np.random.default_rng(seed)
        self._scene, self._body = scene, body
        self._margin = _DEPTH_FACTOR * depth_under_skin + _DEPTH_EXTRA_M
        self._outfit = random_outfit(body, rng)
        self._background: Backdrop = Background(scene.intrinsics, rng)
        self._obstacle: Obstacle | None = None
        if rng.random() < _OBSTACLE_SHARE:
            middle = len(scene.times_s) // 2
            self._obstacle = random_obstacle(
                scene.world_pelvis[middle], scene.camera_position[middle], rng
            )
        light = rng.normal((0, 1.2, 0))  # from above more often than from below
        self._light = light / np.linalg.norm(light)
        self._light_color = rng.uniform(0.6, 1.3) * rng.uniform(0.88, 1.12, 3)
        self._ambient = rng.uniform(0.3, 0.75)
        self._blur = rng.choice([0.0, rng.uniform(0.4, 1.6)])
        self._noise = rng.uniform(0, 8)
        self._jpeg_quality = int(rng.uniform(40, 95))
        self._rng = rng
        height, width = scene.intrinsics.height, scene.intrinsics.width
        self._grain = rng.normal(size=(2 * height, 2 * width, 1)).astype(np.float32)

    def take(self, t: int) -> tuple[np.ndarray, np.ndarray]:
        """Frame `t`: image [H, W, 3] uint8 B, G, R, and the landmarks' `Sight` [33] int8."""
        scene = self._scene
        turn = scene.camera_rotation[t] @ scene.camera_rotation[0].T
        image = self._background.seen_after(turn)
        sight = np.full(len(scene.landmarks[t]), Sight.OUTSIDE, np.int8)

        vertices = scene.vertices[t].astype(np.float64)
        faces = self._body.faces
        normals = vertex_normals(vertices, faces)
        vertices = vertices + self._outfit.thickness[:, None] * normals
        color = self._outfit.color
        box = self._box_in_image(vertices)
        if box is not None:
            if self._obstacle is not None:
                stands = self._obstacle
                moved = (stands.vertices - scene.camera_position[t]) @ scene.camera_rotation[t].T
                flat = vertex_normals(moved, stands.faces)
                faces = np.concatenate([faces, stands.faces + len(vertices)])
                vertices = np.concatenate([vertices, moved])
                normals = np.concatenate([normals, flat])
                color = np.concatenate([color, stands.color])
                box = self._box_in_image(vertices)
            sight = self._draw(image, box, vertices, faces, normals, color, t)
        return self._sensor(image), sight

    def _box_in_image(self, vertices: np.ndarray) -> tuple[int, int, int, int] | None:
        """x0, y0, x1, y1 px of the part of the image that vertices [V, 3] in front can touch."""
        pixels = self._scene.intrinsics.project(vertices[vertices[:, 2] > 0.05])
        size = (self._scene.intrinsics.width, self._scene.intrinsics.height)
        if not len(pixels):
            return None
        low = np.clip(np.floor(pixels.min(0)) - 2, 0, size).astype(int)
        high = np.clip(np.ceil(pixels.max(0)) + 3, 0, size).astype(int)
        return (*low, *high) if (high > low).all() else None

    def _draw(self, image, box, vertices, faces, normals, color, t: int) -> np.ndarray:
        """Draws the person (and what stands before them) into `image`; returns `Sight` [33]."""
        x0, y0, x1, y1 = box
        fine = 2 if max(x1 - x0, y1 - y0) < _FINE_BELOW else 1
        intrinsics = self._scene.intrinsics

        def on_canvas(points: np.ndarray) -> np.ndarray:
            depth = points[:, 2:]
            pixels = points[:, :2] / np.maximum(depth, 1e-3)
            pixels = pixels * [intrinsics.fx, intrinsics.fy] + [intrinsics.cx, intrinsics.cy]
            # Pixel centres lie on whole numbers in the image, at +0.5 on the canvas.
            return np.concatenate([(pixels + 0.5 - [x0, y0]) * fine, depth], 1)

        buffer = DepthBuffer.empty((y1 - y0) * fine, (x1 - x0) * fine)
        buffer.draw(on_canvas(vertices), faces)
        light = self._scene.camera_rotation[t] @ self._light
        layer = shade(buffer.face, buffer.weights, faces, normals, color, light, self._ambient)
        if fine > 1:
            layer = cv2.resize(layer, (x1 - x0, y1 - y0), interpolation=cv2.INTER_AREA)
        part = image[y0:y1, x0:x1]
        lit = layer[..., :3] * self._light_color + part * (1 - layer[..., 3:])
        part[...] = lit.clip(0, 255)
        landmarks = self._scene.landmarks[t]
        return self._sight(buffer, on_canvas(landmarks), landmarks[:, 2])

    def _sight(self, buffer: DepthBuffer, points: np.ndarray, depth: np.ndarray) -> np.ndarray:
        """What is before each landmark [33], whose place on the canvas is `points` [33, 3]."""
        height, width = buffer.face.shape
        cell = np.floor(points[:, :2]).astype(int)
        inside = (cell >= 0).all(1) & (cell < [width, height]).all(1) & (depth > 0.05)
        x, y = cell.clip(0, [width - 1, height - 1]).T
        face = buffer.face[y, x]
        nearest = 1 / np.maximum(buffer.inverse_depth[y, x], 1e-6)
        covered = (face != BACKGROUND) & (nearest < depth - self._margin)
        by_object = (face >= len(self._body.faces)) & (nearest < depth)
        sight = np.where(covered, Sight.BEHIND_SELF, Sight.VISIBLE)
        sight = np.where(by_object, Sight.BEHIND_OBJECT, sight)
        return np.where(inside, sight, Sight.OUTSIDE).astype(np.int8)

    def _sensor(self, image: np.ndarray) -> np.ndarray:
        """Blur, noise and compression of a cheap camera."""
        if self._blur:
            image = cv2.GaussianBlur(image, (0, 0), self._blur)
        height, width = image.shape[:2]
        y, x = self._rng.integers(height), self._rng.integers(width)
        grain = self._grain[y : y + height, x : x + width] * self._noise
        image = (image + grain).clip(0, 255).astype(np.uint8)
        _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, self._jpeg_quality])
        decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
        assert decoded is not None
        return decoded


def landmark_depths(vertices: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """How deep each landmark [33, 3] lies under the surface with `vertices` [V, 3], m: [33]."""
    return np.linalg.norm(vertices[None] - landmarks[:, None], axis=-1).min(1)
