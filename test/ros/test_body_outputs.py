"""TF frames of people, joint angles, and REP-155's topics; hri_msgs is stood in for where it is missing."""

from __future__ import annotations

import types
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from sensor_msgs.msg import JointState
from std_msgs.msg import Header

from d3pose_core.body import load_body
from d3pose_core.errors import InputError
from d3pose_core.joint_angles import BODY_AXES, body_frame, global_rotations, rep155_joint_angles
from d3pose_core.recovery import RecoveredPerson
from d3pose_core.rigid import RigidTransform, rotation_matrix
from d3pose_core.skeleton import JOINT_NAMES
from d3pose_ros import bodies
from d3pose_ros.body_frames import people_transforms
from d3pose_ros.mesh_detail import mesh_body
from d3pose_ros.parameters import NodeParameters
from d3pose_ros.transforms import from_message


@pytest.fixture(scope="module")
def body():
    return load_body("free-low")


def posed(body, seed: int, track_id: int = 7) -> RecoveredPerson:
    random = np.random.default_rng(seed)
    pose = 0.5 * random.normal(size=(24, 3)).astype(np.float32)
    betas = random.normal(size=10).astype(np.float32)
    transl = np.float32((0.3, 0.1, 4))
    row = [torch.tensor(x)[None] for x in (pose[0], pose[1:], betas, transl)]
    return RecoveredPerson(
        track_id=track_id,
        confidence=0.75,
        global_orient=pose[0],
        body_pose=pose[1:],
        betas=betas,
        transl=transl,
        joints=body.joints(*row)[0].numpy(),
        joints_2d=random.uniform(20, 60, size=(24, 2)).astype(np.float32),
        joint_confidence=np.ones(24, np.float32),
        observation_age_s=0.0,
    )


def about(axis, angle: float) -> np.ndarray:
    return rotation_matrix(angle * np.array(axis, float))


@pytest.mark.parametrize("seed", range(20))
def test_rep155s_hinges_put_the_limbs_where_they_are(body, seed):
    """The chain of hinges of human_description's URDF, one after the other."""
    person = posed(body, seed)
    angles, (axes, _) = rep155_joint_angles(person), body_frame(person)
    assert len(angles) == 20
    torso = about((0, 1, 0), angles["waist"])
    for side, letter, m in (("left", "l", 1), ("right", "r", -1)):
        a = {name[2:]: value for name, value in angles.items() if name.startswith(f"{letter}_")}
        upper = torso @ about((0, 0, -m), a["y_shoulder"]) @ about((m, 0, 0), a["p_shoulder"])
        upper = upper @ about((0, 0, m), a["r_shoulder"])
        thigh = about((0, 0, -1), a["y_hip"]) @ about((m, 0, 0), a["p_hip"])
        thigh = thigh @ about((0, -1, 0), a["r_hip"])
        assert a["elbow"] >= 0
        assert a["knee"] <= 0
        for rotation, start, end, bend in (
            (upper, "shoulder", "elbow", 1.0),
            (upper @ about((0, -1, 0), a["elbow"]), "elbow", "wrist", a["elbow"]),
            (thigh, "hip", "knee", 1.0),
            (thigh @ about((0, -1, 0), a["knee"]), "knee", "ankle", a["knee"]),
        ):
            first, last = (JOINT_NAMES.index(f"{side}_{name}") for name in (start, end))
            direction = person.joints[last] - person.joints[first]
            direction /= np.linalg.norm(direction)
            got = axes @ rotation @ np.array([0, 0, -1.0])
            # A limb that is nearly straight keeps SMPL's twist, and its small bend another plane.
            np.testing.assert_allclose(got, direction, atol=1e-5 if abs(bend) > 0.11 else 0.12)
    head = torso @ about((1, 0, 0), angles["r_head"]) @ about((0, 0, 1), angles["y_head"])
    head = head @ about((0, -1, 0), angles["p_head"])
    smpl = global_rotations(person.global_orient, person.body_pose)[JOINT_NAMES.index("head")]
    np.testing.assert_allclose(axes @ head, smpl @ BODY_AXES, atol=1e-6)


def test_frames_lead_to_the_joints(body):
    person, header = posed(body, 1), Header(frame_id="odom")
    header.stamp.sec = 12
    frames = people_transforms(header, [person], with_joints=True)
    tree = {f.child_frame_id: (f.header.frame_id, from_message(f.transform)) for f in frames}
    assert len(tree) == 25
    assert all(f.header.stamp == header.stamp for f in frames)
    assert tree["body_7/left_elbow"][0] == "body_7/left_shoulder"
    rotations = global_rotations(person.global_orient, person.body_pose)

    def in_odom(name: str) -> RigidTransform:
        parent, place = tree[name]
        return place if parent == "odom" else in_odom(parent) @ place

    for k, name in enumerate(JOINT_NAMES):
        place = in_odom(f"body_7/{name}")
        np.testing.assert_allclose(place.translation, person.joints[k], atol=1e-5)
        np.testing.assert_allclose(place.rotation, rotations[k], atol=1e-6)
    forward, left, up = in_odom("body_7").rotation.T
    hips = person.joints[1] - person.joints[2]
    assert left @ hips > 0.9 * np.linalg.norm(hips)
    np.testing.assert_allclose(np.cross(forward, left), up, atol=1e-9)
    assert len(people_transforms(header, [person], with_joints=False)) == 1


