"""How much a report tells of a person's depth: what a linear regression makes of it."""

from __future__ import annotations

import torch
from torch import Tensor

from d3pose_core.data.rendered import RenderedSet
from d3pose_core.data.stance import Stance
from tools.measure_landmarks.errors import LIMBS, Errors

LOST = 0.05  # mean image error of the limbs, person heights: beyond it BlazePose looks at something else
_RIDGE = 0.01  # of each feature's square


def looks_at_the_person(errors: Errors) -> Tensor:
    """[C, T] bool: sides and depth are the right way round, and nothing else is taken for a limb."""
    mistaken = errors.metric_flipped | errors.legs_flipped | errors.arms_flipped
    return errors.usable & ~mistaken & (errors.image_size[..., LIMBS].mean(-1) < LOST)


def normal_equations(features: Tensor, answers: Tensor) -> tuple[Tensor, Tensor]:
    """[F, F] and [F, A] of a regression of `answers` [N, A] on `features` [N, F]; those of parts add up."""
    features = features.double()
    return features.T @ features, features.T @ answers.double()


def ridge_of(product: Tensor, answers: Tensor) -> Tensor:
    """Weights [F, A] that solve `normal_equations`, of a ridge regression."""
    penalty = _RIDGE * product.diagonal() + 1e-9 * product.trace()
    return torch.linalg.solve(product + penalty.diag(), answers).float()


def depth_left(recorded: RenderedSet, errors: Errors) -> Tensor:
    """Errors [N, 12] m of the limbs' depth about the mid-hip, as told by a frame's whole report.

    Learnt from three clips of four, of the frames of the fourth in which BlazePose looks at the person. Where
    they are in the image is told in metres at their true distance. None are given where there are no clips.
    """
    stance = Stance.of(recorded.true_landmarks)
    middle = recorded.rays[..., 23:25, :].mean(-2, keepdim=True)
    report = torch.cat(
        [
            ((recorded.rays - middle) * stance.distance[..., None, None]).flatten(2),
            recorded.landmarks.flatten(2),
            recorded.depth_hint * stance.distance[..., None],
            torch.ones_like(stance.distance)[..., None],
        ],
        -1,
    )
    depth = stance.relative[..., LIMBS, 2]
    good = looks_at_the_person(errors)
    scored = (torch.arange(len(recorded)) % 4 == 0)[:, None] & good
    learnt = good & ~scored
    if not learnt.any():
        return depth[:0].flatten(0, 1)
    weights = ridge_of(*normal_equations(report[learnt], depth[learnt]))
    return report[scored] @ weights - depth[scored]
