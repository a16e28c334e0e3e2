"""BlazePose's landmark network: 33 landmarks of the person in a ROI.

Bazarevsky et al., "BlazePose: On-device Real-time Body Pose Tracking" (2020); decoding after
MediaPipe's
`tensors_to_pose_landmarks_and_segmentation` and `refine_landmarks_from_heatmap` (Apache-2.0
weights).
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from d3pose_core.landmark_models import FULL, landmark_file, looks_both_ways
from d3pose_core.observe import roi as geometry
from d3pose_core.observe.both_ways import joined, unmirrored
from d3pose_core.observe.observation import Roi
from d3pose_core.observe.tflite import TfliteNetwork
from d3pose_core.skeleton import NUM_LANDMARKS, RIVALS

_SIDE = 256  # px, the network's input
_HEATMAP = 64  # cells a side
_POINTS = 39  # 33 landmarks, 2 alignment points, 4 that are not used
_REFINE_WINDOW = 7  # heatmap cells a side
_REFINE_MIN_PEAK = 0.5
# Of rivals, in heatmap cells: how far they see to be the highest, and how far from the landmark they are.
_RIVAL_WINDOW = 5
_RIVAL_APART = 3.0
_RIVAL_MIN_PEAK = 0.05
# The network's image depth is its metric depth (correlation 1.00), at 3.6 to 4.0 times the scale that its
# image x and y have: measured on the demo clip, and held by test_depth_is_in_image_scale.
_DEPTH_SCALE = 0.26


@dataclass(frozen=True)
class Landmarks:
    """One person as the network sees it; shapes, units and frames as in PersonObservation."""

    keypoints: np.ndarray  # [33, 2] px
    depth_hint: np.ndarray  # [33] px
    landmarks: np.ndarray  # [33, 3] m
    visibility: np.ndarray  # [33] 0..1
    presence: np.ndarray  # [33] 0..1
    certainty: np.ndarray  # [33] 0..1
    rivals: np.ndarray  # [33, RIVALS, 2] px
    rival_certainty: np.ndarray  # [33, RIVALS] 0..1
    score: float  # 0..1
    next_roi: Roi  # where to look for the same person in the next frame


class BlazePoseLandmarker:
    """Runs the landmark network on ROIs.

    `landmarks`: one of `landmark_models.LANDMARKS`, or the .tflite file of another BlazePose network.
    `num_threads`: that work on one look together, or on several looks, one each.

    Attributes:
        ways: False for a look at a person, True for one at their mirror image: one of them, or both.
    """

    def __init__(self, landmarks: str | Path = FULL, num_threads: int = 2) -> None:
        self.ways = (False, True) if looks_both_ways(landmarks) else (False,)
        self._num_threads = num_threads
        self._network = TfliteNetwork(
            landmark_file(landmarks),
            input_shape=(1, _SIDE, _SIDE, 3),
            output_shapes={
                "points": (1, 5 * _POINTS),
                "score": (1, 1),
                "heatmap": (1, _HEATMAP, _HEATMAP, _POINTS),
                "world": (1, 3 * _POINTS),
            },
            num_threads=num_threads,
        )
        # With one thread each; made when two looks are asked for.
        self._one_each: list[TfliteNetwork] = []
        self._helpers: ThreadPoolExecutor | None = None

    @property
    def content(self) -> bytes:
        """The `.tflite` file that runs: without outputs that nobody needs."""
        return self._network.content

    def __call__(self, image_bgr: np.ndarray, roi: Roi) -> Landmarks:
        """`image_bgr`: uint8 [H, W, 3]; the person fills the ROI, head up in it."""
        return _joined([_look(self._network, image_bgr, roi, way) for way in self.ways], roi)

    def several(self, image_bgr: np.ndarray, rois: Sequence[Roi]) -> list[Landmarks]:
        """The same for each ROI, to the last bit, but with the looks spread over the threads.

        Threads that share one network wait for each other at each of its hundred layers; with a
        look each they meet once.
        """
        threads = self._num_threads
        looks = [(roi, way) for roi in rois for way in self.ways]
        # One that is left over after full rounds gets all threads.
        together = len(looks) - 1 if len(looks) % threads == 1 else len(looks)
        if threads == 1 or together < 2:
            return [self(image_bgr, roi) for roi in rois]
        if self._helpers is None:
            self._one_each = [self._network.another(num_threads=1) for _ in range(threads)]
            self._helpers = ThreadPoolExecutor(threads - 1, thread_name_prefix="landmarks")

        def share(number: int) -> list[Landmarks]:
            return [
                _look(self._one_each[number], image_bgr, *look)
                for look in looks[number:together:threads]
            ]

        others = [self._helpers.submit(share, number) for number in range(1, threads)]
        shares = [share(0), *(other.result() for other in others)]
        found = [shares[i % threads][i // threads] for i in range(together)]
        found += [_look(self._network, image_bgr, *look) for look in looks[together:]]
        each = len(self.ways)
        return [_joined(found[each * i : each * (i + 1)], roi) for i, roi in enumerate(rois)]


def _look(network: TfliteNetwork, image_bgr: np.ndarray, roi: Roi, mirrored: bool) -> Landmarks:
    crop = cv2.cvtColor(geometry.cut(image_bgr, roi, _SIDE), cv2.COLOR_BGR2RGB)
    shown = crop[:, ::-1] if mirrored else crop
    tensor = network.input_buffer
    np.multiply(shown, np.float32(1 / 255), out=tensor[0], dtype=np.float32)
    found = decode(network(tensor), roi)
    return unmirrored(found, roi) if mirrored else found


def _joined(readings: list[Landmarks], roi: Roi) -> Landmarks:
    """Of one ROI, one for each of the landmarker's ways."""
    return readings[0] if len(readings) == 1 else joined(readings[0], readings[1], roi)


