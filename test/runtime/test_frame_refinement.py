"""The runtimes' conjugate gradients stop early enough to be quick and late enough not to be seen."""

import pytest
import torch

from d3pose_core.model.checkpoint import load_model
from d3pose_core.runtime.frame_refinement import ITERATIONS
from d3pose_core.runtime.frames import OBSERVATION_NAMES, moving_people
from d3pose_core.runtime.single_frame import SingleFrame, state_shapes

FRAMES = 30


@torch.inference_mode()
def rotations(iterations: int, certainty: float | None) -> torch.Tensor:
    """[B, T, 24, 3, 3] of the shipped network, its fit solved with so many iterations.

    `certainty`: of all landmarks; None: each its own.
    """
    model = load_model("d3pose-landmarks")
    single = SingleFrame(model).eval()
    single.refinement.fit.iterations = iterations
    batch = moving_people(people=8, frames=FRAMES)
    if certainty is not None:
        batch.certainty[:] = certainty
    shapes = state_shapes(model.config).values()
    state = [torch.zeros(8, *shape, dtype=dtype) for shape, dtype in shapes]
    said = []
    for t in range(FRAMES):
        frame = batch[:, t : t + 1]
        made = single(*(getattr(frame, name) for name in OBSERVATION_NAMES), *state)
        said.append(made[0])
        state = list(made[-len(state) :])
    return torch.cat(said, 1)


def degrees_apart(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return (a - b).flatten(-2).norm(dim=-1) / 2**0.5 * 180 / torch.pi


@pytest.mark.parametrize("certainty", [None, 0.6, 1.0])
def test_what_is_left_is_not_seen(certainty):
    """The more certain the landmarks, the more iterations it takes."""
    exact = rotations(200, certainty)
    assert degrees_apart(rotations(ITERATIONS, certainty), exact).max() < 0.02
    assert degrees_apart(rotations(ITERATIONS // 4, certainty), exact).max() > 0.1  # it can be told
