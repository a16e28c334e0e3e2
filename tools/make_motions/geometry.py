"""Distances of limbs."""

from __future__ import annotations

import numpy as np


def segment_distance(p: np.ndarray, q: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Distance [...] of the segments p-q and a-b [..., 3]."""
    u, v, w = q - p, b - a, p - a
    uu, uv, vv = (u * u).sum(-1), (u * v).sum(-1), (v * v).sum(-1)
    uw, vw = (u * w).sum(-1), (v * w).sum(-1)
    s = np.clip((uv * vw - vv * uw) / np.maximum(uu * vv - uv**2, 1e-9), 0, 1)
    t = np.clip((uv * s + vw) / np.maximum(vv, 1e-9), 0, 1)
    s = np.clip((uv * t - uw) / np.maximum(uu, 1e-9), 0, 1)
    return np.linalg.norm(w + s[..., None] * u - t[..., None] * v, axis=-1)
