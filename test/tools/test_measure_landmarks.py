"""Renders of known truth: what is drawn where, what can be seen, and what is recorded of it."""

import numpy as np
import pytest
import torch

pytest.importorskip("numba", reason="pip install numba scikit-image, to measure landmarks")
pytest.importorskip("skimage", reason="pip install numba scikit-image, to measure landmarks")

from d3pose_core.body.load import free_body_arrays
from d3pose_core.camera import Intrinsics
from d3pose_core.data.motions import MotionLibrary
from d3pose_core.data.rendered import RenderedSet, Start
from d3pose_core.data.sight import Sight
from d3pose_core.observe.observation import PersonObservation, Roi
from d3pose_core.skeleton import LANDMARK_MIRROR, LANDMARK_NAMES
from test.helpers.motion_shard import write_motion_shard
from tools.measure_landmarks import record as recording
from tools.measure_landmarks.errors import Errors
from tools.measure_landmarks.picture import Camera
from tools.measure_landmarks.rasterizer import BACKGROUND, DepthBuffer, vertex_normals
from tools.measure_landmarks.scenery import _box
from tools.measure_landmarks.scenes import Scene

FRAMES = 16
SIDES = ("left", "right")


class PerfectObserver:
    """Reports the true landmarks, once it has been told where the person is."""

    def __init__(self, scene: Scene):
        self._scene, self._found = scene, False

    def reset(self) -> None:
        self._found = False

    def tell(self, image_bgr: np.ndarray, roi: Roi, stamp_s: float) -> bool:
        self._found = True
        return True

    def __call__(self, image_bgr: np.ndarray, stamp_s: float) -> list[PersonObservation]:
        if not self._found:
            return []
        t = int(np.argmin(np.abs(self._scene.times_s - stamp_s)))
        landmarks = self._scene.landmarks[t]
        pixels = self._scene.intrinsics.project(landmarks)
        ones = np.ones(33, np.float32)
        confidences = (ones, ones, ones)
        rivals = np.stack([pixels + 7.0, pixels - 3.0], 1)
        certainty = np.tile([0.5, 0.0], (33, 1))
        box = np.zeros(4)
        return [
            PersonObservation(
                *(0, pixels, 0 * ones, landmarks, *confidences, 1.0, box, rivals, certainty)
            )
        ]


@pytest.fixture(scope="module")
def studio(tmp_path_factory) -> recording.Studio:
    shard = write_motion_shard(tmp_path_factory.mktemp("motions") / "shard.npz")
    return recording.Studio(MotionLibrary([shard], "train"), FRAMES, rate_hz=30.0, seed=3)


@pytest.fixture(autouse=True)
def _no_photographs(monkeypatch):
    """The demo clip's scenery needs a fetched file; these tests do not."""
    noise = np.random.default_rng(0).integers(0, 255, (240, 320, 3)).astype(np.uint8)
    monkeypatch.setattr("tools.measure_landmarks.scenery.photographs", lambda: [noise])


def test_depth_buffer_keeps_the_nearest():
    square = np.array([[0, 0], [8, 0], [8, 8], [0, 8]], float)
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    buffer = DepthBuffer.empty(10, 10)
    buffer.draw(np.insert(square, 2, 2.0, axis=1), faces)
    buffer.draw(np.insert(square / 2, 2, 1.0, axis=1), faces, first_face=2)
    buffer.draw(np.insert(square, 2, 3.0, axis=1), faces, first_face=4)
    np.testing.assert_allclose(1 / buffer.inverse_depth[:4, :4], 1.0)
    np.testing.assert_allclose(1 / buffer.inverse_depth[4:8, 4:8], 2.0)
    assert set(np.unique(buffer.face[:8, :8])) == {0, 1, 2, 3}
    assert (buffer.face[8:] == BACKGROUND).all()


def test_depth_is_right_within_slanted_faces():
    corners = np.array([[-1, -1, 2], [1, -1, 6], [0, 2, 4]], float)
    points = np.concatenate([corners[:, :2] / corners[:, 2:] * 100 + 100, corners[:, 2:]], 1)
    buffer = DepthBuffer.empty(200, 200)
    buffer.draw(points, np.array([[0, 1, 2]]))
    middle = corners.mean(0)
    x, y = (middle[:2] / middle[2] * 100 + 100).astype(int)
    assert 1 / buffer.inverse_depth[y, x] == pytest.approx(middle[2], rel=0.02)


