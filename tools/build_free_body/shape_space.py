"""The shape space: principal components of T-posed adults."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tools.build_free_body.geometry import vertex_areas, volume

NUM_BETAS = 10


@dataclass(frozen=True)
class ShapeSpace:
    mean: np.ndarray  # [V, 3] m
    shapedirs: np.ndarray  # [V, 3, 10] m: displacement for one standard deviation of each component
    explained: float  # fraction of the variance in the 10 components
    stature_per_beta: np.ndarray  # [10] m
    volume_per_beta: np.ndarray  # [10] m^3


def fit_shape_space(vertices: np.ndarray, faces: np.ndarray) -> ShapeSpace:
    """PCA of `vertices` [N, V, 3], m, weighted by skin area so that dense hands and faces do not dominate.

    Signs are set so that a positive beta is taller, or, where stature hardly changes, bigger.
    """
    mean = vertices.mean(0)
    areas = vertex_areas(mean, faces)
    areas = np.maximum(areas, 0.02 * areas.mean())
    root_weight = np.sqrt(areas / areas.sum())
    deviations = (vertices - mean) * root_weight[:, None]
    _, singular, components = np.linalg.svd(
        deviations.reshape(len(vertices), -1), full_matrices=False
    )
    deviation = singular[:NUM_BETAS] / np.sqrt(len(vertices) - 1)
    components = (components[:NUM_BETAS] * deviation[:, None]).reshape(NUM_BETAS, -1, 3)
    shapedirs = (components / root_weight[:, None]).transpose(1, 2, 0)

    top, bottom = mean[:, 1].argmax(), mean[:, 1].argmin()
    stature = shapedirs[top, 1] - shapedirs[bottom, 1]
    per_beta = shapedirs.transpose(2, 0, 1)
    bulk = np.array([volume(mean + d / 2, faces) - volume(mean - d / 2, faces) for d in per_beta])
    sign = np.where(np.abs(stature) > 0.006, np.sign(stature), np.sign(bulk))
    variance = singular**2
    return ShapeSpace(
        mean=mean,
        shapedirs=shapedirs * sign,
        explained=float(variance[:NUM_BETAS].sum() / variance.sum()),
        stature_per_beta=stature * sign,
        volume_per_beta=bulk * sign,
    )
