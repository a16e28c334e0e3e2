"""The file that the fit reads agrees with what it was made from."""

import numpy as np
import torch

from d3pose_core.model.fit import FIT_SIZE, POSE_ERRORS
from tools.pose_errors import definition, mirrored


def test_landmarks_lie_where_the_simulated_ones_do():
    """Measured anew (tools.measure_landmarks fit), they must be written here, too."""
    with np.load(POSE_ERRORS) as numbers:
        there = torch.from_numpy(numbers["definition"])
    torch.testing.assert_close(there, definition(), atol=1e-3, rtol=0.0)


def test_the_covariance_is_symmetric_in_every_sense():
    with np.load(POSE_ERRORS) as numbers:
        covariance = torch.from_numpy(numbers["covariance"])
    assert covariance.shape == (FIT_SIZE, FIT_SIZE)
    torch.testing.assert_close(covariance, covariance.T)
    assert torch.linalg.eigvalsh(covariance.double()).min() > 0
    of_a_mirror = mirrored(mirrored(covariance).T).T
    torch.testing.assert_close(covariance, of_a_mirror, atol=1e-5, rtol=1e-3)


def test_mirrored_twice_is_the_same():
    errors = torch.randn(5, FIT_SIZE)
    torch.testing.assert_close(mirrored(mirrored(errors)), errors)
