"""`overlay.mp4`: each picture of a clip with the recovered meshes on it, and beside it the side view."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch

from d3pose_core.body import BodyModel
from d3pose_core.camera import Intrinsics
from d3pose_core.recording import PeopleTable, atomic_path
from d3pose_core.render import Mesh, render
from d3pose_core.side_view import SideView
from d3pose_core.video import ClipWriter, FrameSource, View

# Larger pictures are shrunk: the overlay is for looking at, and rendering takes time by the pixel.
MAX_HEIGHT = 720
OPACITY = 0.85
SIDE_VIEW_ASPECT = 0.9  # width over height

# B, G, R; told apart by people with red-green blindness too (after Okabe and Ito, 2008).
_COLORS = (
    (235, 170, 60),
    (40, 150, 240),
    (130, 180, 40),
    (180, 120, 215),
    (70, 220, 240),
    (190, 100, 30),
    (50, 90, 220),
    (200, 200, 200),
)


def track_color(track_id: int) -> tuple[int, int, int]:
    """The colour of a track id (B, G, R), the same in every picture."""
    return _COLORS[track_id % len(_COLORS)]


@torch.no_grad()
def meshes_of(table: PeopleTable, rows: np.ndarray, body: BodyModel) -> list[Mesh]:
    """The meshes of some of the table's rows, in the clip's optical frame, coloured by track id."""
    if not len(rows):
        return []
    device = body.joint_template.device
    output = body(
        *(
            torch.from_numpy(np.ascontiguousarray(column[rows])).to(device)
            for column in (table.global_orient, table.body_pose, table.betas, table.transl)
        )
    )
    colors = [track_color(track_id) for track_id in table.track_id[rows].tolist()]
    return [
        Mesh(vertices, body.faces, color)
        for vertices, color in zip(output.vertices.cpu().numpy(), colors, strict=True)
    ]


def draw_people(
    image: np.ndarray,
    meshes: Sequence[Mesh],
    track_ids: Sequence[int],
    intrinsics: Intrinsics,
    opacity: float = OPACITY,
) -> np.ndarray:
    """Meshes and their ids over a copy of `image` [H, W, 3] uint8, whose camera is `intrinsics`."""
    picture = image.copy()
    layer = render(meshes, intrinsics)
    if layer is not None:
        layer.over(picture, opacity)
    for mesh, track_id in zip(meshes, track_ids, strict=True):
        _draw_label(picture, mesh, track_id, intrinsics)
    return picture


def _draw_label(picture: np.ndarray, mesh: Mesh, track_id: int, intrinsics: Intrinsics) -> None:
    """The id above the highest visible point of the mesh, kept inside the picture."""
    height, width = picture.shape[:2]
    pixels = intrinsics.project(mesh.vertices)
    inside = ((pixels >= 0) & (pixels < (width, height))).all(axis=1)  # False for nan
    if not inside.any():
        return
    x, y = pixels[inside][pixels[inside][:, 1].argmin()]
    scale, thickness = max(0.5, height / 1000), max(1, round(height / 400))
    font = cv2.FONT_HERSHEY_SIMPLEX
    (text_width, text_height), _ = cv2.getTextSize(f"{track_id}", font, scale, thickness)
    corner = (
        int(np.clip(x - text_width / 2, 0, max(0, width - text_width))),
        int(np.clip(y - text_height / 2, text_height + 2, height - 2)),
    )
    for color, weight in (((0, 0, 0), thickness + 2), (mesh.color, thickness)):
        cv2.putText(picture, f"{track_id}", corner, font, scale, color, weight, cv2.LINE_AA)


def write_overlay(
    path: str | Path,
    clip: FrameSource,
    table: PeopleTable,
    body: BodyModel,
    processed: Collection[int] | None = None,
    progress: Callable[[], object] = lambda: None,
) -> int:
    """Render `overlay.mp4` from a clip and the people recorded in it: [picture with meshes | side view].

    Args:
        clip: the frames that `table.frame` counts, seen by `table.intrinsics`.
        processed: indices of the frames that were looked at (None: all). Any other frame repeats
            the picture before it, as a viewer of live results would see it.
        progress: called after each frame.

    Returns:
        Number of frames written.
    """
    display = _display_view(table.intrinsics)
    intrinsics = display.intrinsics(table.intrinsics)
    side = SideView(table, _even(SIDE_VIEW_ASPECT * intrinsics.height), intrinsics.height)
    rows_by_frame = table.rows_by_frame()
    nobody = np.empty(0, dtype=np.int64)
    size = (intrinsics.width + side.intrinsics.width, intrinsics.height)
    written, picture = 0, None
    with atomic_path(path) as partial, ClipWriter(partial, clip.fps, size) as writer:
        for frame in clip:
            if picture is None or processed is None or frame.index in processed:
                rows = rows_by_frame.get(frame.index, nobody)
                meshes = meshes_of(table, rows, body)
                image = display.apply(frame.image)
                ids = table.track_id[rows].tolist()
                people = draw_people(image, meshes, ids, intrinsics)
                picture = np.hstack([people, side.draw(meshes)])
            writer.write(picture)
            written += 1
            progress()
    return written


def _display_view(intrinsics: Intrinsics) -> View:
    """How a frame is shrunk for the overlay: at most MAX_HEIGHT high, and of even width and height."""
    scale = min(1.0, MAX_HEIGHT / intrinsics.height)
    size = _even(intrinsics.width * scale), _even(intrinsics.height * scale)
    return View(size=size)


def _even(length: float) -> int:
    """The nearest even whole number, at least 2."""
    return max(2, 2 * round(length / 2))
