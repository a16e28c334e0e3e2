"""Rotated squares of the image (ROIs): how they are cut out, and how results are carried back.

Pixel centres lie on whole numbers, in the image as in the crop, so that a crop of a mirrored image
is the mirrored crop (MediaPipe's own warp is half a crop pixel off).
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from d3pose_core.observe.observation import Roi

# How much larger than the circle around a person the square is that the landmark network sees
# (MediaPipe, pose_detection_to_roi and pose_landmarks_to_roi).
ROI_SCALE = 1.25
MIN_ROI = 16.0  # px


def roi_from_alignment(center: np.ndarray, top: np.ndarray) -> Roi:
    """ROI of a person by BlazePose's two alignment points.

    `center` [2] px: middle of the hips; `top` [2] px: where the circle around the whole person
    meets the person's upward axis.
    """
    up = np.asarray(top, np.float64) - center
    # Clockwise angle from "up in the image" (0, -1) to the person's up.
    angle = math.atan2(up[0], -up[1])
    size = 2.0 * ROI_SCALE * math.hypot(up[0], up[1])
    return Roi(center=np.asarray(center, np.float32), size=float(size), angle=angle)


def roi_from_box(box: np.ndarray) -> Roi:
    """ROI of an upright person of whom only the box [4] xyxy px is known."""
    x0, y0, x1, y1 = (float(value) for value in box)
    center = np.array([(x0 + x1) / 2, (y0 + y1) / 2], np.float32)
    return Roi(center=center, size=ROI_SCALE * max(x1 - x0, y1 - y0), angle=0.0)


def roi_box(roi: Roi) -> np.ndarray:
    """Upright square [4] xyxy px of a ROI's size about its centre, not turned."""
    half = roi.size / 2
    return np.concatenate([roi.center - half, roi.center + half])


def is_sound(roi: Roi) -> bool:
    """Whether a ROI can be looked at: finite, and not smaller than anything could be seen in."""
    return bool(np.isfinite([*roi.center, roi.size, roi.angle]).all()) and roi.size >= MIN_ROI


def rotation(roi: Roi) -> np.ndarray:
    """[2, 2]: turns crop directions into image directions."""
    cos, sin = math.cos(roi.angle), math.sin(roi.angle)
    return np.array([[cos, -sin], [sin, cos]])


def crop_to_image(points: np.ndarray, roi: Roi) -> np.ndarray:
    """Points [..., 2] in units of the crop's side (0..1) -> image px [..., 2]."""
    return (points - 0.5) * roi.size @ rotation(roi).T + roi.center


def image_to_crop(points: np.ndarray, roi: Roi) -> np.ndarray:
    """Image px [..., 2] -> units of the crop's side (0..1), inverse of `crop_to_image`."""
    return (points - roi.center) @ rotation(roi) / roi.size + 0.5


def cut(image: np.ndarray, roi: Roi, side: int) -> np.ndarray:
    """The ROI as an upright image [side, side, 3]; black where it lies outside of the image."""
    matrix = np.empty((2, 3))
    matrix[:, :2] = rotation(roi) * (roi.size / side)
    matrix[:, 2] = roi.center - matrix[:, :2] @ np.full(2, (side - 1) / 2)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(image, matrix, (side, side), flags=flags, borderMode=cv2.BORDER_CONSTANT)


def box_iou(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Intersection over union of `box` [4] with each of `boxes` [N, 4] (xyxy) -> [N]."""
    overlap = _overlap(box, boxes)
    return overlap / np.maximum(_area(box) + _area(boxes) - overlap, 1e-9)


def box_overlap(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Intersection over the *smaller* of the two areas, for each of `boxes` [N, 4] -> [N]."""
    return _overlap(box, boxes) / np.maximum(np.minimum(_area(box), _area(boxes)), 1e-9)


def _overlap(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    low = np.maximum(box[..., :2], boxes[..., :2])
    high = np.minimum(box[..., 2:], boxes[..., 2:])
    return np.prod(np.clip(high - low, 0, None), axis=-1)


def _area(boxes: np.ndarray) -> np.ndarray:
    return np.prod(np.clip(boxes[..., 2:] - boxes[..., :2], 0, None), axis=-1)
