"""What a fit finds in certainties that were drawn from known numbers: these numbers."""

import pytest
import torch

from d3pose_core.data.certainty import draw_certainty, fitted_certainty
from d3pose_core.errors import InputError
from d3pose_core.skeleton import LANDMARK_MIRROR
from test.helpers.recordings import exact_recording
from tools.measure_landmarks.certainty import fit_certainty
from tools.measure_landmarks.errors import Errors

CLIPS, FRAMES = 250, 60


@pytest.fixture(scope="module")
def recorded():
    """Errors of all sizes up to a fifth of the height; in a tenth of the frames the sides are exchanged."""
    rng = torch.Generator().manual_seed(4)
    made = exact_recording(CLIPS, FRAMES)
    error = 0.002 * 100 ** torch.rand(CLIPS, FRAMES, 33, 1, generator=rng)
    direction = torch.randn(CLIPS, FRAMES, 33, 2, generator=rng)
    direction = torch.nn.functional.normalize(direction, dim=-1)
    distance = made.true_landmarks[..., [23, 24], 2].mean(-1)[..., None, None]
    made.rays = made.rays + direction * error * 1.7 / distance
    exchanged = torch.rand(CLIPS, FRAMES, generator=rng) < 0.1
    mirror = list(LANDMARK_MIRROR)
    made.rays = torch.where(exchanged[..., None, None], made.rays[:, :, mirror], made.rays)
    size = torch.where(exchanged[..., None], error[..., mirror, 0], error[..., 0])
    mistaken = exchanged[..., None] & (torch.arange(33) != torch.tensor(mirror))
    made.certainty = draw_certainty(size, mistaken, made.times_s, rng)
    found = Errors.of(made)
    torch.testing.assert_close(found.swapped_size[exchanged], size[exchanged], rtol=0, atol=1e-5)
    return made


@pytest.fixture(scope="module")
def found(recorded):
    return fit_certainty(recorded)


def test_the_fit_finds_what_was_drawn(found):
    known = fitted_certainty()
    inner = slice(3, 10)  # tails are of few
    apart = (found.logits - known.logits)[:, 1:-1, inner].abs()
    assert apart.mean() < 0.12
    assert apart.max() < 0.6
    for name in ("constant", "slow", "fast"):
        shares = [getattr(s, name).square().sum(1).mean() for s in (found, known)]
        assert float(shares[0]) == pytest.approx(float(shares[1]), abs=0.08), name
    assert float(found.memory_s) == pytest.approx(float(known.memory_s), abs=0.11)


def test_exchanged_sides_are_compared_with_where_they_went(found):
    """Else their large errors would seem to come with high certainty."""
    assert float(found.mistaken) == pytest.approx(float(fitted_certainty().mistaken), abs=0.15)


def test_too_few_clips_are_refused(recorded):
    with pytest.raises(InputError, match=r"errors of any one size.*record more clips"):
        fit_certainty(recorded[:2])
    nobody_mistaken = exact_recording(20, FRAMES)
    nobody_mistaken.rays = nobody_mistaken.rays + 0.02 * torch.randn(nobody_mistaken.rays.shape)
    with pytest.raises(InputError, match="record more clips"):
        fit_certainty(nobody_mistaken)
