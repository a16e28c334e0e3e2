"""A network on BlazePose's real reports of rendered people: scored as BlazePose's own landmarks are."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from d3pose_core.body.model import BodyModel
from d3pose_core.data.rendered import RenderedSet
from d3pose_core.data.simulator import TrainingBatch
from d3pose_core.data.tilt import UNKNOWN
from d3pose_core.evaluation.held_out import Recovered, free_run, turned_upright
from d3pose_core.evaluation.metrics import (
    acceleration_error_mm,
    mean_position_error_mm,
    pa_mpjpe_mm,
    root_aligned,
)
from d3pose_core.model.d3pose import D3Pose
from d3pose_core.skeleton import JOINT_NAMES, LANDMARK_TO_JOINT

_LIMBS = [joint for _, joint in LANDMARK_TO_JOINT]
_HIPS = [_LIMBS.index(JOINT_NAMES.index(name)) for name in ("left_hip", "right_hip")]


@torch.inference_mode()
def limb_scores(
    model: D3Pose,
    recorded: RenderedSet,
    body: BodyModel,
    run: Callable[[D3Pose, TrainingBatch], Recovered] = free_run,
    tilt: str = UNKNOWN,
) -> dict[str, float]:
    """The measures of `data.rendered.landmark_scores`, frame for frame; free-running, or as `run` says.

    `tilt`: what is known of the camera's, one of `data.tilt.TILTS`.

    12 limb joints, mid-hip aligned: `mpjpe`, `pa_mpjpe` (mm), `accel` (mm/frame^2), `seen` (share).
    """
    sums: dict[str, list[Tensor]] = {"mpjpe": [], "pa_mpjpe": [], "accel": [], "seen": []}
    for number, batch in enumerate(recorded.batches(body)):
        joints = turned_upright(run(model, batch), batch, body, tilt, seed=number).joints(body)
        found, truth = (
            root_aligned(limbs, limbs[..., _HIPS, :].mean(-2))
            for limbs in (joints[..., _LIMBS, :], batch.truth.joints[..., _LIMBS, :])
        )
        seen = batch.observations.seen
        unbroken = seen[:, 2:] & seen[:, 1:-1] & seen[:, :-2]
        sums["mpjpe"].append(mean_position_error_mm(found, truth)[seen])
        sums["pa_mpjpe"].append(pa_mpjpe_mm(found, truth)[seen])
        sums["accel"].append(acceleration_error_mm(found, truth)[unbroken])
        sums["seen"].append(seen.float().flatten())
    return {name: float(torch.cat(values).mean()) for name, values in sums.items()}
