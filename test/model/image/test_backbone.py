"""Backbones of timm, with random weights: nothing is downloaded."""

import sys
from importlib.util import find_spec

import pytest
import torch

from d3pose_core.errors import InputError

timm_missing = find_spec("timm") is None
pytestmark = pytest.mark.skipif(timm_missing, reason="timm is not installed")


@pytest.fixture(scope="module")
def backbone():
    from d3pose_core.model.image.backbone import Backbone

    torch.manual_seed(0)
    return Backbone("test_vit", 112).eval()


def test_a_small_one_gives_the_originals_number_of_tokens(backbone):
    images = torch.rand(2, 3, 3, 112, 112)
    with torch.inference_mode():
        tokens = backbone(images)
        alone = backbone(images[1, 2])
    assert tokens.shape == (2, 3, 50, 64)
    torch.testing.assert_close(tokens[1, 2], alone, atol=1e-5, rtol=1e-4)


def test_images_are_normalised_as_the_network_was_trained(backbone):
    seen = {}
    handle = backbone.network.patch_embed.register_forward_pre_hook(
        lambda module, inputs: seen.update(images=inputs[0])
    )
    with torch.inference_mode():
        backbone(torch.full((1, 3, 112, 112), 0.5))
    handle.remove()
    settings = backbone.network.pretrained_cfg
    expected = [(0.5 - m) / s for m, s in zip(settings["mean"], settings["std"], strict=True)]
    torch.testing.assert_close(seen["images"][0, :, 0, 0], torch.tensor(expected))


def test_no_stand_in_is_left_behind(backbone):
    if find_spec("torchvision") is None:
        assert not [name for name in sys.modules if name.split(".")[0] == "torchvision"]


def test_convolutional_networks_give_tokens_too():
    from d3pose_core.model.image.backbone import Backbone

    with torch.inference_mode():
        tokens = Backbone("test_resnet", 64).eval()(torch.rand(2, 3, 64, 64))
    assert tokens.ndim == 3
    assert tokens.shape[:2] == (2, 4)


def test_unknown_networks_and_wrong_images_are_said(backbone):
    from d3pose_core.model.image.backbone import Backbone

    with pytest.raises(InputError, match=r"can't build the backbone 'no_such_network'"):
        Backbone("no_such_network", 64)
    with pytest.raises(
        InputError, match=r"images must be \[\.\.\., 3, 112, 112\], got \[1, 3, 64, 64\]"
    ):
        backbone(torch.rand(1, 3, 64, 64))
