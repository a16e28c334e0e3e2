"""Rivals gathered from recordings whose rivals were drawn from known ones are those again."""

import pytest
import torch

from d3pose_core.data.rivals import RivalStatistics, draw_rivals, fitted_rivals
from d3pose_core.errors import InputError
from test.helpers.recordings import exact_recording
from tools.measure_landmarks.rivals import EXAMPLES, fit_rivals

CLIPS, FRAMES = 120, 60


@pytest.fixture(scope="module")
def recorded():
    """Errors of all sizes up to two fifths of the height, certainties of all kinds."""
    rng = torch.Generator().manual_seed(4)
    made = exact_recording(CLIPS, FRAMES)
    error = 0.005 * 80 ** torch.rand(CLIPS, FRAMES, 33, 1, generator=rng)
    direction = torch.randn(CLIPS, FRAMES, 33, 2, generator=rng)
    error = error * torch.nn.functional.normalize(direction, dim=-1)
    height = (1.7 / made.true_landmarks[..., [23, 24], 2].mean(-1))[..., None, None]
    made.rays = made.rays + error * height
    made.certainty = torch.rand(CLIPS, FRAMES, 33, generator=rng)
    apart, made.rival_certainty = draw_rivals(error, made.certainty, made.times_s, rng)
    made.rival_rays = made.rays[..., None, :] + apart * height[..., None]
    return made


def test_what_was_drawn_is_found(recorded, tmp_path):
    fit_rivals(recorded).save(tmp_path / "rivals.npz")
    found, known = RivalStatistics.load(tmp_path / "rivals.npz"), fitted_rivals()
    assert found.place.shape == known.place.shape
    assert found.certainty.shape[3] == EXAMPLES
    for rival in (0, 1):
        shares = [(s.certainty[..., rival] > 0).float().mean(-1) for s in (found, known)]
        assert float((shares[0] - shares[1]).abs().mean()) < 0.03
    near = [(s.from_truth * (s.certainty > 0))[..., 0].mean(-1) for s in (found, known)]
    assert float((near[0] - near[1]).abs().mean()) < 0.05
    there = (found.certainty > 0) & (known.certainty > 0)
    assert float((found.certainty - known.certainty)[there].abs().mean()) < 0.05
    # Alike, so that one may become the other: places are compared as a crowd.
    sizes = [s.place.norm(dim=-1)[..., 0].sort(-1).values for s in (found, known)]
    assert float((sizes[0] - sizes[1]).abs().mean()) < 0.03
    assert float(found.memory_s) == pytest.approx(float(known.memory_s), rel=0.5)


def test_too_few_clips_are_refused(recorded):
    with pytest.raises(InputError, match=r"errors of size.*record more clips"):
        fit_rivals(recorded[:0])
