"""Dropout of whole windows: the same in all frames, nothing outside training, and on average nothing."""

import torch

from d3pose_core.model.d3pose import D3Pose
from d3pose_core.model.dropout import WindowDropout, set_dropout


def dropout(rate):
    layer = WindowDropout()
    set_dropout(layer, rate)
    return layer


def test_all_frames_of_a_window_do_without_the_same_channels():
    torch.manual_seed(0)
    x = torch.rand(64, 5, 3, 100) + 0.5  # windows, frames, slots, channels
    found = dropout(0.3)(x)
    gone = found == 0
    assert torch.equal(gone, gone[:, :1, :1].expand_as(gone))
    assert not torch.equal(gone[0], gone[1])
    assert abs(gone.float().mean() - 0.3) < 0.02
    torch.testing.assert_close(found[~gone], x[~gone] / 0.7)


def test_it_does_nothing_outside_training_or_without_a_rate():
    x = torch.rand(2, 3, 4)
    assert torch.equal(dropout(0.0)(x), x)
    assert torch.equal(dropout(0.5).eval()(x), x)


def test_every_branch_of_the_network_drops():
    model = D3Pose()
    set_dropout(model, 0.1)
    rates = {n: part.rate for n, part in model.named_modules() if isinstance(part, WindowDropout)}
    blocks = sum(model.config.depths)
    assert len(rates) == blocks + 2 * len(model.config.depths)  # decoder blocks and corrections
    assert set(rates.values()) == {0.1}
    assert not [name for name in model.state_dict() if "dropout" in name]