def test_box_looks_outwards_or_is_at_least_flat():
    vertices, faces = _box(cells=4)
    normals = vertex_normals(vertices, faces)
    inner = (np.abs(vertices) < 0.5).sum(1) == 2  # not on an edge
    assert np.abs((normals[inner] * vertices[inner]).sum(1)) == pytest.approx(0.5)


def _standing(turn_deg: float, studio: recording.Studio) -> Camera:
    """A person in the T-pose 3 m before a camera at hip height, turned about the vertical."""
    scene, _, _ = studio.clip(0)
    turn = np.radians(turn_deg)
    upright = np.diag([1.0, -1.0, -1.0])
    about_y = [[np.cos(turn), 0, np.sin(turn)], [0, 1, 0], [-np.sin(turn), 0, np.cos(turn)]]
    rotations = np.tile(np.eye(3), (24, 1, 1))
    rotations[0] = upright @ np.array(about_y)
    body = studio._body
    with torch.inference_mode():
        pose = torch.from_numpy(rotations[None]).float(), torch.zeros(1, 10)
        transl = torch.tensor([[0.0, 0.0, 3.0]])
        scene.vertices = body.forward_matrices(*pose, transl).vertices.numpy()
        scene.landmarks = body.landmarks_matrices(*pose, transl).numpy()
    scene.times_s = np.zeros(1)
    scene.intrinsics = Intrinsics.from_hfov(60, 640, 480)
    for seed in range(20):
        camera = Camera(scene, free_body_arrays("free-mid"), studio._depths, seed)
        if camera._obstacle is None:
            return camera
    raise AssertionError("every clip has an obstacle")


def test_what_can_be_seen_from_front_side_and_back(studio):
    sight = {turn: _standing(turn, studio).take(0)[1] for turn in (0, 90, -90, 180)}
    assert (sight[0][:7] == Sight.VISIBLE).all()
    assert (sight[180][:7] == Sight.BEHIND_SELF).all()
    # Turned by 90 degrees the left side of the body is away from the camera.
    for turn, hidden, seen in ((90, "left", "right"), (-90, "right", "left")):
        for part in ("ear", "eye_outer", "knee"):
            by_side = {s: sight[turn][LANDMARK_NAMES.index(f"{s}_{part}")] for s in SIDES}
            assert by_side[hidden] == Sight.BEHIND_SELF, (turn, part)
            assert by_side[seen] == Sight.VISIBLE, (turn, part)


def test_person_is_drawn_where_the_truth_says(studio):
    camera = _standing(0, studio)
    camera._blur, camera._noise, camera._jpeg_quality = 0, 0, 95
    with_person, _ = camera.take(0)
    empty = camera._background.seen_after(np.eye(3))
    changed = np.abs(with_person.astype(int) - empty).max(-1) > 40
    pixels = camera._scene.intrinsics.project(camera._scene.vertices[0])
    y, x = changed.nonzero()
    np.testing.assert_allclose(x.min(), pixels[:, 0].min(), atol=6)
    np.testing.assert_allclose(x.max(), pixels[:, 0].max(), atol=6)
    np.testing.assert_allclose(y.max(), pixels[:, 1].max(), atol=6)


def test_clips_are_made_again_from_seed_and_number(studio):
    first, second = studio.clip(1), studio.clip(1)
    np.testing.assert_array_equal(first[0].landmarks, second[0].landmarks)
    for a, b in zip(first[1].take(2), second[1].take(2), strict=True):
        np.testing.assert_array_equal(a, b)
    assert (first[0].landmarks != studio.clip(2)[0].landmarks).any()


@pytest.fixture
def recorded(studio, tmp_path, monkeypatch) -> RenderedSet:
    """Clip 0 watched by an observer that is right, but has to be told where the person is."""
    monkeypatch.setattr(recording, "ToldObserver", lambda **_: PerfectObserver(studio.clip(0)[0]))
    recording.record(studio, range(1), tmp_path / "set.npz")
    return RenderedSet.load(tmp_path / "set.npz")


def test_recording_of_a_perfect_observer_has_no_error(recorded):
    seen = recorded.seen[0].tolist()
    begins = seen.index(True)
    assert not any(seen[:begins])
    assert all(seen[begins:])
    assert recorded.start[0, begins] == Start.TOLD
    errors = Errors.of(recorded)
    assert float(errors.image_size[recorded.seen].max()) < 1e-4
    assert not errors.flipped.any()


def test_flips_are_recognised(recorded):
    recorded.rays[:, -2:] = recorded.rays[:, -2:][:, :, list(LANDMARK_MIRROR)]
    assert Errors.of(recorded).flipped[0].tolist() == [False] * (FRAMES - 2) + [True] * 2
