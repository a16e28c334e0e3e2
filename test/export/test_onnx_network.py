"""The exported step against the network it was exported from, frame by frame in ONNX Runtime."""

import dataclasses

import onnx
import pytest
import torch

from d3pose_core.cli.main import main
from d3pose_core.errors import InputError
from d3pose_core.model.checkpoint import load_model, save_model
from d3pose_core.model.config import D3PoseConfig
from d3pose_core.model.d3pose import D3Pose, StreamState
from d3pose_core.model.decoder import PosePrediction
from d3pose_core.model.onnx_step import OnnxStep, empty_state, state_names
from test.helpers.observations import random_observations

FRAMES = 40  # longer than the decoder's 30


# Two stages, shifted windows and a merge: what the shipped network has, and a tenth of its export time.
SMALL = D3PoseConfig(
    embed_dims=(8, 16),
    depths=(2, 1),
    heads=(2, 2),
    slots=(36, 18),
    slot_windows=(6, 6),
    decoder_dim=24,
    decoder_heads=2,
)


@pytest.fixture(scope="module")
def model() -> D3Pose:
    """Larger weights than training starts from, so that every path matters.

    All but the pose head's: what random ones feed back would make a step magnify rounding errors.
    """
    torch.manual_seed(0)
    model = D3Pose(SMALL).eval()
    for name, parameter in model.named_parameters():
        if parameter.ndim > 1 and "pose_head" not in name:
            torch.nn.init.normal_(parameter, std=0.1)
    return model


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    """The path of its step, written by the command."""
    folder = tmp_path_factory.mktemp("onnx")
    save_model(model, folder / "small.safetensors")
    model.load_state_dict(load_model(folder / "small.safetensors").state_dict())  # float16 on disk
    path = folder / "new folder" / "step.onnx"
    weights = str(folder / "small.safetensors")
    assert main(["export", "onnx", "--weights", weights, "--out", str(path)]) == 0
    return path


@pytest.fixture(scope="module")
def step(exported) -> OnnxStep:
    return OnnxStep(exported)


def largest_difference(a, b) -> float:
    return max(
        float((getattr(a, f.name) - getattr(b, f.name)).abs().max()) for f in dataclasses.fields(a)
    )


def test_a_stream_equals_eager(model, step):
    """Both on their own outputs, over 40 frames of 2 people of whom some are unseen at times."""
    batch = random_observations(people=2, frames=FRAMES)
    states = model.initial_state(2), step.initial_state(2)
    for t in range(FRAMES):
        frame = batch[:, t : t + 1]
        expected, expected_view, eager = model.step(frame, states[0])
        got, view, runtime = step.step(frame, states[1])
        states = eager, runtime
        assert isinstance(got, PosePrediction)
        assert largest_difference(got, expected) < 1e-4, t
        assert largest_difference(view, expected_view) < 1e-5, t
    for name, a, b in zip(
        state_names(model.config), states[0].tensors(), states[1].tensors(), strict=True
    ):
        assert a.dtype == b.dtype
        torch.testing.assert_close(a, b, atol=1e-3, rtol=1e-3, msg=lambda m, n=name: f"{n}: {m}")


def test_any_number_of_people_and_none_meet(step):
    batch = random_observations(people=5, frames=3)
    state = step.initial_state(5)
    alone = step.initial_state(1)
    for t in range(3):
        together, _, state = step.step(batch[:, t : t + 1], state)
        single, _, alone = step.step(batch[3:4, t : t + 1], alone)
    torch.testing.assert_close(together.rotations[3:4], single.rotations, atol=1e-5, rtol=0)
    # States part and meet again, as people come and go.
    parts = state.split()
    again = StreamState.stack([parts[4], parts[0]])
    frame = random_observations(people=5, frames=1, seed=3)
    both, _, _ = step.step(frame[[4, 0]], again)
    every, _, _ = step.step(frame, state)
    torch.testing.assert_close(both.rotations, every.rotations[[4, 0]], atol=1e-5, rtol=0)


def test_the_file_is_valid_and_says_what_it_holds(exported, step):
    graph = onnx.load(str(exported))
    onnx.checker.check_model(graph, full_check=True)
    assert max(opset.version for opset in graph.opset_import) >= 17
    config = step.config
    assert config == SMALL
    inputs = [entry.name for entry in graph.graph.input]
    outputs = [entry.name for entry in graph.graph.output]
    assert set(state_names(config)) < set(inputs)
    assert {f"new_{name}" for name in state_names(config)} < set(outputs)
    for entry in (*graph.graph.input, *graph.graph.output):
        shape = entry.type.tensor_type.shape.dim
        assert shape[0].dim_param == "people", entry.name
        assert all(size.dim_value > 0 for size in shape[1:]), entry.name


@pytest.mark.parametrize("config", [D3PoseConfig(), D3PoseConfig.basic()], ids=["swin", "basic"])
def test_a_new_state_is_the_networks_own(config):
    expected, got = D3Pose(config).initial_state(3).tensors(), empty_state(config, 3).tensors()
    assert len(got) == len(state_names(config))
    for a, b in zip(got, expected, strict=True):
        assert a.dtype == b.dtype
        torch.testing.assert_close(a, b)


def test_other_files_are_refused(tmp_path):
    with pytest.raises(InputError, match="no ONNX file at"):
        OnnxStep(tmp_path / "missing.onnx")
    (tmp_path / "text.onnx").write_text("hello")
    with pytest.raises(InputError, match="can't be opened by ONNX Runtime"):
        OnnxStep(tmp_path / "text.onnx")
    value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    out = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1])
    node = onnx.helper.make_node("Identity", ["x"], ["y"])
    graph = onnx.helper.make_graph([node], "other", [value], [out])
    model = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9
    )
    onnx.save(model, str(tmp_path / "other.onnx"))
    with pytest.raises(InputError, match="is not a d3pose-step-1 file"):
        OnnxStep(tmp_path / "other.onnx")
