"""The step for a single frame is the same function as the network's own."""

import dataclasses

import pytest
import torch

from d3pose_core.model.config import D3PoseConfig
from d3pose_core.runtime.frames import OBSERVATION_NAMES
from d3pose_core.runtime.single_frame import SingleFrame, state_shapes
from test.helpers.networks import SMALL, random_network
from test.helpers.observations import random_observations

FRAMES = 40  # longer than the decoder's 30
CONFIGS = {
    "swin": D3PoseConfig(),
    "basic": D3PoseConfig.basic(),
    "without refinement": D3PoseConfig(refinement=False),
    "without corrections": D3PoseConfig(corrections=False, refinement=False),
    "small": SMALL,
    "the encoder sees further than the decoder": dataclasses.replace(
        SMALL, encoder_frames=9, decoder_frames=4
    ),
}


@pytest.fixture
def double_precision():
    """Rounding out of the way: what should be equal is equal to ten digits, or it is not."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("name", CONFIGS)
def test_it_equals_the_networks_step(double_precision, name):
    """Both on their own outputs, with landmarks hidden and people unseen at times."""
    # Larger random weights make chaos of noise: rounding grows from frame to frame.
    model = random_network(CONFIGS[name], std=0.03)
    single, shapes = SingleFrame(model), state_shapes(model.config)
    if single.refinement is not None:
        single.refinement.fit.iterations = 200  # until nothing is left, on noise, too
    batch = random_observations(people=2, frames=FRAMES)
    hidden = (batch.presence < model.config.min_presence) | ~batch.seen[..., None]
    assert hidden.any()
    # What is said of what can't be seen, or of rivals that are none, is not read.
    batch.certainty[hidden] = torch.nan
    batch.rival_rays[hidden | (batch.rival_certainty[..., 0] == 0)] = torch.nan
    expected_state = model.initial_state(2)
    state = [torch.zeros(2, *shape, dtype=dtype) for shape, dtype in shapes.values()]
    for t in range(FRAMES):
        frame = batch[:, t : t + 1]
        prediction, view, expected_state = model.step(frame, expected_state)
        with torch.inference_mode():
            made = single(*(getattr(frame, field) for field in OBSERVATION_NAMES), *state)
        expected = [*vars(prediction).values(), *vars(view).values()]
        for got, wanted in zip(made, expected, strict=False):
            torch.testing.assert_close(got, wanted, atol=1e-10, rtol=0, msg=f"frame {t}")
        state = list(made[len(expected) :])
        for tensor, (shape, dtype) in zip(state, shapes.values(), strict=True):
            assert (tensor.shape, tensor.dtype) == ((2, *shape), dtype)


def test_what_an_unseen_person_left_behind_is_not_read():
    """Not even numbers that are none."""
    model = random_network(SMALL)
    single = SingleFrame(model)
    state = [torch.zeros(1, *s, dtype=d) for s, d in state_shapes(SMALL).values()]
    frame = random_observations(people=1, frames=1)
    frame.seen[:] = False
    plain = single(*vars(frame).values(), *state)
    for name in ("rays", "depth_hint", "landmarks", "certainty", "rival_rays"):
        getattr(frame, name)[:] = torch.nan
    poisoned = single(*vars(frame).values(), *state)
    for a, b in zip(plain, poisoned, strict=True):
        assert torch.equal(a, b)
