"""The image variant in the three modes of the original research log, as MSE and in millimetres.

*Free*: step by step on its own outputs, as on a robot. *Truth in loop*: step by step, the decoder reading
the true pose of each frame before. *Complete truth*: all frames at once with the true poses. The last two
are one function here (a mask instead of the order of events), and should agree to rounding.
"""

from __future__ import annotations

from dataclasses import fields

import torch
from torch import Tensor

from d3pose_core.body.model import BodyModel
from d3pose_core.data.simulator import Truth
from d3pose_core.evaluation.metrics import mean_position_error_mm, pa_mpjpe_mm
from d3pose_core.model.decoder import PosePrediction
from d3pose_core.model.image.features import FrameFeatures
from d3pose_core.model.image.network import ImageD3Pose, smpl_vector
from d3pose_core.model.view import into_view, out_of_view
from d3pose_core.training.losses import true_past

MODES = ("complete_truth", "truth_in_loop", "free")


@torch.inference_mode()
def predict(model: ImageD3Pose, batch: FrameFeatures, truth: Truth, mode: str) -> PosePrediction:
    """What the network says of a batch in one of `MODES`."""
    past = true_past(truth, batch.view())
    if mode == "complete_truth":
        return model(batch, past).prediction
    state = model.initial_state(len(batch.seen))
    steps = []
    for t in range(batch.seen.shape[1]):
        before = state.past[:, None] if mode == "free" else past[:, t : t + 1]
        output = model(batch[:, t : t + 1], before, state)
        state = output.state
        steps.append(output.prediction)
    names = [field.name for field in fields(PosePrediction)]
    return PosePrediction(
        *(torch.cat([getattr(step, name) for step in steps], 1) for name in names)
    )


@torch.inference_mode()
def scores(
    prediction: PosePrediction, batch: FrameFeatures, truth: Truth, body: BodyModel
) -> dict[str, float]:
    """`mse` of the 82 numbers, `mpjpe`, `pa_mpjpe` and `pve` (mm, at the pelvis), over seen frames."""
    view, seen = batch.view(), batch.seen
    size, frames = seen.shape
    betas = truth.betas[:, None].expand(-1, frames, -1)
    unused = prediction.log_variance, betas, prediction.stature_log_variance
    said = PosePrediction(into_view(truth.rotations, view), prediction.place, *unused)
    error = (smpl_vector(prediction, view) - smpl_vector(said, view)).square().mean(-1)

    def posed(pose: PosePrediction) -> tuple[Tensor, Tensor]:
        flat = pose.betas.flatten(0, 1)
        rotations = out_of_view(pose.rotations, view).flatten(0, 1)
        out = body.forward_matrices(rotations, flat, -body.joints_rest(flat)[:, 0])
        return out.vertices.unflatten(0, (size, frames)), out.joints.unflatten(0, (size, frames))

    vertices, joints = posed(prediction)
    true_vertices, true_joints = posed(said)
    values = {
        "mse": error,
        "mpjpe": mean_position_error_mm(joints, true_joints),
        "pa_mpjpe": pa_mpjpe_mm(joints, true_joints),
        "pve": mean_position_error_mm(vertices, true_vertices),
    }
    return {name: float(value[seen].mean()) for name, value in values.items()}
