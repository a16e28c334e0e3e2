"""Shares of joints that are near enough."""

from __future__ import annotations

import torch
from torch import Tensor

# Of 3DPW's challenge: hips, knees, ankles, shoulders, elbows and wrists.
OFFICIAL_3DPW_PCK_JOINTS = (1, 2, 4, 5, 7, 8, 16, 17, 18, 19, 20, 21)


def pck(errors_mm: Tensor, threshold_mm: float) -> Tensor:
    """Share of errors [...] (mm) up to the threshold, 0..1."""
    return (errors_mm <= threshold_mm).double().mean()


def auc(errors_mm: Tensor, highest_mm: float = 199.0, steps: int = 200) -> Tensor:
    """Area under the curve of PCK over thresholds from 0 to `highest_mm`, 0..1, by the trapezoidal rule.

    The defaults are those of 3DPW's challenge: 0, 1, ..., 199 mm.
    """
    thresholds = torch.linspace(0, highest_mm, steps, dtype=torch.float64)
    ordered = errors_mm.flatten().double().sort().values
    curve = torch.searchsorted(ordered, thresholds, right=True).double() / max(len(ordered), 1)
    return torch.trapezoid(curve, thresholds) / highest_mm
