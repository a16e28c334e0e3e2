"""Networks with random weights, for tests that ask whether two ways to run one agree."""

import dataclasses

import torch

from d3pose_core.model.config import D3PoseConfig
from d3pose_core.model.d3pose import D3Pose
from d3pose_core.model.decoder import PosePrediction
from d3pose_core.model.image import ImageD3Pose
from d3pose_core.model.image.features import FrameFeatures
from d3pose_core.model.tokens import ObservationBatch
from d3pose_core.runtime.choice import StepRuntime

# Two stages, shifted windows and a merge: what the shipped network has, and a tenth of its size.
SMALL = D3PoseConfig(
    embed_dims=(8, 16),
    depths=(2, 1),
    heads=(2, 2),
    slots=(36, 18),
    slot_windows=(6, 6),
    decoder_dim=24,
    decoder_heads=2,
)


def random_network(config: D3PoseConfig = SMALL, std: float = 0.08) -> D3Pose:
    """Larger weights than training starts from, so that every path matters; norms and biases too."""
    random = torch.Generator().manual_seed(0)
    model = D3Pose(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn(parameter.shape, generator=random)
            if parameter.ndim > 1:
                parameter.copy_(std * noise)
            else:
                parameter += 0.1 * noise
    return model


def stream(
    model: D3Pose | ImageD3Pose | StepRuntime, batch: ObservationBatch | FrameFeatures
) -> PosePrediction:
    """All frames, one after the other, on the network's own outputs."""
    state = model.initial_state(len(batch.seen))
    steps = []
    for t in range(batch.seen.shape[1]):
        prediction, _, state = model.step(batch[:, t : t + 1], state)
        steps.append(prediction)
    fields = [f.name for f in dataclasses.fields(PosePrediction)]
    return PosePrediction(*(torch.cat([getattr(s, f) for s in steps], 1) for f in fields))


def largest_difference(a, b, frames: slice = slice(None)) -> float:
    """Of two predictions, or views, over these frames: of all their numbers."""
    pairs = zip(vars(a).values(), vars(b).values(), strict=True)
    return max(float((x[:, frames] - y[:, frames]).abs().max()) for x, y in pairs)
