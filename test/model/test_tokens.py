"""What the network is told of up: in the view camera, and as the landmarks' heights."""

import dataclasses

import torch

from d3pose_core.model.tokens import HEIGHT, tokenize
from test.helpers.observations import random_observations


def observations(**changes):
    batch = random_observations(people=2, frames=3)
    batch.seen[:] = True
    return dataclasses.replace(batch, **changes)


def test_up_is_told_in_the_camera_that_looks_at_the_person():
    up = torch.tensor([0.0, -0.8, 0.6]).expand(2, 3, 3)
    tokens = tokenize(observations(up=up), 0.3)
    told = (tokens.view.rotation @ tokens.up[..., None])[..., 0]
    torch.testing.assert_close(told, up)
    torch.testing.assert_close(tokens.frame_features[..., -3:], tokens.up)


def test_landmarks_have_heights_where_up_is_known():
    up = torch.tensor([0.0, -1.0, 0.0]).expand(2, 3, 3).clone()
    up[1] = 0
    batch = observations(up=up)
    batch.rays[..., 0] -= batch.rays[..., 0].mean()
    heights = tokenize(batch, 0.3).landmark_features[..., HEIGHT]
    # The view camera is turned by some degrees, so that up is not quite -y there.
    torch.testing.assert_close(heights[0], -2 * batch.landmarks[0, ..., 1], atol=0.2, rtol=0)
    assert heights[0].std() > 0.3
    assert not heights[1].any()
