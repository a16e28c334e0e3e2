"""The real networks on real footage: a man on a block, a woman who walks by, frames 45 to 199."""

import math
from dataclasses import fields

import cv2
import numpy as np
import pytest

from d3pose_core import model_files
from d3pose_core.errors import InputError, ModelFileMissing
from d3pose_core.landmark_models import BOTH_WAYS, FULL, LANDMARK_FILES
from d3pose_core.observe import BlazePoseDetector, BlazePoseObserver, PersonDetector, PersonObserver
from d3pose_core.observe.blazepose import BlazePoseLandmarker, Landmarks
from d3pose_core.observe.observation import Roi
from d3pose_core.skeleton import LANDMARK_MIRROR, LANDMARK_NAMES

# Read off the clip by eye at half size, x and y of the middle of the hips.
MAN = {10: (322, 140), 60: (318, 135), 100: (325, 140), 140: (390, 140)}
WOMAN = {60: (702, 375), 100: (520, 370), 140: (312, 370), 180: (98, 375)}

INDEX = {name: i for i, name in enumerate(LANDMARK_NAMES)}


def hips(person) -> np.ndarray:
    return person.keypoints[[INDEX["left_hip"], INDEX["right_hip"]]].mean(axis=0)


def test_it_fulfils_the_protocols():
    assert isinstance(BlazePoseObserver(), PersonObserver)
    assert isinstance(BlazePoseDetector(), PersonDetector)


@pytest.mark.parametrize(("who", "places"), [("man", MAN), ("woman", WOMAN)])
def test_people_are_found_where_they_are(clip_people, who, places):
    for frame, place in places.items():
        distances = [np.linalg.norm(hips(person) - place) for person in clip_people[frame]]
        assert min(distances, default=math.inf) < 25, f"{who}, frame {frame}: {distances}"


def test_two_people_are_reported_while_two_are_there(clip_people):
    counts = [len(people) for people in clip_people[50:165]]
    assert set(counts) == {2}


def test_the_first_person_is_reported_within_a_third_of_a_second(clip_people):
    assert any(clip_people[frame] for frame in range(10))


def test_ids_are_stable_over_the_clip(clip_people):
    man = {p.track_id for people in clip_people[10:165] for p in people if hips(p)[1] < 240}
    woman = {p.track_id for people in clip_people[50:180] for p in people if hips(p)[1] > 300}
    assert len(man) == len(woman) == 1
    assert man != woman
    # A somersault in front of the sun may cost the man his id, but he does not multiply.
    assert len({p.track_id for people in clip_people for p in people}) <= 3


def test_no_two_reports_are_one_person(clip_people):
    for people in clip_people:
        for i, one in enumerate(people):
            for other in people[:i]:
                assert np.linalg.norm(one.keypoints - other.keypoints, axis=1).mean() > 20


def test_the_body_is_upright_and_its_values_are_in_range(clip_people):
    for person in (p for people in clip_people[50:150] for p in people):
        assert person.keypoints.shape == (33, 2)
        assert person.landmarks.shape == (33, 3)
        confidences = (person.visibility, person.presence, person.certainty)
        assert {values.shape for values in (person.depth_hint, *confidences)} == {(33,)}
        assert (person.rivals.shape, person.rival_certainty.shape) == ((33, 2, 2), (33, 2))
        assert (person.rival_certainty[:, 0] >= person.rival_certainty[:, 1]).all()
        none = person.rival_certainty == 0
        apart = np.linalg.norm(person.rivals - person.keypoints[:, None], axis=-1)
        assert (apart[none] < 0.1).all()
        assert (apart[~none] > 0.02 * (person.box[3] - person.box[1])).all()
        for values in (*confidences, person.rival_certainty, np.array([person.score])):
            assert ((values >= 0) & (values <= 1)).all()
        y = person.keypoints[:, 1]
        assert y[INDEX["nose"]] < y[INDEX["left_hip"]] < y[INDEX["left_ankle"]]
        # Metric landmarks: hips in the middle, y down, about as large as people are.
        metric = person.landmarks
        np.testing.assert_allclose(
            metric[[INDEX["left_hip"], INDEX["right_hip"]]].mean(0), 0, atol=0.05
        )
        ankles = metric[[INDEX["left_ankle"], INDEX["right_ankle"]], 1]
        assert 1.0 < ankles.max() - metric[INDEX["nose"], 1] < 1.9


