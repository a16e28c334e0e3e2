"""Steps of a fixed size with padding; the CUDA graph itself only where there is a GPU."""

import pytest
import torch

from d3pose_core.errors import InputError
from d3pose_core.model.checkpoint import load_model
from d3pose_core.runtime import cuda_step
from d3pose_core.runtime.cuda_step import CudaGraphStep, padded
from d3pose_core.runtime.frames import moving_people
from test.helpers.networks import random_network
from test.helpers.observations import random_observations


class RepeatedCalls(CudaGraphStep):
    """What a CUDA graph does, on the CPU: the same call again, into the same tensors."""

    def _recorder(self):
        def record(step):
            made = step()

            def replay():
                for there, new in zip(made, step(), strict=True):
                    there.copy_(new)

            return replay, made

        return record


def differences(model, step, people, frames) -> float:
    """The largest difference of a rotation matrix, people leaving and coming on the way."""
    device = next(model.parameters()).device
    batch = random_observations(people, frames).to(device)
    expected, state = model.initial_state(people), step.initial_state(people)
    largest = 0.0
    for t in range(frames):
        rows = slice(None)
        if t == frames // 2:  # the first one leaves
            expected = type(expected).stack(expected.split()[1:])
            state = step.stack(state.split()[1:])
        if t >= frames // 2:
            rows = slice(1, None)
        wanted, _, expected = model.step(batch[rows, t : t + 1], expected)
        got, view, state = step.step(batch[rows, t : t + 1], state)
        assert view.rotation.shape == (*wanted.rotations.shape[:2], 3, 3)
        largest = max(largest, float((got.rotations - wanted.rotations).abs().max()))
    return largest


def test_numbers_of_people_are_padded():
    assert [padded(n) for n in (1, 2, 3, 4, 5, 8, 9, 17)] == [1, 2, 4, 4, 8, 8, 16, 24]


@pytest.mark.parametrize("people", [2, 3, 9])
def test_padded_steps_equal_the_networks(people):
    model = random_network()
    assert differences(model, RepeatedCalls(model), people, frames=12) < 1e-4


def test_a_network_on_the_cpu_is_refused():
    with pytest.raises(InputError, match="needs a network on cuda, it is on cpu"):
        CudaGraphStep(random_network())


@pytest.mark.parametrize("people", [1, 4, 8])
def test_seven_seconds_on_a_gpu_equal_torch(people):
    if not torch.cuda.is_available():
        pytest.skip("NO NVIDIA GPU HERE: CUDA graphs are not tested")
    model = load_model("d3pose-landmarks", "cuda")
    step = CudaGraphStep(model)
    batch = moving_people(people, frames=210).to(torch.device("cuda"))
    states = model.initial_state(people), step.initial_state(people)
    for t in range(210):
        expected, _, eager = model.step(batch[:, t : t + 1], states[0])
        got, _, kept = step.step(batch[:, t : t + 1], states[1])
        states = eager, kept
        assert float((got.rotations - expected.rotations).abs().max()) < 1e-4, t
    assert list(step._recorded) == [cuda_step.padded(people)]
