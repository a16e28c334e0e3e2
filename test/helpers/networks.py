"""Networks with random weights, for tests that ask whether two ways to run one agree."""

import torch

from d3pose_core.model.config import D3PoseConfig
from d3pose_core.model.d3pose import D3Pose

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
