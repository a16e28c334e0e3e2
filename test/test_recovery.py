"""The pipeline: real people in real frames, and its memory of them."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from d3pose_core import InputError, Intrinsics, MeshRecovery
from d3pose_core.body import load_body
from d3pose_core.camera import up_of_tilt
from d3pose_core.model.checkpoint import load_model
from d3pose_core.model.confidence import probability_within
from d3pose_core.model_files import model_path
from d3pose_core.observe import BlazePoseObserver, PersonObservation
from d3pose_core.recovery import CARRY_S, MEMORY_S
from d3pose_core.runtime.choice import open_runtime
from d3pose_core.skeleton import (
    JOINT_MIRROR,
    JOINT_NAMES,
    LANDMARK_MIRROR,
    LANDMARK_NAMES,
    LANDMARK_TO_JOINT,
)
from d3pose_core.video import ClipReader

CAMERA = Intrinsics.from_hfov(60, 640, 480)
IMAGE = np.zeros((480, 640, 3), np.uint8)


class ScriptedObserver:
    """Reports the people it is told to, wherever the image shows them."""

    def __init__(self):
        self.next: list[PersonObservation] = []
        self.resets = 0

    def __call__(self, image_bgr, stamp_s):
        return self.next

    def reset(self):
        self.resets += 1


def standing_person(track_id: int, x_m: float = 0.0, depth_m: float = 4.0) -> PersonObservation:
    """Perfect landmarks of the free body in T-pose, seen from the front."""
    body = load_body("free-low")
    facing = torch.tensor([[np.pi, 0.0, 0.0]])  # y up, +z forward -> y down, facing the camera
    points = body.landmarks(
        facing,
        torch.zeros(1, 23, 3),
        torch.zeros(1, 10),
        torch.tensor([[x_m, 0.3, depth_m]]),
    )[0].numpy()
    hips = [LANDMARK_NAMES.index(f"{side}_hip") for side in ("left", "right")]
    relative = points - points[hips].mean(0)
    keypoints = CAMERA.project(points)
    return PersonObservation(
        track_id=track_id,
        keypoints=keypoints,
        depth_hint=relative[:, 2] * CAMERA.fx / depth_m,
        landmarks=relative,
        visibility=np.ones(33),
        presence=np.ones(33),
        certainty=np.full(33, 0.9),
        score=0.9,
        box=np.concatenate([keypoints.min(0), keypoints.max(0)]),
    )


@pytest.fixture
def observer():
    return ScriptedObserver()


@pytest.fixture
def recovery(observer):
    return MeshRecovery(observer, load_model("d3pose-landmarks"), load_body("free-low"))


def run(recovery, observer, people, frames, start=0):
    for i in range(start, start + frames):
        observer.next = people
        result = recovery(IMAGE, i / 30, CAMERA)
    return result


def test_a_perfectly_seen_person_stands_where_they_stand(recovery, observer):
    (person,) = run(recovery, observer, [standing_person(3, x_m=0.8, depth_m=4.0)], 30)
    assert person.track_id == 3
    pelvis = person.joints[0]
    assert abs(pelvis[2] - 4.0) < 0.6
    assert abs(pelvis[0] - 0.8) < 0.2
    head, ankle = (person.joints[JOINT_NAMES.index(n)] for n in ("head", "left_ankle"))
    assert head[1] < ankle[1] - 1.0, "upright: y points down"
    left, right = (person.joints[JOINT_NAMES.index(f"{s}_shoulder")] for s in ("left", "right"))
    assert left[0] > right[0] + 0.2, "not mirrored: facing us, the left shoulder is on our right"
    for name in ("global_orient", "body_pose", "betas", "transl", "joints", "joint_confidence"):
        assert getattr(person, name).dtype == np.float32, name


def test_mirrored_people_are_recovered_as_mirrored_people(recovery, observer):
    """The pipeline runs both ways; a runtime that is handed in runs as it is, which is not symmetric."""
    seen = standing_person(0, x_m=0.8)
    noise = np.random.default_rng(0).normal(0, 4.0, (33, 2))
    seen = replace(seen, keypoints=seen.keypoints + noise)
    order, x_turned = list(LANDMARK_MIRROR), np.array([-1.0, 1.0, 1.0])
    in_mirror = replace(
        seen,
        keypoints=([2 * CAMERA.cx, 0] + seen.keypoints * [-1, 1])[order],
        landmarks=(seen.landmarks * x_turned)[order],
        depth_hint=seen.depth_hint[order],
    )

    def apart(recovery) -> float:
        (person,) = run(recovery, observer, [seen], 10)
        recovery.reset()
        (other,) = run(recovery, observer, [in_mirror], 10)
        return np.abs(other.joints * x_turned - person.joints[list(JOINT_MIRROR)]).max()

    assert apart(recovery) < 0.001
    one_way = open_runtime(recovery.model, "torch")
    assert apart(MeshRecovery(observer, recovery.model, recovery.body, runtime=one_way)) > 0.01


def test_what_another_runtime_remembers_is_refused(recovery):
    """Nor is what an earlier version of the package kept, when it ran one way."""
    runtime = open_runtime(recovery.model, "onnx")
    one_way, both_ways = (
        MeshRecovery(BlazePoseObserver(), recovery.model, recovery.body, runtime=step)
        for step in (runtime, "onnx")
    )
    memory = one_way.memory() | {"remembered": [None], "states": [runtime.initial_state(1)]}
    one_way.recall(memory)
    with pytest.raises(InputError, match="of another runtime, or of an earlier version"):
        both_ways.recall(memory)


def test_the_mesh_the_joints_and_the_parameters_agree(recovery, observer):
    (person,) = run(recovery, observer, [standing_person(0)], 5)

    def row(x):
        return torch.tensor(x)[None]

    joints = recovery.body.joints(
        row(person.global_orient), row(person.body_pose), row(person.betas), row(person.transl)
    )[0].numpy()
    assert np.allclose(joints, person.joints, atol=1e-4)
    assert np.allclose(CAMERA.project(person.joints), person.joints_2d, atol=1e-2)
    vertices = recovery.body.vertices(person)
    assert (vertices.min(0) < person.joints.min(0)).all()
    assert (vertices.max(0) > person.joints.max(0)).all()


def test_front_taken_for_back_for_a_moment_turns_nobody(recovery, observer):
    """Their neighbour, who is seen rightly all the while, is not touched."""
    right, other = standing_person(1, x_m=-1.0), standing_person(2, x_m=1.2)
    mirror = list(LANDMARK_MIRROR)
    mistaken = replace(
        right,
        keypoints=right.keypoints[mirror],
        landmarks=right.landmarks[mirror] * (1, 1, -1),
        depth_hint=-right.depth_hint[mirror],
    )
    undisturbed = MeshRecovery(observer, recovery.model, recovery.body)
    expected = run(undisturbed, observer, [right, other], 36)
    run(recovery, observer, [right, other], 30)
    assert recovery.turned == 0
    for i in range(30, 36):
        after = run(recovery, observer, [mistaken, other], 1, start=i)
        assert recovery.turned == 1
    for person, same in zip(after, expected, strict=True):
        assert np.allclose(person.joints, same.joints, atol=1e-3)


def test_people_are_recovered_side_by_side_as_alone(recovery, observer):
    left, right = standing_person(1, x_m=-1.0), standing_person(2, x_m=1.2, depth_m=5.0)
    together = run(recovery, observer, [left, right], 8)
    assert [p.track_id for p in together] == [1, 2]
    recovery.reset()
    (alone,) = run(recovery, observer, [right], 8)
    assert np.allclose(alone.joints, together[1].joints, atol=1e-4)


def test_a_person_out_of_sight_is_carried_on_for_a_moment_and_remembered_longer(recovery, observer):
    person = standing_person(1)
    (last,) = run(recovery, observer, [person], 20)
    (carried,) = run(recovery, observer, [], 3, start=20)
    assert carried.track_id == 1
    assert np.array_equal(carried.joints, last.joints)
    assert carried.observation_age_s == pytest.approx(0.1)
    assert carried.confidence == pytest.approx(last.confidence * (1 - 0.1 / CARRY_S))
    assert np.all(carried.joint_confidence < last.joint_confidence)
    assert run(recovery, observer, [], 12, start=23) == []  # to 0.5 s
    (back,) = run(recovery, observer, [person], 1, start=35)
    assert back.observation_age_s == 0
    (after_reset,) = _fresh(recovery, observer, person)
    assert not np.allclose(back.joints, after_reset.joints, atol=1e-5), "the past is remembered"


def test_a_long_absence_starts_afresh(recovery, observer):
    person = standing_person(1)
    run(recovery, observer, [person], 20)
    observer.next = [person]
    (late,) = recovery(IMAGE, 20 / 30 + MEMORY_S + 0.5, CAMERA)
    (fresh,) = _fresh(recovery, observer, person)
    assert np.allclose(late.joints, fresh.joints, atol=1e-5)


def test_time_that_jumps_back_starts_afresh(recovery, observer):
    person = standing_person(1)
    run(recovery, observer, [person], 20, start=300)
    observer.next = [person]
    (looped,) = recovery(IMAGE, 0.0, CAMERA)
    assert observer.resets == 1
    (fresh,) = _fresh(recovery, observer, person)
    assert np.allclose(looped.joints, fresh.joints, atol=1e-5)


def test_an_image_that_is_not_the_cameras_is_refused(recovery):
    with pytest.raises(InputError, match="320 x 240 but the intrinsics are for 640 x 480"):
        recovery(np.zeros((240, 320, 3), np.uint8), 0.0, CAMERA)


def test_an_unknown_device_is_refused(observer):
    with pytest.raises(InputError, match="cannot use device 'abacus'"):
        MeshRecovery.from_pretrained(device="abacus", observer=observer)


def test_probability_within_a_radius_is_a_gaussians():
    sigma = 0.05
    samples = sigma * np.random.default_rng(0).normal(size=(200_000, 3))
    expected = (np.linalg.norm(samples, axis=1) < 0.1).mean()
    got = float(probability_within(torch.tensor(2 * np.log(sigma)), 0.1))
    assert got == pytest.approx(expected, abs=0.005)


@pytest.fixture(scope="module")
def clip_people():
    """The first three seconds of the demo clip, by the shipped pipeline."""
    clip = ClipReader(model_path("demo.mp4"), max_frames=90)
    camera = Intrinsics.from_hfov(60, clip.width, clip.height)
    recovery = MeshRecovery.from_pretrained("d3pose-landmarks")
    observed: list[list[PersonObservation]] = []
    observe = recovery.observer

    class Remembering:
        def __call__(self, image, stamp):
            observed.append(observe(image, stamp))
            return observed[-1]

        def reset(self):
            observe.reset()

    recovery.observer = Remembering()
    people = [recovery(frame.image, frame.time_s, camera) for frame in clip]
    return people, observed


def test_real_people_are_found_and_keep_their_ids(clip_people):
    people, _ = clip_people
    counts = [len(p) for p in people]
    assert np.mean([c >= 1 for c in counts[10:]]) > 0.95
    ids = {person.track_id for frame in people for person in frame}
    assert 1 <= len(ids) <= 4, f"two people walk through the clip, ids were {sorted(ids)}"


def test_the_body_stands_on_the_person(clip_people):
    """Joints project near the landmarks that were seen, and the body is upright and unmirrored."""
    landmark, joint = (list(column) for column in zip(*LANDMARK_TO_JOINT, strict=True))
    errors = []
    for people, observed in zip(*clip_people, strict=True):
        seen = {o.track_id: o for o in observed}
        for person in people:
            points = seen[person.track_id].keypoints
            height = np.ptp(points[:, 1])
            distance = np.linalg.norm(person.joints_2d[joint] - points[landmark], axis=1)
            errors.append(np.median(distance) / height)
            assert person.joints[JOINT_NAMES.index("head")][1] < person.joints[0][1]
            assert 1.0 < person.transl[2] < 15.0
    assert np.median(errors) < 0.045  # of the height


def _fresh(recovery, observer, person):
    recovery.reset()
    return run(recovery, observer, [person], 1)


def test_a_given_stature_sets_the_scale(observer):
    """One camera cannot see scale: twice as tall who looks the same is twice as far."""
    network, body = load_model("d3pose-landmarks"), load_body("free-low")
    seen = [standing_person(3)]
    (estimated,) = run(MeshRecovery(observer, network, body), observer, seen, 30)
    assert 1.4 < estimated.stature_m < 2.1
    assert 0.0 < estimated.stature_std_m < 0.3

    child = MeshRecovery(observer, network, body, stature_m=1.2)
    (told,) = run(child, observer, seen, 30)
    assert (told.stature_m, told.stature_std_m) == (pytest.approx(1.2), 0.0)
    assert body.stature(torch.as_tensor(told.betas)) == pytest.approx(1.2, abs=1e-4)
    assert told.joints[0, 2] == pytest.approx(
        estimated.joints[0, 2] * 1.2 / estimated.stature_m, rel=1e-4
    )
    # The image stays as it was, to within what the shape's other proportions change.
    assert np.abs(told.joints_2d - estimated.joints_2d).mean() < 8

    with pytest.raises(InputError, match=r"stature_m must be 0.4 to 2.6 m, .* got 17"):
        MeshRecovery(observer, network, body, stature_m=17)


def test_who_comes_out_as_nan_is_left_out_and_begun_anew(recovery, observer):
    """Else the network's memory would keep the nan for as long as the person is seen."""
    broken = replace(standing_person(2, x_m=1.0), keypoints=np.full((33, 2), np.nan))
    observer.next = [standing_person(1), broken]
    alone = [person for k in range(3) for person in recovery(IMAGE, k / 30, CAMERA)]
    assert [person.track_id for person in alone] == [1, 1, 1]
    assert recovery.not_finite == 1
    observer.next = [standing_person(1), standing_person(2, x_m=1.0)]
    people = recovery(IMAGE, 3 / 30, CAMERA)
    assert [person.track_id for person in people] == [1, 2]
    assert recovery.not_finite == 0
    assert all(np.isfinite(person.joints).all() for person in people)
    observer.next = []
    recovery(IMAGE, 4 / 30, CAMERA)
    assert recovery.not_finite == 0


