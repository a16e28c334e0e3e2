"""Images of datasets."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from d3pose_core.errors import InputError


def read_image(path: Path) -> np.ndarray:
    """An image file as uint8 BGR [H, W, 3]. Raises InputError: missing, or damaged."""
    if not path.is_file():
        raise InputError(f"no image at {path}; unpack the dataset's images there")
    image = cv2.imread(str(path), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if image is None:
        raise InputError(f"{path} is no image that can be read; unpack it again")
    return image