def decode(outputs: dict[str, np.ndarray], roi: Roi) -> Landmarks:
    """Network outputs -> landmarks in the image. `outputs` as named by BlazePoseLandmarker."""
    points = outputs["points"].reshape(_POINTS, 5)
    crop_xy = refine(points[:, :2] / _SIDE, outputs["heatmap"][0])
    image_xy = geometry.crop_to_image(crop_xy, roi).astype(np.float32)
    world = outputs["world"].reshape(_POINTS, 3)[:NUM_LANDMARKS].astype(np.float32)
    # The network sees the person upright; the image does not.
    world = np.concatenate([world[:, :2] @ geometry.rotation(roi).T, world[:, 2:]], axis=1)
    body = slice(0, NUM_LANDMARKS)
    rival_xy, rival_certainty = rivals(crop_xy[body], outputs["heatmap"][0])
    return Landmarks(
        keypoints=image_xy[body],
        depth_hint=(points[body, 2] * (_DEPTH_SCALE * roi.size / _SIDE)).astype(np.float32),
        landmarks=world.astype(np.float32),
        visibility=sigmoid(points[body, 3]),
        presence=sigmoid(points[body, 4]),
        certainty=certainties(crop_xy[body], outputs["heatmap"][0]),
        rivals=geometry.crop_to_image(rival_xy, roi).astype(np.float32),
        rival_certainty=rival_certainty,
        score=float(np.clip(outputs["score"].item(), 0.0, 1.0)),
        next_roi=geometry.roi_from_alignment(image_xy[33], image_xy[34]),
    )