@pytest.mark.parametrize("count", [1, 3])
def test_another_number_of_rivals_is_refused_with_the_shapes(recovery, observer, count):
    rivals = {"rivals": np.zeros((33, count, 2)), "rival_certainty": np.zeros((33, count))}
    person = replace(standing_person(0), **rivals)
    with pytest.raises(
        InputError, match=rf"\[33, 2, 2\].*got \[33, {count}, 2\] and \[33, {count}\]"
    ):
        run(recovery, observer, [person], 1)


def test_the_network_is_shown_what_was_observed(recovery, observer, monkeypatch):
    rng = np.random.default_rng(5)
    shapes = {
        "visibility": (33,),
        "presence": (33,),
        "certainty": (33,),
        "rival_certainty": (33, 2),
    }
    told = {name: rng.uniform(0.4, 1.0, s).astype(np.float32) for name, s in shapes.items()}
    told["rivals"] = rng.uniform(0.0, 400.0, (33, 2, 2)).astype(np.float32)
    shown = []
    step = recovery.step.step

    def watched_step(frame, state):
        shown.append(frame)
        return step(frame, state)

    monkeypatch.setattr(recovery.step, "step", watched_step)
    run(recovery, observer, [replace(standing_person(0), **told)], 1)
    rays = shown[0].rival_rays[0, 0].numpy()
    np.testing.assert_allclose(rays, CAMERA.rays(told.pop("rivals")), atol=1e-6)
    for name, values in told.items():
        np.testing.assert_array_equal(getattr(shown[0], name)[0, 0].numpy(), values, err_msg=name)