@dataclass
class IdsList:
    header: Header
    ids: list[str] = field(default_factory=list)


@dataclass
class NormalizedRegionOfInterest2D:
    header: Header
    xmin: float
    ymin: float
    xmax: float
    ymax: float
    c: float


HRI = types.SimpleNamespace(
    IdsList=IdsList, NormalizedRegionOfInterest2D=NormalizedRegionOfInterest2D
)


class Topics:
    """Makes publishers that remember."""

    def __init__(self) -> None:
        self.sent: dict[str, list] = {}

    def make(self, message_type, topic):
        self.sent[topic] = []
        return types.SimpleNamespace(topic=topic, publish=self.sent[topic].append)

    def destroy(self, publisher) -> None:
        del self.sent[publisher.topic]


def header_at(seconds: int) -> Header:
    header = Header(frame_id="camera")
    header.stamp.sec = seconds
    return header


def test_rep155_topics_come_and_go_with_people(body):
    topics = Topics()
    out = bodies.BodyTopics(topics.make, topics.destroy, HRI)
    out.publish(header_at(1), [posed(body, 0, 3), posed(body, 1, 8)], 64, 48)
    assert set(topics.sent) == {
        "/humans/bodies/tracked",
        *(f"/humans/bodies/{i}/{t}" for i in ("p3", "p8") for t in ("roi", "joint_states")),
    }
    assert topics.sent["/humans/bodies/tracked"][-1].ids == ["p3", "p8"]
    (state,) = topics.sent["/humans/bodies/p8/joint_states"]
    assert isinstance(state, JointState)
    assert "l_elbow_p8" in state.name
    (roi,) = topics.sent["/humans/bodies/p3/roi"]
    assert 0 <= roi.xmin < roi.xmax <= 1
    assert 0 <= roi.ymin < roi.ymax <= 1
    points = posed(body, 0).joints_2d
    assert roi.xmin * 64 - 0.5 < points[:, 0].min()
    assert roi.c == 0.75

    out.publish(header_at(2), [posed(body, 1, 8)], 64, 48)
    assert topics.sent["/humans/bodies/tracked"][-1].ids == ["p8"]
    out.publish(header_at(3), [], 64, 48)
    assert "/humans/bodies/p3/roi" not in topics.sent
    assert "/humans/bodies/p8/roi" in topics.sent
    out.clear()
    assert list(topics.sent) == ["/humans/bodies/tracked"]
    assert topics.sent["/humans/bodies/tracked"][-1].ids == []
    out.close()
    assert topics.sent == {}


def test_two_cameras_people_have_names_of_their_own(body):
    """Track ids count for each camera: both may have a 3 who is somebody else."""
    front, back = (bodies.name_prefix(namespace) for namespace in ("/front", "/robot/back"))
    assert (front, back, bodies.name_prefix("/")) == ("front_", "robot_back_", "")
    person, topics = posed(body, 0, 3), Topics()
    out = bodies.BodyTopics(topics.make, topics.destroy, HRI, front)
    out.publish(header_at(1), [person], 64, 48)
    assert topics.sent["/humans/bodies/tracked"][-1].ids == ["front_p3"]
    assert "l_elbow_front_p3" in topics.sent["/humans/bodies/front_p3/joint_states"][0].name
    frames = people_transforms(header_at(1), [person], with_joints=True, prefix=back)
    names = [frame.child_frame_id for frame in frames]
    assert names[:2] == ["body_robot_back_3", "body_robot_back_3/pelvis"]


def test_joint_states_need_no_hri_msgs(body):
    topics = Topics()
    bodies.BodyTopics(topics.make, topics.destroy).publish(header_at(1), [posed(body, 0)], 64, 48)
    assert list(topics.sent) == ["/humans/bodies/p7/joint_states"]


def test_missing_hri_msgs_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "hri_msgs.msg", None)
    with pytest.raises(InputError, match="hri_msgs, which is not installed"):
        bodies.hri_messages()


def test_a_finer_mesh_of_the_same_body(body):
    fine = mesh_body(NodeParameters(mesh="free-mid"), body)
    person = posed(body, 0)
    assert len(fine.vertices(person)) > 3 * len(body.vertices(person))
    assert mesh_body(NodeParameters(), body) is body
    with pytest.raises(InputError, match="set mesh to body or off"):
        mesh_body(NodeParameters(mesh="free-mid"), types.SimpleNamespace(name="SMPL_MALE"))
