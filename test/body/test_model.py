"""The body model: posed joints, landmarks and mesh."""

import torch

from d3pose_core.body import load_body


def test_rest_pose_stands_upright():
    body = load_body("free-low")
    zero = torch.zeros(1, 3), torch.zeros(1, 23, 3), torch.zeros(1, 10), torch.zeros(1, 3)
    vertices, joints = body(*zero)
    assert joints[0, 15, 1] > joints[0, 0, 1] > joints[0, 7, 1]
    assert vertices.shape[2] == 3
