"""What an image must be before anything looks at it."""

from __future__ import annotations

import numpy as np

from d3pose_core.errors import InputError


def check_image(image_bgr: np.ndarray) -> np.ndarray:
    """The image itself when it is uint8 [H, W, 3] and not empty; raises InputError otherwise."""
    if not isinstance(image_bgr, np.ndarray):
        raise InputError(
            f"the image must be a numpy array uint8 [H, W, 3] (BGR), not {type(image_bgr).__name__}"
        )
    shape = list(image_bgr.shape)
    if image_bgr.ndim != 3 or shape[2] != 3:
        hint = "; convert it with cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)" * (image_bgr.ndim == 2)
        raise InputError(f"the image must be uint8 [H, W, 3] (BGR), not {shape}{hint}")
    if image_bgr.size == 0:
        raise InputError(f"the image is empty: {shape}")
    if image_bgr.dtype != np.uint8:
        raise InputError(
            f"the image must be uint8 with values 0..255 (BGR), not {image_bgr.dtype} {shape}"
        )
    return image_bgr
