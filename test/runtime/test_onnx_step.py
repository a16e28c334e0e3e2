"""The step in ONNX Runtime against the network that it was made from, frame by frame."""

import onnx
import pytest
import torch

from d3pose_core.cli.main import main
from d3pose_core.errors import InputError
from d3pose_core.model.checkpoint import load_model, save_model
from d3pose_core.model.d3pose import D3Pose
from d3pose_core.model.decoder import PosePrediction
from d3pose_core.runtime.frames import in_double, moving_people
from d3pose_core.runtime.onnx_graph import onnx_model
from d3pose_core.runtime.onnx_step import FORMAT, OnnxStep, step_as_onnx
from d3pose_core.runtime.single_frame import state_shapes
from test.helpers.networks import SMALL, largest_difference, random_network
from test.helpers.observations import random_observations


@pytest.fixture(scope="module")
def model() -> D3Pose:
    return random_network(SMALL)


@pytest.fixture(scope="module")
def step(model) -> OnnxStep:
    return OnnxStep.of(model)


@pytest.fixture(scope="module")
def shipped() -> tuple[D3Pose, OnnxStep]:
    model = load_model("d3pose-landmarks")
    return model, OnnxStep.of(model)


@pytest.mark.parametrize("people", [1, 4, 8])
def test_seven_seconds_of_the_shipped_network_round_no_worse_than_torch(shipped, people):
    """On its own outputs, over 210 frames of people who move and are unseen at times.

    Against torch in double precision: single precision parts from it, in torch as well, where the network is
    of two minds (docs/runtimes.md). Of people, not of noise: there a step magnifies it more.
    """
    model, step = shipped
    torch.set_default_dtype(torch.float64)
    try:
        exact = load_model("d3pose-landmarks").double()
        exact_state = exact.initial_state(people)
    finally:
        torch.set_default_dtype(torch.float32)
    state, torch_state = step.initial_state(people), model.initial_state(people)
    batch = moving_people(people, frames=210)
    apart, torch_apart = 0.0, 0.0
    for t in range(210):
        frame = batch[:, t : t + 1]
        expected, expected_view, exact_state = exact.step(in_double(frame), exact_state)
        single, _, torch_state = model.step(frame, torch_state)
        got, view, state = step.step(frame, state)
        assert isinstance(got, PosePrediction)
        apart = max(apart, largest_difference(got, expected))
        torch_apart = max(torch_apart, largest_difference(single, expected))
        assert largest_difference(view, expected_view) < 1e-5, t
    assert apart < max(1e-4, 2 * torch_apart)
    assert apart < 1e-3


def test_any_number_of_people_and_none_meet(step):
    batch = random_observations(people=5, frames=3)
    state = step.initial_state(5)
    alone = step.initial_state(1)
    for t in range(3):
        together, _, state = step.step(batch[:, t : t + 1], state)
        single, _, alone = step.step(batch[3:4, t : t + 1], alone)
    # Products of other sizes round otherwise, and a random network magnifies that; people who met would
    # differ by tenths.
    torch.testing.assert_close(together.rotations[3:4], single.rotations, atol=1e-4, rtol=0)
    # States part and meet again, as people come and go.
    parts = state.split()
    again = step.stack([parts[4], parts[0]])
    frame = random_observations(people=5, frames=1, seed=3)
    both, _, _ = step.step(frame[[4, 0]], again)
    every, _, _ = step.step(frame, state)
    torch.testing.assert_close(both.rotations, every.rotations[[4, 0]], atol=1e-4, rtol=0)


def test_a_state_can_be_gone_back_to_by_one_step_or_by_a_copy(step):
    frames = random_observations(people=2, frames=4)
    _, _, state = step.step(frames[:, :1], step.initial_state(2))
    copy = step.stack([state])
    first, _, after = step.step(frames[:, 1:2], state)
    again, _, other = step.step(frames[:, 1:2], state)
    assert largest_difference(first, again) == 0
    with pytest.raises(ValueError, match="overwritten by later steps"):
        step.step(frames[:, 2:3], after)
    step.step(frames[:, 2:3], other)
    with pytest.raises(ValueError, match="overwritten by later steps"):
        state.split()
    from_copy, _, _ = step.step(frames[:, 1:2], copy)
    assert largest_difference(first, from_copy) == 0


