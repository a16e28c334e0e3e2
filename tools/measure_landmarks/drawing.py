"""Pictures of what was measured, for people to look at."""

from __future__ import annotations

import cv2
import numpy as np

from d3pose_core.data.sight import Sight
from d3pose_core.skeleton import LANDMARK_NAMES
from tools.measure_landmarks.scenes import Scene
from tools.measure_landmarks.watch import Watched

_BONES = [
    (LANDMARK_NAMES.index(a), LANDMARK_NAMES.index(b))
    for side in ("left", "right")
    for a, b in (
        (f"{side}_shoulder", f"{side}_elbow"),
        (f"{side}_elbow", f"{side}_wrist"),
        (f"{side}_shoulder", f"{side}_hip"),
        (f"{side}_hip", f"{side}_knee"),
        (f"{side}_knee", f"{side}_ankle"),
    )
]
_LEFT, _RIGHT = (0, 200, 255), (255, 120, 0)  # B, G, R of the reported sides
_TRUTH = {
    Sight.VISIBLE: (0, 255, 0),
    Sight.BEHIND_SELF: (0, 0, 255),
    Sight.BEHIND_OBJECT: (255, 0, 255),
    Sight.OUTSIDE: (128, 128, 128),
}


def contact_sheet(scene: Scene, watched: Watched, height: int = 480) -> np.ndarray:
    """The kept frames side by side. Dots: truth, by what hides it. Lines: reported (left yellow,
    right blue)."""
    sheet = []
    for t, image in watched.images.items():
        scale = height / image.shape[0]
        picture = cv2.resize(image, None, fx=scale, fy=scale)
        true = scene.intrinsics.project(scene.landmarks[t]) * scale
        for point, sight in zip(true, watched.sight[t], strict=True):
            if np.isfinite(point).all() and (np.abs(point) < 1e4).all():
                cv2.circle(picture, _cell(point), 2, _TRUTH[Sight(int(sight))], -1)
        if watched.seen[t]:
            points = watched.keypoints[t] * scale
            for a, b in _BONES:
                color = _LEFT if LANDMARK_NAMES[a].startswith("left") else _RIGHT
                cv2.line(picture, _cell(points[a]), _cell(points[b]), color, 1, cv2.LINE_AA)
            cv2.circle(picture, _cell(points[0]), 3, (255, 255, 255), 1)
        sheet.append(picture)
    return np.concatenate(sheet, axis=1)


def _cell(point: np.ndarray) -> tuple[int, int]:
    x, y = np.rint(point).astype(int).tolist()
    return x, y