def test_left_and_right_are_the_persons_own(clip_people):
    """The man faces the camera in the first frames: his left hand is on the image's right."""
    man = clip_people[20][0].keypoints
    assert man[INDEX["left_shoulder"], 0] > man[INDEX["right_shoulder"], 0] + 15
    assert man[INDEX["left_wrist"], 0] > man[INDEX["right_wrist"], 0] + 15


def test_depth_is_in_image_scale(clip_people):
    """A metre of depth is as many pixels as a metre across, or bodies come out leaning."""
    limbs = slice(INDEX["left_shoulder"], None)
    ratios = []
    for person in (p for people in clip_people[10:150:5] for p in people):
        across, metric = person.keypoints - hips(person), person.landmarks
        px_per_m = (across[limbs] * metric[limbs, :2]).sum() / (metric[limbs, :2] ** 2).sum()
        depth, metric_depth = person.depth_hint[limbs], metric[limbs, 2]
        ratios.append((depth * metric_depth).sum() / (metric_depth**2).sum() / px_per_m)
    assert np.median(ratios) == pytest.approx(1.0, abs=0.15)


@pytest.mark.parametrize("frame", [20, 60, 100])
def test_mirrored_image_gives_mirrored_landmarks(clip, clip_people, frame):
    landmarker = BlazePoseLandmarker()
    width = clip[0].shape[1]
    mirrored_image = np.ascontiguousarray(clip[frame][:, ::-1])
    swap = list(LANDMARK_MIRROR)
    for person in clip_people[frame]:
        size = 1.3 * np.ptp(person.keypoints[:, 1])
        roi = Roi(hips(person), float(size), 0.0)
        mirrored_roi = Roi(np.array([width - 1, 0]) + roi.center * [-1, 1], roi.size, 0.0)
        here, there = landmarker(clip[frame], roi), landmarker(mirrored_image, mirrored_roi)
        back = there.keypoints[swap] * [-1, 1] + [width - 1, 0]
        apart = np.linalg.norm(back - here.keypoints, axis=1) / size
        assert np.median(apart) < 0.02
        sideways = (back - here.keypoints)[:, 0].mean() / size
        assert abs(sideways) < 0.01  # no bias to one side
        metric = there.landmarks[swap] * [-1, 1, 1] - here.landmarks
        assert np.median(np.linalg.norm(metric[:, :2], axis=1)) < 0.08  # m
        assert np.median(np.abs(metric[:, 2])) < 0.2  # depth is the network's weak side


@pytest.mark.parametrize("landmarks", [FULL, FULL + BOTH_WAYS])
@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("people", [0, 1, 2, 3, 5])
def test_people_side_by_side_are_the_same_as_one_by_one(
    clip, clip_people, threads, people, landmarks
):
    """However many threads there are, or replays would depend on the machine."""
    places = [
        Roi(hips(person) + np.array([shift, 0]), 1.3 * float(np.ptp(person.keypoints[:, 1])), 0.0)
        for person in clip_people[60]
        for shift in (0, 5, -5)
    ][:people]
    one_by_one = [BlazePoseLandmarker(landmarks, num_threads=2)(clip[60], roi) for roi in places]
    landmarker = BlazePoseLandmarker(landmarks, num_threads=threads)
    for _ in range(2):
        together = landmarker.several(clip[60], places)
        assert len(together) == people
        for one, other in zip(one_by_one, together, strict=True):
            for name in (f.name for f in fields(Landmarks) if f.name != "next_roi"):
                np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