@pytest.mark.parametrize(
    "up",
    [
        np.zeros(3),
        np.array([0.0, np.nan, 0.0]),
        np.ones(2),
        np.ones((1, 3)),
        [np.inf, 0, 0],
        "up",
        {},
    ],
)
def test_an_up_that_is_no_direction_is_refused(recovery, up):
    with pytest.raises(InputError, match="three numbers that point against gravity"):
        recovery.recover([standing_person(1)], 0.0, CAMERA, up)
    recovery.observer = None  # not even asked
    with pytest.raises(InputError, match="three numbers that point against gravity"):
        recovery(IMAGE, 0.0, CAMERA, up)


def test_up_may_have_any_length(recovery):
    up = np.array([0.0, -0.9, 0.3])
    people = []
    for given in (up, 9.8 * up):
        recovery.reset()
        people += recovery.recover([standing_person(1)], 0.0, CAMERA, given)
    np.testing.assert_array_equal(people[0].joints, people[1].joints)


def lean_deg(recovery, up: np.ndarray | None) -> float:
    """How far the recovered trunk leans towards the camera, after half a second."""
    recovery.reset()
    for frame in range(15):
        (person,) = recovery.recover([standing_person(1)], frame / 30, CAMERA, up)
    neck, pelvis = (person.joints[JOINT_NAMES.index(name)] for name in ("neck", "pelvis"))
    _, y, z = neck - pelvis
    return float(np.degrees(np.arctan2(-z, -y)))


