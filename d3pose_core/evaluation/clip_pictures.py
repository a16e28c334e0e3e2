"""Moments of a dataset as pictures: the images around them, with the recovered and the true skeleton."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import cv2
import numpy as np

from d3pose_core.camera import Intrinsics
from d3pose_core.data.datasets.sequence import DatasetSequence
from d3pose_core.data.images import read_image
from d3pose_core.errors import InputError
from d3pose_core.evaluation.scores import Evaluation

HEIGHT = 280  # px of a picture
_STEP_S = 1 / 3  # between the pictures of a strip
_ROOM = 0.25  # around the people, of their extent
_QUALITY = 82  # of the JPEG
_OURS, _REFERENCE = (235, 160, 45), (225, 225, 225)  # B, G, R


@dataclass(frozen=True)
class ClipPictures:
    """Strips of three pictures: a third of a second before a matched pair, the pair, and after it.

    Both skeletons are projected into the image, without alignment. Images that are not on this disk are
    left out.
    """

    evaluation: Evaluation
    sequences: Sequence[DatasetSequence]
    sequence: np.ndarray  # [M] of each pair: index into `sequences`
    frame: np.ndarray  # [M] and the index of the frame in it
    bones: Sequence[tuple[int, int]]  # between the evaluation's joints

    def __call__(self, pair: int) -> str:
        """An HTML image, or nothing."""
        sequence = self.sequences[int(self.sequence[pair])]
        if not sequence.image_paths or sequence.intrinsics is None:
            return ""
        step = max(1, round(_STEP_S * sequence.fps)) if len(sequence) > 1 else 1
        frames = [int(self.frame[pair]) + offset for offset in (-step, 0, step)]
        frames = [f for f in frames if 0 <= f < len(sequence)]
        poses = {f: self._poses(pair, f, sequence.intrinsics) for f in frames}
        window = _window([p for each in poses.values() for p, _ in each], sequence.intrinsics)
        pictures = [
            picture
            for f in frames
            if (picture := _picture(sequence, f, poses[f], window, self.bones)) is not None
        ]
        if not pictures:
            return ""
        return html_image(np.hstack(pictures), sequence.name)

    def _poses(
        self, pair: int, frame: int, camera: Intrinsics
    ) -> list[tuple[np.ndarray, tuple[int, int, int]]]:
        """Joints [J, 2] px and colours of the pair's person at a frame, the reference first."""
        e, m = self.evaluation, self.evaluation.matching
        same = (
            (self.sequence == self.sequence[pair])
            & (self.frame == frame)
            & (e.reference_id == e.reference_id[pair])
        )
        out = []
        for index in np.flatnonzero(same)[:1]:
            theirs = m.reference.at(e.reference.joints)[m.reference_row[[index]]][0]
            ours = e.recovered.joints[m.recovered_row[index]]
            both = (
                (theirs, e.reference.joint_names, _REFERENCE),
                (ours, e.recovered.joint_names, _OURS),
            )
            for joints, have, color in both:
                chosen = joints[[list(have).index(name) for name in e.joint_names]]
                out.append((camera.project(chosen), color))
        return out


def html_image(image: np.ndarray, name: str) -> str:
    """An image [H, W, 3] B, G, R inside a page."""
    _, jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    text = base64.b64encode(jpeg.tobytes()).decode()
    return f'<img alt="{escape(name)}" src="data:image/jpeg;base64,{text}">'


def _window(points: list[np.ndarray], camera: Intrinsics) -> tuple[int, int, int, int]:
    """x0, y0, x1, y1 px around all points, with some room, within the image."""
    every = np.concatenate(points)
    every = every[np.isfinite(every).all(1)]  # a joint behind the camera has no pixel
    if not len(every):
        return 0, 0, camera.width, camera.height
    low, high = every.min(0), every.max(0)
    room = _ROOM * max(float((high - low).max()), 20.0)
    low, high = low - room, high + room
    # Nothing to see outside; a person far outside would leave an empty window.
    x0, x1 = np.clip([low[0], high[0]], 0, camera.width)
    y0, y1 = np.clip([low[1], high[1]], 0, camera.height)
    if x1 - x0 < 8 or y1 - y0 < 8:
        return 0, 0, camera.width, camera.height
    return int(x0), int(y0), int(x1), int(y1)


def _picture(
    sequence: DatasetSequence,
    frame: int,
    poses: list[tuple[np.ndarray, tuple[int, int, int]]],
    window: tuple[int, int, int, int],
    bones: Sequence[tuple[int, int]],
) -> np.ndarray | None:
    """One frame's cut-out, [HEIGHT, w, 3] B, G, R; None where there is no image."""
    try:
        image = read_image(sequence.image_paths[frame])
    except InputError:
        return None
    x0, y0, x1, y1 = window
    cut = image[y0:y1, x0:x1]
    if not cut.size:
        return None
    scale = HEIGHT / (y1 - y0)
    size = max(1, round(scale * (x1 - x0))), HEIGHT
    cut = cv2.resize(cut, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    for joints, color in poses:
        shown = np.isfinite(joints).all(1)
        places = np.where(shown[:, None], joints, 0.0)
        pixels = np.round((places - [x0, y0]) * scale * 16).astype(int).clip(-(2**20), 2**20)
        for a, b in bones:
            if not (shown[a] and shown[b]):
                continue
            line = tuple(pixels[a].tolist()), tuple(pixels[b].tolist())
            cv2.line(cut, *line, (30, 30, 30), 4, cv2.LINE_AA, 4)
            cv2.line(cut, *line, color, 2, cv2.LINE_AA, 4)
    return cut
