"""The people of a clip seen from the side: how far away they are and how they lean.

The camera is taken to be level: "up" is the image's up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from d3pose_core.camera import Intrinsics
from d3pose_core.recording import PeopleTable
from d3pose_core.render import Mesh, render

BACKGROUND = (38, 34, 32)
_GRID = (84, 78, 74)
_TEXT = (200, 196, 192)
_FONT = cv2.FONT_HERSHEY_SIMPLEX

_VERTICAL_FOV_DEG = 35.0
_PITCH_DEG = 10.0  # looks down a little, so that the floor is more than a line
_SOLE_M = 0.08  # from the ankle and foot joints down to the sole
_SHADOW_RADIUS_M = 0.22
_MAX_LINES = 12
_LEFT_OUT = 3.0  # per cent of the rows at either end of each axis


class SideView:
    """A panel that shows meshes from the right of the camera: its left edge is nearer to the camera.

    The view stands still through the clip: it is fitted once to everyone in `table`.
    """

    def __init__(self, table: PeopleTable, width: int, height: int) -> None:
        self.low, self.high = _bounds(table)
        self.intrinsics = _intrinsics(width, height)
        self.rotation, self.position = self._place_camera()
        self._background = self._draw_background()

    def draw(self, meshes: Sequence[Mesh]) -> np.ndarray:
        """Meshes in the clip's optical frame -> the panel, uint8 [height, width, 3] BGR."""
        panel = self._background.copy()
        for mesh in meshes:
            self._draw_shadow(panel, mesh)
        layer = render(
            [replace(mesh, vertices=self.to_side(mesh.vertices)) for mesh in meshes],
            self.intrinsics,
        )
        return panel if layer is None else layer.over(panel)

    def to_side(self, points: np.ndarray) -> np.ndarray:
        """Points [..., 3] of the clip's optical frame -> the side camera's optical frame, m."""
        return ((points - self.position) @ self.rotation.T).astype(np.float32)

    def _place_camera(self) -> tuple[np.ndarray, np.ndarray]:
        """Rotation [3, 3] into the side camera's frame, and its position [3], m."""
        pitch = np.radians(_PITCH_DEG)
        right = np.array([0.0, 0.0, 1.0])  # away from the clip's camera
        forward = np.array([-np.cos(pitch), np.sin(pitch), 0.0])
        rotation = np.stack([right, np.cross(forward, right), forward])

        half = (self.high - self.low) / 2
        tangent_y = self.intrinsics.height / 2 / self.intrinsics.fy
        tangent_x = self.intrinsics.width / 2 / self.intrinsics.fx
        nearest = max((half[1] + 0.25) / tangent_y, (half[2] + 0.25) / tangent_x)
        centre = (self.low + self.high) / 2
        return rotation, centre - forward * (nearest + half[0] + 0.5)

    def _draw_background(self) -> np.ndarray:
        width, height = self.intrinsics.width, self.intrinsics.height
        panel = np.full((height, width, 3), BACKGROUND, np.uint8)
        floor, step = self.high[1], _step(float((self.high - self.low).max()))
        x_lines, z_lines = (
            np.arange(np.floor(self.low[axis] / step), np.ceil(self.high[axis] / step) + 1) * step
            for axis in (0, 2)
        )
        for x in x_lines:
            self._draw_line(panel, (x, floor, z_lines[0]), (x, floor, z_lines[-1]))
        for z in z_lines:
            self._draw_line(panel, (x_lines[0], floor, z), (x_lines[-1], floor, z))
        scale = height / 900
        for z in z_lines:
            x, y = self._pixel((x_lines[-1], floor, z))
            offset = round(26 * scale)
            if offset <= x < width - offset:
                _write(panel, f"{z:g} m", (x - offset, y + offset), scale)
        caption = "from the side; distance from the camera"
        _write(panel, caption, (round(14 * scale), round(30 * scale)), scale)
        return panel

    def _draw_line(self, panel: np.ndarray, start: Sequence[float], end: Sequence[float]) -> None:
        cv2.line(panel, self._pixel(start), self._pixel(end), _GRID, 1, cv2.LINE_AA)

    def _draw_shadow(self, panel: np.ndarray, mesh: Mesh) -> None:
        """A disc on the floor below the body: it tells where someone stands whose feet don't."""
        centre = mesh.vertices.mean(axis=0)
        if not np.isfinite(centre).all():
            return
        angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
        disc = np.stack(
            [
                centre[0] + _SHADOW_RADIUS_M * np.cos(angle),
                np.full(24, self.high[1]),
                centre[2] + _SHADOW_RADIUS_M * np.sin(angle),
            ],
            axis=1,
        )
        pixels = self.intrinsics.project(self.to_side(disc))
        if np.isfinite(pixels).all() and np.abs(pixels).max() < 1e5:
            color = [
                (channel + 2 * back) // 3
                for channel, back in zip(mesh.color, BACKGROUND, strict=True)
            ]
            cv2.fillPoly(panel, [np.rint(pixels).astype(np.int32)], color, cv2.LINE_AA)

    def _pixel(self, point: Sequence[float]) -> tuple[int, int]:
        x, y = self.intrinsics.project(self.to_side(np.asarray(point))).round().tolist()
        return int(x), int(y)


def _bounds(table: PeopleTable) -> tuple[np.ndarray, np.ndarray]:
    """Corners [3], [3] of the box that holds everyone, m: x right, y down to the floor, z away.

    The outermost of them are left out: a few bad frames must not shrink the whole view.
    """
    joints = table.joints[np.isfinite(table.joints).all(axis=(1, 2))]
    joints = joints[(joints[..., 2] > 0).all(axis=1)]
    if not len(joints):
        return np.array([-1.0, -1.0, 2.0]), np.array([1.0, 1.0, 4.0])
    low, high = (
        np.percentile(joints.min(axis=1), _LEFT_OUT, axis=0),
        np.percentile(joints.max(axis=1), 100 - _LEFT_OUT, axis=0),
    )
    high[1] += _SOLE_M
    low[1] -= 0.15  # the head joint lies at the head's base
    # Nobody fills the panel: at least 3 m of depth and 2 m of width are shown.
    for axis, least in ((0, 2.0), (2, 3.0)):
        missing = max(0.0, least - (high[axis] - low[axis]))
        low[axis] -= missing / 2
        high[axis] += missing / 2
    return low, high


def _intrinsics(width: int, height: int) -> Intrinsics:
    focal = height / 2 / np.tan(np.radians(_VERTICAL_FOV_DEG) / 2)
    return Intrinsics(focal, focal, (width - 1) / 2, (height - 1) / 2, width, height)


def _step(extent: float) -> float:
    """Distance of the grid's lines for a scene of this extent, m."""
    steps = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)
    return next((step for step in steps if extent / step < _MAX_LINES), extent / _MAX_LINES)


def _write(panel: np.ndarray, text: str, position: tuple[int, int], scale: float) -> None:
    cv2.putText(panel, text, position, _FONT, 0.75 * scale, _TEXT, 1, cv2.LINE_AA)
