"""The image variant: no look-ahead, a decoder that matters, streaming, and the original's shapes."""

import dataclasses

import pytest
import roma
import torch

from d3pose_core.errors import InputError
from d3pose_core.model.d3pose import StreamState
from d3pose_core.model.decoder import FEEDBACK_SIZE, PosePrediction
from d3pose_core.model.image import ImageConfig, ImageD3Pose
from d3pose_core.model.image.features import FrameFeatures
from d3pose_core.model.image.network import VECTOR_SIZE, smpl_vector
from d3pose_core.training.losses import shift
from test.helpers.networks import largest_difference, stream

EXACT = 1e-11
FRAMES = 14  # longer than the decoder's 8 and several encoder windows
SMALL = ImageConfig(
    width=16,
    embed_dims=(8, 8, 16, 16),
    depths=(2, 2, 2, 1),
    heads=(2, 2, 2, 2),
    decoder_dim=24,
    decoder_heads=2,
    decoder_frames=8,
)


@pytest.fixture(scope="module", autouse=True)
def double_precision():
    """Rounding out of the way: what should be equal is equal to twelve digits, or it is not."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture(scope="module")
def model(double_precision) -> ImageD3Pose:
    """Larger weights than training starts from, so that every path matters."""
    torch.manual_seed(0)
    model = ImageD3Pose(SMALL).eval()
    for parameter in model.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.2)
    return model


def random_frames(people: int, frames: int, seed: int = 0, width: int = 16) -> FrameFeatures:
    rng = torch.Generator().manual_seed(seed)

    def uniform(*shape: int) -> torch.Tensor:
        return torch.rand(people, frames, *shape, generator=rng)

    return FrameFeatures(
        features=torch.randn(people, frames, 50, width, generator=rng),
        center=uniform(2) - 0.5,
        size=0.2 + uniform(),
        seen=uniform() > 0.15,
        step_s=0.01 + 0.05 * uniform(),
    )


def replaced(batch: FrameFeatures, **values) -> FrameFeatures:
    return dataclasses.replace(batch, **values)


@torch.inference_mode()
def parallel(model: ImageD3Pose, batch: FrameFeatures, past=None) -> PosePrediction:
    past = torch.zeros(*batch.seen.shape, FEEDBACK_SIZE) if past is None else past
    return model(batch, past).prediction


def test_streaming_equals_the_parallel_causal_pass(model):
    batch = random_frames(people=2, frames=FRAMES)
    streamed = stream(model, batch)
    assert largest_difference(streamed, parallel(model, batch, shift(streamed.feedback()))) < EXACT


def test_and_in_single_precision(model):
    torch.set_default_dtype(torch.float32)
    try:
        single = ImageD3Pose(SMALL).eval()
        single.load_state_dict(model.state_dict())
        batch = random_frames(people=1, frames=FRAMES)
        streamed = stream(single, batch)
        at_once = parallel(single, batch, shift(streamed.feedback()))
    finally:
        torch.set_default_dtype(torch.float64)
    assert largest_difference(streamed, at_once) < 1e-5


@pytest.mark.parametrize("changed", [1, 6, 13])
def test_a_later_frame_never_changes_an_earlier_output(model, changed):
    """The original's encoder sees all 30 frames at once."""
    batch, other = (random_frames(people=2, frames=FRAMES, seed=s) for s in (0, 7))
    mixed = {
        f.name: torch.cat(
            [getattr(batch, f.name)[:, :changed], getattr(other, f.name)[:, changed:]], 1
        )
        for f in dataclasses.fields(batch)
    }
    altered = replaced(batch, **mixed)
    before, after = stream(model, batch), stream(model, altered)
    assert largest_difference(before, after, slice(None, changed)) == 0.0
    assert largest_difference(before, after, slice(changed, None)) > 1e-3
    # In the parallel pass too, where a mask and not the order of events has to see to it.
    before, after = parallel(model, batch), parallel(model, altered)
    assert largest_difference(before, after, slice(None, changed)) < EXACT


def test_the_decoders_input_reaches_the_output(model):
    """The original returns its encoder's head: its decoder never mattered."""
    batch = random_frames(people=1, frames=FRAMES)
    past = torch.zeros(1, FRAMES, FEEDBACK_SIZE)
    altered = past.clone()
    altered[:, 5] += 1.0
    before, after = parallel(model, batch, past), parallel(model, batch, altered)
    assert largest_difference(before, after, slice(None, 5)) < EXACT
    assert largest_difference(before, after, slice(5, None)) > 1e-3


