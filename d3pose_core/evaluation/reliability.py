"""Whether joint confidences mean what they say, and how to make them.

A confidence is the probability that a joint lies within `RADIUS_M` of where the network put it, pelvis
aligned. It is reliable when, of the joints said to be so with 70 %, 70 % are.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from d3pose_core.body.model import BodyModel
from d3pose_core.data.simulator import TrainingBatch
from d3pose_core.evaluation.held_out import Stepping, free_run
from d3pose_core.evaluation.reliability_bins import RADIUS_M, Reliability, sorted_into_bins
from d3pose_core.model.confidence import probability_within
from d3pose_core.model.d3pose import D3Pose

_CALIBRATION_RADII_M = (
    0.03,
    0.06,
    0.10,
    0.20,
)  # so that the whole distribution fits, not one point


@dataclass(frozen=True)
class JointErrors:
    """N joints of seen people, the pelvis left out (it is aligned)."""

    error_m: Tensor  # [N, 23]
    log_variance: Tensor  # [N, 23] as the network said it, log m^2 along each axis


@torch.inference_mode()
def joint_errors(model: Stepping, batches: list[TrainingBatch], body: BodyModel) -> JointErrors:
    """Free-running errors about the pelvis, with the variances that the network gave them."""
    errors, variances = [], []
    for batch in batches:
        recovered = free_run(model, batch)
        joints = recovered.joints(body)
        truth = batch.truth.joints - batch.truth.joints[:, :, :1]
        seen = batch.observations.seen
        errors.append((joints - truth).norm(dim=-1)[seen][:, 1:])
        variances.append(recovered.prediction.log_variance[seen][:, 1:])
    return JointErrors(torch.cat(errors), torch.cat(variances))


def reliability(errors: JointErrors, bins: int = 10) -> Reliability:
    """Joints sorted into equal bins of confidence; empty bins are left out."""
    said = probability_within(errors.log_variance, RADIUS_M).flatten()
    within = (errors.error_m < RADIUS_M).float().flatten()
    return sorted_into_bins(said, within, bins)


def calibrate(model: D3Pose, errors: JointErrors) -> None:
    """Stretch and shift the network's log-variances, in place, so that confidences become reliable.

    Platt scaling (Platt 1999) of the variance: two numbers that minimise the Brier score of "within r"
    over several radii r, folded into the variance head. `errors` must not come from training people.
    """
    stretch = torch.ones(1, requires_grad=True)
    offset = torch.zeros(1, requires_grad=True)
    middle = float(errors.log_variance.mean())
    within = [(errors.error_m < radius).float() for radius in _CALIBRATION_RADII_M]
    optimizer = torch.optim.LBFGS([stretch, offset], max_iter=50, line_search_fn="strong_wolfe")

    def brier() -> Tensor:
        optimizer.zero_grad()
        log_variance = middle + offset + stretch * (errors.log_variance - middle)
        terms = [
            (probability_within(log_variance, radius) - true).square().mean()
            for radius, true in zip(_CALIBRATION_RADII_M, within, strict=True)
        ]
        total = torch.stack(terms).sum()
        total.backward()
        return total

    optimizer.step(brier)
    head = model.decoder.variance_head
    with torch.no_grad():
        head.weight.mul_(stretch)
        head.bias.mul_(stretch).add_(middle + offset - stretch * middle)
