"""People in the world: the transform is exact, and whoever stands still there, stands still."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from d3pose_core.body import load_body
from d3pose_core.model.checkpoint import load_model
from d3pose_core.recovery import MeshRecovery, RecoveredPerson
from d3pose_core.rigid import RigidTransform, rotation_matrix, rotation_vector
from d3pose_core.world import PeopleInWorld, into_frame
from test.helpers.drive import CAMERA, DrivePast

# The issue is what a robot needs: 5 cm and, of the body's orientation, 3 degrees.
POSITION_M, STEADY_DEG = 0.05, 3.0
# Until the camera has moved by a metre or two, nothing tells how far away somebody is.
SETTLING_S = 4.0


def posed(body, person: RecoveredPerson) -> tuple[np.ndarray, np.ndarray]:
    """Vertices and joints by the body model."""
    row = [
        torch.tensor(x)[None]
        for x in (person.global_orient, person.body_pose, person.betas, person.transl)
    ]
    return body.vertices(person), body.joints(*row)[0].numpy()


@pytest.mark.parametrize("seed", range(5))
def test_every_vertex_and_joint_goes_where_the_transform_takes_it(seed, make_posed_person):
    body, random = load_body("free-low"), np.random.default_rng(seed)
    person = make_posed_person(body, random)
    rotation = Rotation.random(random_state=seed).as_matrix()
    camera = RigidTransform(rotation, 5 * random.normal(size=3))

    there = into_frame(person, camera)

    vertices, joints = posed(body, person)
    vertices_there, joints_there = posed(body, there)
    np.testing.assert_allclose(vertices_there, camera.apply(vertices), atol=1e-5)
    np.testing.assert_allclose(joints_there, camera.apply(joints), atol=1e-5)
    np.testing.assert_allclose(there.joints, camera.apply(person.joints), atol=1e-5)
    np.testing.assert_array_equal(there.joints_2d, person.joints_2d)
    np.testing.assert_array_equal(there.body_pose, person.body_pose)


@pytest.fixture
def make_posed_person():
    def make(body, random) -> RecoveredPerson:
        pose = 0.5 * random.normal(size=(24, 3)).astype(np.float32)
        betas = random.normal(size=10).astype(np.float32)
        transl = random.normal(size=3).astype(np.float32) + np.float32((0, 0, 4))
        row = [torch.tensor(x)[None] for x in (pose[0], pose[1:], betas, transl)]
        return RecoveredPerson(
            track_id=1,
            confidence=0.9,
            global_orient=pose[0],
            body_pose=pose[1:],
            betas=betas,
            transl=transl,
            joints=body.joints(*row)[0].numpy(),
            joints_2d=random.normal(size=(24, 2)).astype(np.float32),
            joint_confidence=np.ones(24, np.float32),
            observation_age_s=0.0,
        )

    return make


def test_a_perfectly_recovered_person_stands_still(make_posed_person):
    body, drive, world = load_body("free-low"), DrivePast(3.0), PeopleInWorld()
    person = make_posed_person(body, np.random.default_rng(0))
    first = into_frame(person, drive.camera(0))
    for frame in range(drive.frames):
        camera = drive.camera(frame)
        (got,) = world([into_frame(first, camera.inverse())], camera, frame / 30)
        np.testing.assert_allclose(got.joints, first.joints, atol=2e-5)
        np.testing.assert_allclose(got.transl, first.transl, atol=2e-5)


@pytest.fixture(scope="module")
def drives():
    """Per drive: the drive, and who was recovered in each frame, in the camera."""
    result = []
    for seed in range(2):
        drive = DrivePast(7.0, seed)
        recovery = MeshRecovery(
            lambda image, stamp: [], load_model("d3pose-landmarks"), load_body("free-low")
        )
        recovery.smooth_distance = False
        people = [
            recovery.recover(drive.observations(k), k / 30, CAMERA) for k in range(drive.frames)
        ]
        result.append((drive, people))
    return result


def world_errors(drive, people, late_frames: int = 0, world=None):
    """After settling, by frame: position error, m, and rotation vector of the orientation's, rad.

    `late_frames`: so many frames late come the camera's poses.
    """
    world = world or PeopleInWorld()
    positions, turns = [], []
    for k, in_camera in enumerate(people):
        camera = drive.camera(max(k - late_frames, 0))
        for person in world(in_camera, camera, k / 30):
            if k / 30 >= SETTLING_S:
                positions.append(np.linalg.norm(person.joints[0] - drive.pelvis))
                turns.append(rotation_vector(drive.root.T @ rotation_matrix(person.global_orient)))
    return np.array(positions), np.array(turns)


def unsteadiness_deg(turns: np.ndarray) -> np.ndarray:
    """How far each orientation is from the drive's middle one."""
    return np.degrees(np.linalg.norm(turns - np.median(turns, axis=0), axis=-1))


def test_the_shipped_weights_see_somebody_stand_still(drives):
    positions, turns = zip(*(world_errors(*drive) for drive in drives), strict=True)
    errors = np.concatenate(positions)
    assert np.mean(errors < POSITION_M) > 0.95, np.percentile(errors, (50, 95, 100))
    steady = np.concatenate([unsteadiness_deg(turn) for turn in turns])
    assert np.mean(steady < STEADY_DEG) > 0.8, np.percentile(steady, (50, 80, 95))
    # That the body seems turned by some degrees, all the time, is the network's share.
    off = [np.degrees(np.linalg.norm(np.median(turn, axis=0))) for turn in turns]
    assert np.median(off) < 9, off


def test_without_the_filter_they_do_not(drives):
    class Unfiltered:
        def __call__(self, people, camera, stamp_s):
            return [into_frame(person, camera) for person in people]

    errors = np.concatenate([world_errors(*drive, world=Unfiltered())[0] for drive in drives])
    assert np.mean(errors < POSITION_M) < 0.5


def test_camera_poses_that_come_late_are_seen_to_fail(drives):
    """A quarter of a second: what looking up the newest transform gives instead of the image's."""
    errors = np.concatenate([world_errors(*drive, late_frames=8)[0] for drive in drives])
    assert np.mean(errors < POSITION_M) < 0.7


def test_gaps_and_resets_begin_anew(make_posed_person):
    body, world = load_body("free-low"), PeopleInWorld()
    person = make_posed_person(body, np.random.default_rng(0))
    camera = RigidTransform.identity()
    for k in range(30):
        world([person], camera, k / 30)
    moved = dataclasses.replace(person, joints=person.joints + 1, transl=person.transl + 1)
    (late,) = world([moved], camera, 10.0)
    np.testing.assert_allclose(late.joints, moved.joints, atol=1e-5)
    world.reset()
    (back,) = world([person], camera, 0.0)
    np.testing.assert_allclose(back.joints, person.joints, atol=1e-5)


def test_a_person_carried_on_stays_in_the_world_while_the_camera_drives(make_posed_person):
    body = load_body("free-low")
    person = make_posed_person(body, np.random.default_rng(3))
    world = PeopleInWorld()
    (before,) = world([person], RigidTransform(np.eye(3), np.zeros(3)), 0.0)
    carried = dataclasses.replace(person, observation_age_s=0.1)
    (after,) = world([carried], RigidTransform(np.eye(3), np.array([0.5, 0.0, 0.0])), 0.1)
    np.testing.assert_allclose(after.joints, before.joints, atol=1e-5)
    np.testing.assert_allclose(after.global_orient, before.global_orient, atol=1e-5)
