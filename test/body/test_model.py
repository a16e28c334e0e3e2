"""The body model's fast paths against a slow reference and against smplx."""

import numpy as np
import pytest
import roma
import smplx
import torch
from smplx.utils import Struct
from smplx.vertex_ids import vertex_ids

from d3pose_core.body import FREE_BODIES, BodyModel, load_body
from d3pose_core.body.load import free_body_arrays, keypoint_matrix
from d3pose_core.errors import InputError
from d3pose_core.recovery import RecoveredPerson
from test.helpers.random_people import random_people
from test.helpers.smpl_reference import reference_forward

TOLERANCE_M = 1e-5


@pytest.fixture(scope="module", params=FREE_BODIES)
def name(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def body(name) -> BodyModel:
    return load_body(name)


@pytest.fixture(scope="module")
def low() -> BodyModel:
    return load_body("free-low")


def test_equals_smplx(name, body):
    people = random_people(8)
    global_orient, body_pose, betas, transl = people
    arrays = free_body_arrays(name)
    order = [*("nose", "reye", "leye", "rear", "lear"), "LBigToe", "LSmallToe", "LHeel"]
    order += ["RBigToe", "RSmallToe", "RHeel"]
    order += [s + f for s in "lr" for f in ("thumb", "index", "middle", "ring", "pinky")]
    oracle = smplx.SMPL(
        model_path="",
        data_struct=Struct(**arrays.smpl_file()),
        batch_size=8,
        vertex_ids=dict(zip(order, arrays.marker_vertices, strict=True)),
    )
    with torch.no_grad():
        expected = oracle(
            global_orient=global_orient,
            body_pose=body_pose.flatten(1),
            betas=betas,
            transl=transl,
        )
        vertices, joints = body(*people)
        landmarks = body.landmarks(*people)
    # smplx appends the 21 marker vertices to its 24 joints.
    expected_landmarks = torch.from_numpy(keypoint_matrix()) @ expected.joints
    assert (vertices - expected.vertices).abs().max() < TOLERANCE_M
    assert (joints - expected.joints[:, :24]).abs().max() < TOLERANCE_M
    assert (body.joints(*people) - joints).abs().max() < TOLERANCE_M
    assert (landmarks - expected_landmarks).abs().max() < TOLERANCE_M


@pytest.mark.parametrize("name", ["free-full", "free-mid"])
def test_full_and_mid_have_landmarks_where_smpl_has_them(name):
    markers = free_body_arrays(name).marker_vertices
    assert sorted(markers) == sorted(vertex_ids["smplh"].values())
    assert markers[0] == vertex_ids["smplh"]["nose"]


def test_equals_reference(name, body):
    people = random_people(3, seed=1)
    arrays = free_body_arrays(name)
    vertices, joints = body(*people)
    landmarks = body.landmarks(*people)
    for number, (global_orient, body_pose, betas, transl) in enumerate(zip(*people, strict=True)):
        pose = np.vstack([global_orient.numpy()[None], body_pose.numpy()])
        expected = reference_forward(arrays, pose, betas.numpy(), transl.numpy())
        points = np.concatenate([expected[1], expected[0][arrays.marker_vertices]])
        np.testing.assert_allclose(vertices[number], expected[0], atol=TOLERANCE_M)
        np.testing.assert_allclose(joints[number], expected[1], atol=TOLERANCE_M)
        np.testing.assert_allclose(landmarks[number], keypoint_matrix() @ points, atol=TOLERANCE_M)


def test_rotation_matrices_give_the_same(body):
    global_orient, body_pose, betas, transl = random_people(5, seed=2)
    rotations = roma.rotvec_to_rotmat(torch.cat([global_orient[:, None], body_pose], dim=1))
    vectors = global_orient, body_pose, betas, transl
    matrices = rotations, betas, transl
    for from_vectors, from_matrices in zip(
        body(*vectors), body.forward_matrices(*matrices), strict=True
    ):
        torch.testing.assert_close(from_vectors, from_matrices)
    torch.testing.assert_close(body.joints(*vectors), body.joints_matrices(*matrices))
    torch.testing.assert_close(body.landmarks(*vectors), body.landmarks_matrices(*matrices))


def test_a_batch_is_its_people_one_by_one(low):
    people = random_people(4, seed=3)
    together = low(*people)
    for number in range(4):
        alone = low(*(values[number : number + 1] for values in people))
        torch.testing.assert_close(together.vertices[number], alone.vertices[0])
    shared = low(people[0], people[1], people[2][:1], people[3][:1])
    torch.testing.assert_close(shared.vertices[0], together.vertices[0])


def test_an_empty_batch_is_empty(low):
    nobody = [values[:0] for values in random_people(1)]
    assert low(*nobody).vertices.shape == (0, low.num_vertices, 3)
    assert low.landmarks(*nobody).shape == (0, 33, 3)


@pytest.mark.parametrize("method", ["joints", "landmarks", "__call__"])
def test_gradients_are_finite_at_the_rest_pose(low, method):
    people = [torch.zeros_like(values).requires_grad_() for values in random_people(2)]
    points = getattr(low, method)(*people)
    points = points.vertices if method == "__call__" else points
    (points**2).sum().backward()
    for values in people:
        assert torch.isfinite(values.grad).all()
        assert values.grad.abs().max() > 0


def test_gradients_equal_finite_differences(low):
    double = load_body("free-low").double()
    people = [values[:1].double().requires_grad_() for values in random_people(1, seed=4)]
    assert torch.autograd.gradcheck(double.landmarks, people, atol=1e-6)


def test_rest_joints_are_the_joints_of_the_rest_pose(low):
    betas = random_people(3)[2]
    zero = torch.zeros(3, 3), torch.zeros(3, 23, 3)
    torch.testing.assert_close(low.joints(*zero, betas, torch.zeros(3, 3)), low.joints_rest(betas))


def test_the_arrays_come_back_as_they_were(name, body):
    arrays = free_body_arrays(name)
    np.testing.assert_array_equal(body.skin_weights, arrays.weights)
    np.testing.assert_array_equal(body.pose_displacements, arrays.posedirs.transpose(2, 0, 1))


def test_the_sparse_path_equals_the_one_with_gradients(name):
    body = load_body(name)
    people = random_people(4, seed=5)
    fast = body(*people).vertices
    assert body._mesh._sparse_posedirs is not None
    slow = body(*(values.clone().requires_grad_() for values in people)).vertices
    assert slow.requires_grad
    torch.testing.assert_close(fast, slow, atol=1e-6, rtol=0)
    double = body.double()(*(values.double() for values in people)).vertices
    assert double.dtype == torch.float64
    torch.testing.assert_close(fast, double.float(), atol=TOLERANCE_M, rtol=0)


def test_builds_of_torch_without_sparse_products_do_without():
    class Refusing:
        dtype = torch.float32

        def __matmul__(self, other):
            raise RuntimeError("requires MKL")

    body = load_body("free-low")
    people = random_people(2, seed=6)
    expected = body(*people).vertices
    body._mesh._sparse_posedirs = Refusing()
    for _ in range(2):
        torch.testing.assert_close(body(*people).vertices, expected)


def test_meshes_of_recovered_people(low):
    poses = random_people(3)
    people = [
        RecoveredPerson(
            track_id=number,
            confidence=1.0,
            global_orient=global_orient.numpy(),
            body_pose=body_pose.numpy(),
            betas=betas.numpy(),
            transl=transl.numpy().astype(np.float64),
            joints=np.zeros((24, 3), np.float32),
            joints_2d=np.zeros((24, 2), np.float32),
            joint_confidence=np.ones(24, np.float32),
            observation_age_s=0.0,
        )
        for number, (global_orient, body_pose, betas, transl) in enumerate(zip(*poses, strict=True))
    ]
    meshes = low.meshes(people)
    assert meshes.dtype == np.float32
    np.testing.assert_allclose(meshes, low(*poses).vertices, atol=1e-6)
    for person, mesh in zip(people, meshes, strict=True):
        np.testing.assert_allclose(low.vertices(person), mesh, atol=1e-6)
    assert low.meshes([]).shape == (0, low.num_vertices, 3)


def test_wrong_shapes_are_named(low):
    global_orient, body_pose, betas, transl = random_people(2)
    with pytest.raises(InputError, match=r"body_pose must have shape \[B, 23, 3\], got \[2, 69\]"):
        low.joints(global_orient, body_pose.flatten(1), betas, transl)
    with pytest.raises(InputError, match=r"betas must have shape \[B, 10\], got \[2, 16\]"):
        low(global_orient, body_pose, torch.zeros(2, 16), transl)
    with pytest.raises(InputError, match=r"rotations must have shape \[B, 24, 3, 3\]"):
        low.joints_matrices(torch.zeros(2, 23, 3, 3), betas, transl)