@pytest.mark.parametrize("height", [150, 100, 80])
def test_small_people_are_found_within_two_seconds(clip, height):
    """The woman, `height` px tall in 640x480 (the clip at half size shows her 195 px tall)."""
    observer = BlazePoseObserver()
    scale = height / 195
    found = None
    for step in range(60):
        small = cv2.resize(clip[60 + step], None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        image = np.full((480, 640, 3), 90, np.uint8)
        view = small[-480:, -640:]
        image[480 - view.shape[0] :, 640 - view.shape[1] :] = view
        corner = np.array([640 - small.shape[1], 480 - small.shape[0]])
        # She walks from (702, 375) at frame 60 to (520, 370) at frame 100.
        place = np.array([702 - 4.55 * step, 373]) * scale + corner
        people = observer(image, step / 30)
        near = [p for p in people if np.linalg.norm(hips(p) - place) < 0.25 * height]
        if near:
            found = near[0]
            break
    assert found is not None
    assert np.ptp(found.keypoints[:, 1]) == pytest.approx(0.95 * height, rel=0.2)


class Counter:
    """Counts the calls of a real detector."""

    def __init__(self):
        self.detector = BlazePoseDetector()
        self.calls = 0

    def detect(self, image_bgr):
        self.calls += 1
        return self.detector.detect(image_bgr)


def test_the_detector_rests_when_all_are_tracked_and_is_bounded_else(clip):
    observer = BlazePoseObserver(max_people=2)
    counter = observer._search._detector = Counter()
    calls = []
    for frame in range(60, 100):
        before = counter.calls
        people = observer(clip[frame], frame / 30)
        calls.append(counter.calls - before)
    assert len(people) == 2
    assert max(calls) <= 2
    assert sum(calls[20:]) == 0

    observer = BlazePoseObserver(max_people=5)
    counter = observer._search._detector = Counter()
    for frame in range(60, 120):
        observer(clip[frame], frame / 30)
    # Two people tracked: one search a tenth of a second.
    assert counter.calls <= 30


def test_a_large_person_is_reported_from_the_first_frame_on(clip):
    observer = BlazePoseObserver()
    ids = [{p.track_id for p in observer(clip[60 + i], i / 30)} for i in range(10)]
    assert ids[0]
    assert all(ids[0] <= later for later in ids)


def test_a_stamp_that_goes_back_and_another_image_size_start_afresh(clip):
    observer = BlazePoseObserver()
    for step in range(6):
        people = observer(clip[60 + step], 10 + step / 30)
    ids = {p.track_id for p in people}
    assert ids
    assert not {p.track_id for p in observer(clip[66], 5.0)} & ids
    for step in range(8):
        people = observer(clip[67 + step], 5 + step / 30)
    again = {p.track_id for p in people}
    assert again
    assert not again & ids
    smaller = [cv2.resize(frame, (640, 360)) for frame in clip[75:85]]
    for step, frame in enumerate(smaller):
        people = observer(frame, 6 + step / 30)
    assert people
    assert not {p.track_id for p in people} & (ids | again)


@pytest.mark.parametrize(
    ("image", "told"),
    [
        (np.zeros((0, 0, 3), np.uint8), r"empty: \[0, 0, 3\]"),
        (np.zeros((10, 0, 3), np.uint8), "empty"),
        (np.zeros((48, 64), np.uint8), "COLOR_GRAY2BGR"),
        (np.zeros((48, 64, 4), np.uint8), r"\[48, 64, 4\]"),
        (np.zeros((48, 64, 3), np.float32), "float32"),
        ([[0, 0, 0]], "list"),
        (None, "NoneType"),
    ],
)
def test_what_is_no_image_is_refused_with_what_it_was(image, told):
    observer = BlazePoseObserver()
    with pytest.raises(InputError, match=told):
        observer(image, 0.0)


@pytest.mark.parametrize("stamp", [math.nan, math.inf])
def test_stamps_must_be_finite(stamp):
    with pytest.raises(InputError, match=str(stamp)):
        BlazePoseObserver()(np.zeros((48, 64, 3), np.uint8), stamp)


@pytest.mark.parametrize("shape", [(1, 1), (3, 500), (500, 3), (16, 16), (480, 640)])
def test_images_without_people_are_quiet(shape):
    observer = BlazePoseObserver()
    noise = np.random.default_rng(0)
    for step in range(6):
        image = noise.integers(0, 256, (*shape, 3), np.uint8)
        assert observer(image, step / 30) == []


def test_images_that_are_views_are_fine(clip):
    flipped = clip[60][:, ::-1][:, ::-1]
    odd = np.asfortranarray(clip[60])
    wanted = BlazePoseDetector().detect(clip[60][:, 500:])
    for view in (flipped[:, 500:], odd[:, 500:]):
        found = BlazePoseDetector().detect(view)
        assert [d.score for d in found] == pytest.approx([d.score for d in wanted], abs=1e-3)
        roi = Roi(np.array([702.0, 375.0], np.float32), 270.0, 0.0)
        assert BlazePoseLandmarker()(flipped, roi).score > 0.9


def test_missing_and_damaged_networks_are_explained(tmp_path, monkeypatch):
    whole = model_files.read_model(LANDMARK_FILES[FULL])
    monkeypatch.setenv("D3POSE_CACHE", str(tmp_path))
    with pytest.raises(ModelFileMissing, match="d3pose models fetch"):
        BlazePoseObserver()
    (tmp_path / LANDMARK_FILES[FULL]).write_bytes(whole[:1000])
    with pytest.raises(InputError, match="truncated"):
        BlazePoseObserver()
    (tmp_path / LANDMARK_FILES[FULL]).write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(InputError, match="SHA-256"):
        BlazePoseObserver()


def test_landmark_network_of_the_users_own_is_checked(tmp_path):
    with pytest.raises(InputError, match="cannot read"):
        BlazePoseLandmarker(tmp_path / "none.tflite")
    (tmp_path / "text.tflite").write_text("not a network")
    with pytest.raises(InputError, match="not a TensorFlow Lite file"):
        BlazePoseLandmarker(tmp_path / "text.tflite")
    (tmp_path / "cut.tflite").write_bytes(model_files.read_model(LANDMARK_FILES[FULL])[:5000])
    with pytest.raises(InputError, match=r"cut\.tflite"):
        BlazePoseLandmarker(tmp_path / "cut.tflite")
    with pytest.raises(InputError, match=r"takes \[\(1, 224, 224, 3\)\]"):
        BlazePoseLandmarker(model_files.model_path("pose_detection.tflite"))
    copy = tmp_path / "mine.tflite"
    copy.write_bytes(model_files.read_model(LANDMARK_FILES[FULL]))
    BlazePoseLandmarker(copy)


def test_leaving_out_the_mask_changes_no_landmark(clip):
    """The network is cut down to the outputs that are used; the whole one says the same."""
    from ai_edge_litert.interpreter import Interpreter

    roi = Roi(np.array([702.0, 375.0], np.float32), 270.0, 0.0)
    landmarker = BlazePoseLandmarker()
    tensor = np.random.default_rng(0).random((1, 256, 256, 3), np.float32)
    cut_down = landmarker._network(tensor)
    whole = Interpreter(model_content=model_files.read_model(LANDMARK_FILES[FULL]), num_threads=2)
    whole.allocate_tensors()
    whole.set_tensor(whole.get_input_details()[0]["index"], tensor)
    whole.invoke()
    by_shape = {tuple(d["shape"]): d["index"] for d in whole.get_output_details()}
    assert len(by_shape) == len(cut_down) + 1
    for values in cut_down.values():
        np.testing.assert_allclose(
            values, whole.get_tensor(by_shape[values.shape]), rtol=1e-4, atol=1e-4
        )
    assert landmarker(clip[60], roi).score > 0.9
