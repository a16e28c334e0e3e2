"""A person detector of the user's own: an ONNX file, run by onnxruntime (an optional dependency).

The file must have one image input, float32 [1, 3, H, W], RGB, 0..1 (or 0..255, by `scale`), in
which the image is letterboxed; H and W may be free. The first output is one of two layouts:

* "end2end": [N, 6] or [1, N, 6], rows x0, y0, x1, y1, score, class, px of the network's input: what
  exports with suppression built in have (YOLOv10, RT-DETR and others, "end-to-end" or "with NMS").
* "raw": [1, 4 + C, A], columns cx, cy, w, h, px of the network's input, then C class scores 0..1:
  what anchor-free YOLO exports without suppression have; suppression happens here.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from d3pose_core.errors import InputError
from d3pose_core.observe.observation import Detection
from d3pose_core.observe.roi import box_iou

LAYOUTS = ("auto", "end2end", "raw")

_DEFAULT_SIDE = 640  # px, where the file leaves the input's size free
_GREY = 114  # of the letterbox's margins, as YOLO networks are trained
_NMS_IOU = 0.6


class OnnxPersonDetector:
    """PersonDetector by an ONNX file.

    `layout`: "auto" tells the two apart by the output's shape. `person_class`: the class that
    counts (0 in COCO's order). `scale`: what pixel values are multiplied by. `input_size`:
    (height, width) for files that leave it free. Raises InputError with what is wrong with the
    file.
    """

    def __init__(
        self,
        path: str | Path,
        layout: str = "auto",
        person_class: int = 0,
        min_score: float = 0.4,
        scale: float = 1 / 255,
        input_size: tuple[int, int] = (_DEFAULT_SIDE, _DEFAULT_SIDE),
        num_threads: int = 2,
    ) -> None:
        if layout not in LAYOUTS:
            raise InputError(f"layout must be one of {LAYOUTS}, not {layout!r}")
        if not 0.0 <= min_score <= 1.0:
            raise InputError(f"min_score must be in 0..1, not {min_score}")
        self._session = _open(Path(path).expanduser(), num_threads)
        self._path, self._layout = str(path), layout
        self._person_class, self._min_score, self._scale = person_class, min_score, scale
        self._input = self._session.get_inputs()[0]
        shape = self._input.shape
        good = len(shape) == 4 and shape[1] == 3 and self._input.type == "tensor(float)"
        if not good or len(self._session.get_inputs()) != 1:
            inputs = [(i.name, i.type, i.shape) for i in self._session.get_inputs()]
            raise InputError(f"{path} must take one float32 image [1, 3, H, W]; it takes {inputs}")
        height, width = (
            fixed if isinstance(fixed, int) else free
            for fixed, free in zip(shape[2:], input_size, strict=True)
        )
        self._height, self._width = height, width

    def detect(self, image_bgr: np.ndarray) -> list[Detection]:
        """`image_bgr`: uint8 [H, W, 3]. Boxes in px of this image, best first."""
        tensor, ratio, shift = self._letterbox(image_bgr)
        output = self._session.run(None, {self._input.name: tensor})[0]
        boxes, scores = self._people(np.asarray(output, np.float32))
        boxes = (boxes - np.tile(shift, 2)) / ratio
        height, width = image_bgr.shape[:2]
        boxes = np.clip(boxes, 0, [width, height, width, height]).astype(np.float32)
        order = np.argsort(-scores, kind="stable")
        has_area = ((boxes[:, 2:] - boxes[:, :2]) > 1).all(axis=1)
        return [Detection(boxes[i], float(scores[i])) for i in order if has_area[i]]

    def _letterbox(self, image_bgr: np.ndarray) -> tuple[np.ndarray, float, np.ndarray]:
        """Network input [1, 3, H, W], input px per image px, and the margins (left, top)."""
        height, width = image_bgr.shape[:2]
        ratio = min(self._height / height, self._width / width)
        size = (max(1, round(width * ratio)), max(1, round(height * ratio)))
        left, top = (self._width - size[0]) // 2, (self._height - size[1]) // 2
        canvas = np.full((self._height, self._width, 3), _GREY, np.uint8)
        canvas[top : top + size[1], left : left + size[0]] = cv2.resize(image_bgr, size)
        tensor = canvas[:, :, ::-1].transpose(2, 0, 1)[None].astype(np.float32)
        tensor *= np.float32(self._scale)
        return np.ascontiguousarray(tensor), ratio, np.array([left, top], np.float32)

    def _people(self, output: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Boxes [N, 4] xyxy in input px and scores [N] of the people in the first output."""
        layout = self._layout if self._layout != "auto" else _guess(output.shape)
        if layout == "end2end" and output.ndim in (2, 3) and output.shape[-1] == 6:
            rows = output.reshape(-1, 6)
            keep = (rows[:, 4] >= self._min_score) & (rows[:, 5].round() == self._person_class)
            return rows[keep, :4], rows[keep, 4]
        if layout == "raw" and output.ndim == 3 and output.shape[1] > 4 + self._person_class:
            rows = output[0].T
            scores = rows[:, 4 + self._person_class]
            # Whatever is more likely something else is not a person.
            keep = (scores >= self._min_score) & (scores >= rows[:, 4:].max(axis=1))
            centre, size, scores = rows[keep, :2], rows[keep, 2:4], scores[keep]
            boxes = np.concatenate([centre - size / 2, centre + size / 2], axis=1)
            kept = _suppress(boxes, scores)
            return boxes[kept], scores[kept]
        raise InputError(
            f"{self._path}: the first output has shape {list(output.shape)}; expected [N, 6] or "
            "[1, N, 6] (end2end), or [1, 4 + classes, anchors] (raw)"
        )


def _guess(shape: tuple[int, ...]) -> str:
    if len(shape) in (2, 3) and shape[-1] == 6:
        return "end2end"
    return "raw"


def _suppress(boxes: np.ndarray, scores: np.ndarray) -> list[int]:
    """Non-maximum suppression: indices of the boxes that stay."""
    order, kept = np.argsort(-scores, kind="stable"), []
    while len(order):
        best, order = order[0], order[1:]
        kept.append(int(best))
        order = order[box_iou(boxes[best], boxes[order]) <= _NMS_IOU]
    return kept


def _open(path: Path, num_threads: int):
    try:
        import onnxruntime
    except ImportError as error:
        raise InputError(
            f"an ONNX person detector needs onnxruntime ({error}); run `pip install onnxruntime`"
        ) from error
    if not path.is_file():
        raise InputError(f"there is no ONNX file at {str(path)!r}")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = num_threads
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own exception classes are not public
        raise InputError(f"onnxruntime cannot load {str(path)!r}: {error}") from error
