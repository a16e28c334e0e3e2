"""BlazePose's person detector: boxes and alignment points of large people in a square window.

An SSD with 2254 anchors on 224 px, after MediaPipe's `pose_detection_cpu` graph (Apache-2.0
weights). It sees people who fill more than about a third of its window; see `search.py` for the
smaller ones.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from d3pose_core.observe import roi as geometry
from d3pose_core.observe.blazepose import sigmoid
from d3pose_core.observe.observation import Detection, Roi
from d3pose_core.observe.tflite import TfliteNetwork

DETECTION_MODEL = "pose_detection.tflite"

_SIDE = 224  # px, the network's input
_STRIDES = (8, 16, 32, 32, 32)  # of the feature maps; two anchors per cell for each
_NUM_ANCHORS = 2254
_NMS_IOU = 0.3


def anchors(side: int = _SIDE, strides: tuple[int, ...] = _STRIDES) -> np.ndarray:
    """Anchor centres [A, 2] (x, y) in units of the window's side, in the network's order.

    Layers of the same stride are interleaved: all anchors of a cell follow one another.
    """
    blocks = []
    for stride in sorted(set(strides)):
        cells = side // stride
        centre = (np.arange(cells) + 0.5) / cells
        x, y = np.meshgrid(centre, centre)
        repeats = 2 * strides.count(stride)
        blocks.append(np.repeat(np.stack([x.ravel(), y.ravel()], axis=1), repeats, axis=0))
    return np.concatenate(blocks).astype(np.float32)


class BlazePoseDetector:
    """PersonDetector by BlazePose's own network; detections carry a ROI.

    `min_score`: 0..1, below it a detection is dropped.
    """

    def __init__(
        self,
        model: str | Path = DETECTION_MODEL,
        num_threads: int = 2,
        min_score: float = 0.5,
    ) -> None:
        self._network = TfliteNetwork(
            model,
            input_shape=(1, _SIDE, _SIDE, 3),
            output_shapes={"boxes": (1, _NUM_ANCHORS, 12), "scores": (1, _NUM_ANCHORS, 1)},
            num_threads=num_threads,
        )
        self._anchors = anchors()
        self.min_score = min_score

    def detect(self, image_bgr: np.ndarray) -> list[Detection]:
        """`image_bgr`: uint8 [H, W, 3], letterboxed to a square. Boxes in px of this image."""
        tensor = self._network.input_buffer
        scale, left, top = letterbox(image_bgr, tensor[0])
        outputs = self._network(tensor)
        logits = outputs["scores"][0, :, 0]
        found = decode(outputs["boxes"][0], logits, self._anchors, self.min_score)
        shift = np.array([left, top], np.float32)
        people = []
        for points, score in found:
            roi = geometry.roi_from_alignment(*((points[2:4] * _SIDE - shift) / scale))
            # The network's own box is a square of fixed size about the head: only good to tell
            # candidates apart. The person is what the ROI was widened from.
            person = Roi(roi.center, roi.size / geometry.ROI_SCALE, roi.angle)
            people.append(Detection(box=geometry.roi_box(person), score=score, roi=roi))
        return people


def letterbox(image_bgr: np.ndarray, tensor: np.ndarray) -> tuple[float, int, int]:
    """Puts the image within a black square into `tensor`, the network's input: -1..1 [224, 224, 3] RGB.

    Returns the scale (input px per image px) and the left and top margins, input px.
    """
    height, width = image_bgr.shape[:2]
    scale = _SIDE / max(height, width)
    # OpenCV averages over whole numbers of pixels ten times as fast as over fractions.
    step = int(1 / scale) if min(height, width) * scale >= 1 else 1
    if step > 1:
        height, width = height // step * step, width // step * step
        size = width // step, height // step
        image_bgr = cv2.resize(image_bgr[:height, :width], size, interpolation=cv2.INTER_AREA)
    new_width, new_height = max(1, round(width * scale)), max(1, round(height * scale))
    resized = cv2.resize(image_bgr, (new_width, new_height), interpolation=cv2.INTER_LINEAR)
    left, top = (_SIDE - new_width) // 2, (_SIDE - new_height) // 2
    tensor.fill(-1.0)
    inner = tensor[top : top + new_height, left : left + new_width]
    rgb = cv2.cvtColor(resized, cv2.COLOR_BGR2RGB)
    np.multiply(rgb, np.float32(1 / 127.5), out=inner, dtype=np.float32)
    inner -= 1.0
    return scale, left, top


def decode(
    raw: np.ndarray, logits: np.ndarray, centres: np.ndarray, min_score: float
) -> list[tuple[np.ndarray, float]]:
    """Network outputs -> distinct people, best first: (points [6, 2], score 0..1).

    `raw` [A, 12]: box centre, box size, 4 key points, in network px relative to the anchor;
    `logits` [A]; `centres` [A, 2]. Points are in units of the window's side: the box's two
    corners, then the key points, of which the first two are the alignment points (hips' middle,
    top of the circle). Overlapping candidates are averaged, weighted by score (MediaPipe's
    weighted suppression).
    """
    scores = sigmoid(logits)
    keep = scores >= min_score
    scores = scores[keep]
    values = raw[keep].reshape(-1, 6, 2) / _SIDE
    centre, size, key_points = values[:, :1], values[:, 1:2], values[:, 2:]
    points = np.concatenate([centre - size / 2, centre + size / 2, key_points], axis=1)
    # Sizes are not relative to the anchor; everything else is.
    points += centres[keep][:, None]
    boxes = points[:, :2].reshape(-1, 4)
    order = np.argsort(-scores, kind="stable")
    people = []
    while len(order):
        best = order[0]
        same = geometry.box_iou(boxes[best], boxes[order]) > _NMS_IOU
        same[0] = True  # even a degenerate box is itself
        group = order[same]
        weight = scores[group, None, None]
        people.append(((points[group] * weight).sum(axis=0) / weight.sum(), float(scores[best])))
        order = order[~same]
    return people