def test_who_stands_before_a_tilted_camera_leans_in_it(recovery):
    """The same landmarks; a camera that looks up sees upright people lean away from it."""
    leans = [lean_deg(recovery, up_of_tilt(pitch, 0.0)) for pitch in (-8.0, 0.0, 8.0)]
    assert leans[0] + 0.5 < leans[1] < leans[2] - 0.5


def test_the_parameters_are_turned_as_the_joints_are(recovery):
    (person,) = recovery.recover([standing_person(1)], 0.0, CAMERA, up_of_tilt(20.0, 5.0))
    recovery.reset()
    (as_seen,) = recovery.recover([standing_person(1)], 0.0, CAMERA)
    assert np.abs(person.joints - as_seen.joints).max() > 0.02
    np.testing.assert_allclose(person.joints[0], as_seen.joints[0], atol=1e-5)
    rows = (person.global_orient, person.body_pose, person.betas, person.transl)
    joints = recovery.body.joints(*(torch.tensor(row)[None] for row in rows))[0].numpy()
    np.testing.assert_allclose(person.joints, joints, atol=1e-4)
    np.testing.assert_allclose(person.joints_2d, CAMERA.project(person.joints), atol=0.1)


def test_what_the_next_frame_is_compared_with_stays_as_it_was_seen(recovery, observer):
    """So that up changes nothing of what the network reads; and who is carried on is turned, too."""
    told = recovery.another(recovery.observer)
    for frame in range(3):
        people = [standing_person(1)]
        seen = recovery.recover(people, frame / 30, CAMERA)
        turned = told.recover(people, frame / 30, CAMERA, up_of_tilt(20.0, 0.0))
        np.testing.assert_array_equal(told._tracks[1].last.joints, seen[0].joints)
        assert np.abs(turned[0].joints - seen[0].joints).max() > 0.02
    (carried,) = told.recover([], 0.1, CAMERA, up_of_tilt(20.0, 0.0))
    np.testing.assert_allclose(carried.joints, turned[0].joints, atol=1e-6)
    assert told.recover([], 0.1 + MEMORY_S, CAMERA, up_of_tilt(20.0, 0.0)) == []
    assert told.recover([], 0.2 + 2 * MEMORY_S, CAMERA, up_of_tilt(20.0, 0.0)) == []
