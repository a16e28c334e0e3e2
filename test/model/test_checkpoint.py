"""Checkpoints carry their configuration, refuse what they are not, and never run code."""

import pickle

import pytest
import torch
from safetensors.torch import save_file

from d3pose_core.errors import InputError
from d3pose_core.model.checkpoint import load_model, save_model
from d3pose_core.model.config import D3PoseConfig
from d3pose_core.model.d3pose import D3Pose

SMALL = D3PoseConfig(
    embed_dims=(8, 8, 8, 8), heads=(1, 1, 1, 1), decoder_dim=16, decoder_heads=2, decoder_frames=4
)


def test_a_saved_network_comes_back(tmp_path):
    model = D3Pose(SMALL)
    save_model(model, tmp_path / "small.safetensors", {"step": 3})
    loaded = load_model(tmp_path / "small.safetensors")
    assert loaded.config == SMALL
    for name, tensor in model.state_dict().items():
        assert torch.allclose(loaded.state_dict()[name], tensor, atol=1e-3), name


def test_the_shipped_weights_load():
    model = load_model("d3pose-landmarks")
    assert all(torch.isfinite(p).all() for p in model.parameters())


def test_unknown_weights_are_named_in_the_error():
    with pytest.raises(InputError, match=r"no weights at 'nobody'.*d3pose-landmarks"):
        load_model("nobody")


def test_a_name_that_the_system_refuses():
    with pytest.raises(InputError, match=r"no weights at 'xxx.*d3pose-landmarks"):
        load_model("x" * 300)


def test_a_truncated_file_is_refused(tmp_path):
    path = tmp_path / "cut.safetensors"
    save_model(D3Pose(SMALL), path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match="damaged"):
        load_model(path)


def test_foreign_tensors_are_refused(tmp_path):
    save_file({"x": torch.zeros(1)}, tmp_path / "x.safetensors")
    with pytest.raises(InputError, match="not a d3pose-1 checkpoint"):
        load_model(tmp_path / "x.safetensors")


def test_a_pickle_is_refused_without_running_it(tmp_path):
    marker = tmp_path / "ran"

    class Evil:
        def __reduce__(self):
            return (marker.touch, ())

    path = tmp_path / "evil.safetensors"
    path.write_bytes(pickle.dumps(Evil()))
    with pytest.raises(InputError):
        load_model(path)
    assert not marker.exists()


def test_configurations_are_checked():
    with pytest.raises(InputError, match="unknown network options"):
        D3PoseConfig.from_dict({"embed_dim": 3})
    with pytest.raises(InputError, match="does not divide into 3 heads"):
        D3PoseConfig(heads=(3, 3, 4, 4))
    for nonsense in (-0.1, 1.0, 30.0):
        with pytest.raises(InputError, match=f"min_presence must be a probability .*{nonsense}"):
            D3PoseConfig.from_dict({"min_presence": nonsense})
