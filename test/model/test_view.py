"""The view camera is an exact change of coordinates."""

import hypothesis.strategies as st
import roma
import torch
from hypothesis import given, settings

from d3pose_core.model.view import (
    ViewCamera,
    into_view,
    look_at_rotation,
    out_of_view,
    pelvis_of,
    place_of,
    view_rays,
)

tangent = st.floats(-2, 2)


@given(tangent, tangent)
@settings(deadline=None)
def test_looking_at_a_ray_puts_it_in_the_centre(x, y):
    direction = torch.tensor([x, y], dtype=torch.float64)
    rotation = look_at_rotation(direction)
    assert torch.allclose(rotation @ rotation.T, torch.eye(3, dtype=torch.float64), atol=1e-9)
    assert view_rays(direction[None], rotation).abs().max() < 1e-6
    # No roll: the turn's axis lies in the image plane.
    assert abs(float(roma.rotmat_to_rotvec(rotation)[2])) < 1e-9


@given(st.integers(0, 10_000))
@settings(deadline=None, max_examples=30)
def test_poses_and_places_come_back(seed):
    rng = torch.Generator().manual_seed(seed)
    view = ViewCamera(
        look_at_rotation(torch.randn(1, 2, 2, generator=rng) * 0.5),
        0.05 + torch.rand(1, 2, generator=rng),
    )
    rotations = roma.rotvec_to_rotmat(torch.randn(1, 2, 24, 3, generator=rng))
    assert torch.allclose(out_of_view(into_view(rotations, view), view), rotations, atol=1e-5)
    # A place is defined in front of the view camera, where the person is.
    place = torch.randn(1, 2, 3, generator=rng) * 0.3
    assert torch.allclose(place_of(pelvis_of(place, view), view), place, atol=1e-4)