def refine(points: np.ndarray, heatmap: np.ndarray) -> np.ndarray:
    """Move each point to the centre of mass of its heatmap close by, where that has a clear peak.

    `points` [P, 2] in units of the crop's side (x, y); `heatmap` [H, W, P] logits. Returns [P, 2].
    """
    height, width, count = heatmap.shape
    reach = (_REFINE_WINDOW - 1) // 2
    cell = np.floor(points * [width, height]).astype(int)  # [P, 2]
    offset = np.arange(-reach, reach + 1)
    columns = cell[:, 0, None] + offset  # [P, K]
    rows = cell[:, 1, None] + offset
    inside_x = (columns >= 0) & (columns < width)
    inside_y = (rows >= 0) & (rows < height)
    window = heatmap[
        np.clip(rows, 0, height - 1)[:, :, None],
        np.clip(columns, 0, width - 1)[:, None, :],
        np.arange(count)[:, None, None],
    ]  # [P, K, K]
    weight = sigmoid(window) * (inside_y[:, :, None] & inside_x[:, None, :])
    total = weight.sum(axis=(1, 2))
    mean_x = (weight.sum(axis=1) * columns).sum(axis=1) / np.maximum(total, 1e-9) / width
    mean_y = (weight.sum(axis=2) * rows).sum(axis=1) / np.maximum(total, 1e-9) / height
    in_map = ((cell >= 0) & (cell < [width, height])).all(axis=1)
    clear = in_map & (weight.max(axis=(1, 2)) >= _REFINE_MIN_PEAK)
    return np.where(clear[:, None], np.stack([mean_x, mean_y], axis=1), points)


def certainties(points: np.ndarray, heatmap: np.ndarray) -> np.ndarray:
    """What its heatmap says of each landmark at the place where it was put: [33], 0 outside of the map.

    On rendered people it tells the size of a landmark's error by far better than `visibility` does, which
    says whether it can be seen (docs/observation_errors.md).

    Args:
        points: [33, 2] in units of the crop's side (x, y).
        heatmap: [H, W, P] logits, the landmarks' first.
    """
    height, width = heatmap.shape[:2]
    column, row = np.round(points * [width, height]).astype(int).T
    inside = ((points >= 0) & (points < 1)).all(axis=1)
    there = heatmap[row.clip(0, height - 1), column.clip(0, width - 1), np.arange(len(points))]
    return np.where(inside, sigmoid(there), np.float32(0))


def rivals(points: np.ndarray, heatmap: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where else each heatmap has a peak: places of which the network chose another, perhaps wrongly.

    Where a landmark is far off, one of them often is where it ought to be (docs/observation_errors.md).

    Args:
        points: [33, 2] the landmarks, in units of the crop's side (x, y).
        heatmap: [H, W, P] logits, the landmarks' first.

    Returns:
        places [33, RIVALS, 2], the highest first, and what the heatmap says there, [33, RIVALS]; a landmark
        that has fewer has its own place and 0 in the others' stead.
    """
    maps = np.ascontiguousarray(heatmap[:, :, : len(points)])
    size = np.array([maps.shape[1], maps.shape[0]])
    highest = cv2.dilate(maps, np.ones((_RIVAL_WINDOW, _RIVAL_WINDOW), np.uint8))
    least = np.log(_RIVAL_MIN_PEAK / (1 - _RIVAL_MIN_PEAK))
    # Of the flat mask: three times as fast as of the cube.
    peaks = np.flatnonzero((maps == highest) & (maps >= least))
    row, column, landmark = np.unravel_index(peaks, maps.shape)
    place = np.stack([column, row], axis=1) / size
    apart = np.linalg.norm((place - points[landmark]) * size, axis=1)
    logit = maps[row, column, landmark]
    places = np.repeat(points[:, None], RIVALS, axis=1)
    certainty = np.zeros((len(points), RIVALS), np.float32)
    count = np.zeros(len(points), int)
    for peak in np.argsort(-logit, kind="stable"):
        of = landmark[peak]
        if apart[peak] >= _RIVAL_APART and count[of] < RIVALS:
            places[of, count[of]] = place[peak]
            certainty[of, count[of]] = sigmoid(logit[peak])
            count[of] += 1
    return places, certainty


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Logistic function, float32, without overflow."""
    return (0.5 * (1.0 + np.tanh(0.5 * np.asarray(logits, np.float32)))).astype(np.float32)
