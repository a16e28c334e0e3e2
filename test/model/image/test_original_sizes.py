"""The original research model's exact sizes: CLIP ViT-B/32 of timm, with random weights, to 82 numbers."""

from importlib.util import find_spec

import pytest
import torch

from d3pose_core.model.decoder import FEEDBACK_SIZE
from d3pose_core.model.image import ImageConfig, ImageD3Pose
from d3pose_core.model.image.features import FrameFeatures
from d3pose_core.model.image.network import VECTOR_SIZE, smpl_vector

pytestmark = pytest.mark.skipif(find_spec("timm") is None, reason="timm is not installed")
FRAMES = 30


@pytest.fixture(scope="module")
def features() -> torch.Tensor:
    """[1, 30, 50, 768] of two pictures, the rest noise: the backbone is slow on one core."""
    from d3pose_core.model.image.backbone import Backbone

    torch.manual_seed(0)
    config = ImageConfig()
    backbone = Backbone(config.backbone, config.image_size, pretrained=False).eval()
    assert sum(p.numel() for p in backbone.parameters()) == pytest.approx(87.8e6, rel=0.01)
    with torch.inference_mode():
        seen = backbone(torch.rand(1, 2, 3, 224, 224))
    assert seen.shape == (1, 2, 50, 768)
    rest = seen.std() * torch.randn(1, FRAMES - 2, 50, 768) + seen.mean()
    return torch.cat([seen, rest], 1).clone()


def frames_of(features: torch.Tensor) -> FrameFeatures:
    shape = features.shape[:2]
    return FrameFeatures(
        features=features,
        center=torch.zeros(*shape, 2),
        size=torch.full(shape, 0.6),
        seen=torch.ones(shape, dtype=torch.bool),
        step_s=torch.full(shape, 1 / 30),
    )


def test_one_training_step_and_one_streaming_step(features):
    torch.manual_seed(0)
    config = ImageConfig()
    network = ImageD3Pose(config)
    rows = {}
    handle = network.encoder.embed.rows.register_forward_pre_hook(
        lambda module, inputs: rows.update(shape=tuple(inputs[0].shape))
    )
    batch = frames_of(features)
    output = network(batch, torch.zeros(1, FRAMES, FEEDBACK_SIZE))
    handle.remove()
    # 30 x 50 x 768 as 30 x 200 x 192, two neighbouring rows a token.
    assert rows["shape"] == (1, FRAMES, 200 // config.patch, config.patch * 192)
    assert [len(stage) for stage in network.encoder.stages] == [2, 2, 6, 2]
    assert network.encoder.embed.rows.out_features == 48
    assert {block.window for stage in network.encoder.stages for block in stage} == {5}
    vector = smpl_vector(output.prediction, output.view)
    assert vector.shape == (1, FRAMES, VECTOR_SIZE)
    assert VECTOR_SIZE == 82

    optimizer = torch.optim.AdamW(network.parameters(), 1e-4)
    before = network.encoder.embed.rows.weight.detach().clone()
    loss = vector.square().mean()
    loss.backward()
    optimizer.step()
    assert torch.isfinite(loss)
    assert not torch.equal(before, network.encoder.embed.rows.weight)

    network.eval()
    state = network.initial_state(1)
    for t in range(2):
        prediction, view, state = network.step(frames_of(features[:, t : t + 1]), state)
        assert smpl_vector(prediction, view).shape == (1, 1, 82)
        assert torch.isfinite(prediction.rotations).all()
