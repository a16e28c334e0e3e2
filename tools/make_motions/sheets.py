"""Contact sheets: a clip's frames side by side, seen from the front and from the side."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch

from d3pose_core.body import load_body
from d3pose_core.camera import Intrinsics
from d3pose_core.render import Mesh, render
from tools.make_motions.clip import Clip
from tools.make_motions.rotations import about

_SIZE = (200, 260)  # px, width and height of one picture
_DISTANCE_M, _FOCAL = 4.2, 420.0


def draw_sheet(clip: Clip, path: Path, columns: int = 10) -> None:
    """Writes a picture of `columns` moments, from the front above and from the left below."""
    body = load_body("free-low")
    chosen = np.linspace(0, len(clip.pose) - 1, columns).round().astype(int)
    pose = torch.from_numpy(clip.pose[chosen]).float()
    betas = torch.zeros(columns, 10)
    rest = body.joints_rest(betas)[:, 0]
    transl = torch.from_numpy(clip.root[chosen]).float() - rest
    vertices = body(pose[:, 0], pose[:, 1:], betas, transl).vertices.numpy()
    rows = [
        np.concatenate([_picture(v, body.faces, turn) for v in vertices], 1)
        for turn in (np.pi, np.pi / 2)
    ]
    cv2.imwrite(str(path), np.concatenate(rows, 0))


def _picture(vertices: np.ndarray, faces: np.ndarray, turn: float) -> np.ndarray:
    width, height = _SIZE
    intrinsics = Intrinsics(_FOCAL, _FOCAL, width / 2, height / 2, width, height)
    middle = vertices.mean(0) * [1, 0, 1]
    pitch = np.radians(8)
    # World y up to an optical frame (x right, y down) that stands on the +z side and looks back.
    to_camera = about(0, pitch) @ np.diag([1.0, -1.0, -1.0]) @ about(1, turn + np.pi)

    def see(points: np.ndarray) -> np.ndarray:
        return (points - middle - [0, 0.85, 0]) @ to_camera.T + [0, 0, _DISTANCE_M]

    image = np.full((height, width, 3), (60, 56, 52), np.uint8)
    for k in np.linspace(-1, 1, 9):
        for line in ([[k, 0, -1], [k, 0, 1]], [[-1, 0, k], [1, 0, k]]):
            ends = intrinsics.project(see(np.array(line) + middle)).round().astype(int)
            cv2.line(image, tuple(map(int, ends[0])), tuple(map(int, ends[1])), (95, 90, 85), 1)
    layer = render([Mesh(see(vertices).astype(np.float32), faces, (190, 200, 215))], intrinsics)
    return image if layer is None else layer.over(image)