def test_two_streams_of_one_network_do_not_meet(step):
    """As two cameras in one process."""
    batch = random_observations(people=2, frames=6)
    alone, expected = step.initial_state(1), []
    for t in range(6):
        prediction, _, alone = step.step(batch[:1, t : t + 1], alone)
        expected.append(prediction)
    states = [step.initial_state(1), step.initial_state(1)]
    for t in range(6):
        got, _, states[0] = step.step(batch[:1, t : t + 1], states[0])
        _, _, states[1] = step.step(batch[1:, t : t + 1], states[1])
        assert largest_difference(got, expected[t]) == 0


def test_the_exported_file_is_valid_and_runs(model, tmp_path):
    save_model(model, tmp_path / "small.safetensors")
    path = tmp_path / "new folder" / "step.onnx"
    weights = str(tmp_path / "small.safetensors")
    assert main(["export", "onnx", "--weights", weights, "--out", str(path)]) == 0
    graph = onnx.load(str(path))
    onnx.checker.check_model(graph, full_check=True)
    step, names = OnnxStep(path), state_shapes(SMALL)
    assert step.config == SMALL
    assert set(names) < {entry.name for entry in graph.graph.input}
    assert {f"new_{name}" for name in names} < {entry.name for entry in graph.graph.output}
    for entry in (*graph.graph.input, *graph.graph.output):
        shape = entry.type.tensor_type.shape.dim
        assert shape[0].dim_param == "people", entry.name
        assert all(size.dim_value > 0 for size in shape[1:]), entry.name
    frame = random_observations(people=2, frames=1)
    got, _, _ = step.step(frame, step.initial_state(2))
    halved = load_model(weights)  # weights are float16 in the file
    expected, _, _ = halved.step(frame, halved.initial_state(2))
    assert largest_difference(got, expected) < 1e-4


def test_other_files_are_refused(tmp_path, model):
    with pytest.raises(InputError, match="no ONNX file at"):
        OnnxStep(tmp_path / "missing.onnx")
    (tmp_path / "text.onnx").write_text("hello")
    with pytest.raises(InputError, match="can't be opened by ONNX Runtime"):
        OnnxStep(tmp_path / "text.onnx")
    whole = step_as_onnx(model)
    (tmp_path / "cut.onnx").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="can't be opened by ONNX Runtime"):
        OnnxStep(tmp_path / "cut.onnx")
    with pytest.raises(InputError, match=f"is not a {FORMAT} file"):
        OnnxStep(_identity())
    with pytest.raises(InputError, match="does not say how its network is made"):
        OnnxStep(_identity(format=FORMAT))
    with pytest.raises(InputError, match="other inputs or outputs"):
        OnnxStep(_identity(format=FORMAT, config="{}"))


def _identity(**metadata: str) -> bytes:
    value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    out = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1])
    node = onnx.helper.make_node("Identity", ["x"], ["y"])
    graph = onnx.helper.make_graph([node], "other", [value], [out])
    made = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9
    )
    onnx.helper.set_model_props(made, metadata)
    return made.SerializeToString()


class _Unknown(torch.nn.Module):
    def forward(self, x):
        return (torch.cumsum(x, 1),)


class _FromNowhere(torch.nn.Module):
    def forward(self, x):
        return (x + torch.from_numpy(x.numpy()),)


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (_Unknown(), "no ONNX operator is known for torch's 'cumsum'"),
        (_FromNowhere(), "none of the recorded calls"),
    ],
)
def test_what_the_graph_cannot_say_is_an_error(module, message):
    with pytest.raises(NotImplementedError, match=message):
        onnx_model(module, lambda people: {"x": torch.ones(people, 3)}, ["y"], {})