def test_self_and_cross_attention_are_modules_of_their_own(model):
    """The original has one module for both."""
    for block in model.decoder.blocks:
        assert block.self_attention is not block.cross_attention
        own = {id(p) for p in block.self_attention.parameters()}
        assert own.isdisjoint(id(p) for p in block.cross_attention.parameters())


def test_every_stage_reaches_the_output_and_every_parameter_learns(model):
    """The original leaves a fifth of its parameters without a gradient."""
    batch = random_frames(people=1, frames=FRAMES)
    batch.seen[:, 3] = False  # so that the stand-in for unseen frames is used
    output = model(batch, torch.randn(1, FRAMES, FEEDBACK_SIZE)).prediction
    loss = sum(getattr(output, f.name).square().sum() for f in dataclasses.fields(output))
    loss.backward()
    silent = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    model.zero_grad(set_to_none=True)
    # Stage heads are extra supervision; a bias on keys alone shifts all scores alike.
    assert [n for n in silent if not n.startswith("stage_heads")] == []


def test_an_unseen_frame_is_never_read(model):
    batch = random_frames(people=2, frames=FRAMES)
    assert (~batch.seen).any()
    hole = ~batch.seen
    altered = replaced(
        batch,
        features=torch.where(hole[..., None, None], 99.0, batch.features),
        center=torch.where(hole[..., None], 9.0, batch.center),
        size=torch.where(hole, 77.0, batch.size),
    )
    assert largest_difference(stream(model, batch), stream(model, altered)) == 0.0


def test_every_input_is_read(model):
    batch = random_frames(people=1, frames=4)
    batch.seen[:] = True
    before = stream(model, batch)
    for name in ("features", "center", "size", "step_s"):
        values = getattr(batch, name)
        # Tokens are normalised: a scale would not be seen.
        after = stream(model, replaced(batch, **{name: values + 0.3 * torch.rand_like(values)}))
        assert largest_difference(before, after) > 1e-5, name


def test_people_do_not_meet_and_states_split_and_stack(model):
    batch = random_frames(people=2, frames=6)
    state = model.initial_state(2)
    for t in range(5):
        _, _, state = model.step(batch[:, t : t + 1], state)
    expected, _, _ = model.step(batch[:, 5:], state)
    swapped = StreamState.stack(list(reversed(state.split())))
    got, _, _ = model.step(batch[[1, 0], 5:], swapped)
    torch.testing.assert_close(got.rotations[[1, 0]], expected.rotations, atol=EXACT, rtol=0)


def test_the_original_sizes_are_the_defaults():
    config = ImageConfig()
    assert (config.tokens, config.width) == (50, 768)
    assert (config.slots[0] * config.patch, config.columns) == (200, 192)
    assert (config.embed_dims[0], config.depths, config.window) == (48, (2, 2, 6, 2), 5)
    assert ImageConfig.from_dict(config.to_dict()) == config


def test_the_output_is_82_numbers_in_the_optical_frame(model):
    batch = random_frames(people=2, frames=3)
    state = model.initial_state(2)
    prediction, view, _ = model.step(batch[:, :1], state)
    vector = smpl_vector(prediction, view)
    assert vector.shape == (2, 1, VECTOR_SIZE)
    rotations = roma.rotvec_to_rotmat(vector[..., :72].unflatten(-1, (24, 3)))
    expected = prediction.rotations.clone()
    expected[:, :, 0] = view.rotation @ expected[:, :, 0]
    torch.testing.assert_close(rotations, expected, atol=1e-6, rtol=0)
    torch.testing.assert_close(vector[..., 72:], prediction.betas)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"tokens": 49}, "49 tokens in 4 parts are 196 rows"),
        ({"slots": (100, 50, 25, 4)}, "25 slots do not merge into 4"),
        ({"window": 4}, "50 slots do not divide into windows of 4"),
        ({"depths": (2, 2)}, "depths must have one entry a stage"),
        ({"heads": (5, 6, 12, 24)}, "48 does not divide into 5 heads"),
        ({"decoder_heads": 5}, "192 does not divide into 5 heads"),
        ({"width": 766}, "don't divide into 4 parts"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(changes, complaint):
    with pytest.raises(InputError, match=complaint):
        ImageConfig(**changes)


def test_unknown_options_and_wrong_features_are_refused(model):
    with pytest.raises(InputError, match="unknown network options"):
        ImageConfig.from_dict({"embed": 48})
    with pytest.raises(
        InputError, match=r"features must be \[B, T, 50, 16\], got \[1, 2, 50, 20\]"
    ):
        parallel(model, random_frames(1, 2, width=20))
