"""Rigid transforms against scipy's rotations and 4x4 matrices."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from d3pose_core.errors import InputError
from d3pose_core.rigid import RigidTransform, quaternion_of, rotation_matrix, rotation_vector

seeds = st.integers(0, 10_000)


def random_transform(random: np.random.Generator) -> RigidTransform:
    rotation = Rotation.random(random_state=random.integers(2**31)).as_matrix()
    return RigidTransform(rotation, random.normal(size=3))


def matrix(transform: RigidTransform) -> np.ndarray:
    result = np.eye(4)
    result[:3, :3], result[:3, 3] = transform.rotation, transform.translation
    return result


@settings(deadline=None, max_examples=50)
@given(seeds)
def test_composition_inverse_and_points_are_those_of_matrices(seed):
    random = np.random.default_rng(seed)
    a, b, points = random_transform(random), random_transform(random), random.normal(size=(5, 3))
    np.testing.assert_allclose(matrix(a @ b), matrix(a) @ matrix(b), atol=1e-12)
    np.testing.assert_allclose(matrix(a.inverse()), np.linalg.inv(matrix(a)), atol=1e-12)
    expected = np.c_[points, np.ones(5)] @ matrix(a).T
    np.testing.assert_allclose(a.apply(points), expected[:, :3], atol=1e-12)


@settings(deadline=None, max_examples=100)
@given(seeds, st.sampled_from([1e-9, 1e-4, 1.0, np.pi - 1e-7, np.pi]))
def test_rotations_are_scipys(seed, angle):
    axis = np.random.default_rng(seed).normal(size=3)
    vector = angle * axis / np.linalg.norm(axis)
    rotation = Rotation.from_rotvec(vector)
    np.testing.assert_allclose(rotation_matrix(vector), rotation.as_matrix(), atol=1e-12)
    quaternion = quaternion_of(rotation.as_matrix())
    assert abs(abs(quaternion @ rotation.as_quat()) - 1) < 1e-12
    again = rotation_matrix(rotation_vector(rotation.as_matrix()))
    np.testing.assert_allclose(again, rotation.as_matrix(), atol=1e-7)
    built = RigidTransform.from_quaternion(3 * quaternion, np.zeros(3)).rotation
    np.testing.assert_allclose(built, rotation.as_matrix(), atol=1e-12)


@pytest.mark.parametrize(
    ("quaternion", "translation"),
    [
        ((0, 0, 0, 0), (0, 0, 0)),
        ((0, 0, 0, 1), (0, np.nan, 0)),
        ((np.inf, 0, 0, 1), (0, 0, 0)),
        ((1.7e308, 0, 0, 1.7e308), (0, 0, 0)),
        ((0, 0, 0, 1), (0, 0, 1e300)),
    ],
)
def test_what_is_no_transform_is_refused(quaternion, translation):
    with pytest.raises(InputError, match="not a rigid transform"):
        RigidTransform.from_quaternion(np.array(quaternion), np.array(translation))
