"""Who is taken in of those whom the detector finds, with networks that are played."""

import numpy as np
import pytest

from d3pose_core.observe import BlazePoseObserver, Detection, TrackerConfig
from test.helpers.landmark_people import person

STEP = 1 / 30
IMAGE = np.zeros((480, 1280, 3), np.uint8)


class Stage:
    """Detector and landmark network that know who and what is there."""

    def __init__(self, things):
        """`things`: (landmarks, the detector's score) of each person and piece of furniture."""
        self.things = things

    def detect(self, image_bgr):
        rois = [(found.next_roi, score) for found, score in self.things]
        return [Detection(np.zeros(4), score, roi) for roi, score in rois]

    def __call__(self, image_bgr, roi):
        apart = [np.linalg.norm(found.next_roi.center - roi.center) for found, _ in self.things]
        return self.things[int(np.argmin(apart))][0]

    def several(self, image_bgr, rois):
        return [self(image_bgr, roi) for roi in rois]


@pytest.fixture
def stage(monkeypatch):
    monkeypatch.setattr("d3pose_core.observe.observer.BlazePoseLandmarker", lambda *_: None)
    return Stage


def observing(stage: Stage) -> BlazePoseObserver:
    observer = BlazePoseObserver(detector=stage)
    observer._landmarker = stage
    return observer


def test_furniture_does_not_take_the_looks_that_a_newcomer_needs(stage):
    man, chair, newcomer = person(150), person(600, certainty=0.15), person(900)
    scene = stage([(man, 0.95), (chair, 0.9)])
    observer = observing(scene)
    for frame in range(30):
        people = observer(IMAGE, frame * STEP)
    assert [p.box[[0, 2]].mean() for p in people] == [pytest.approx(150, abs=10)]
    scene.things.append((newcomer, 0.8))
    for frame in range(30, 60):
        people = observer(IMAGE, frame * STEP)
    places = sorted(p.box[[0, 2]].mean() for p in people)
    assert places == [pytest.approx(150, abs=10), pytest.approx(900, abs=10)]


def test_somebody_who_gets_clear_is_taken_in_at_once(stage):
    scene = stage([(person(600, certainty=0.15), 0.9)])
    observer = observing(scene)
    for frame in range(10):
        observer(IMAGE, frame * STEP)
    scene.things = [(person(600), 0.9)]
    confirmed = TrackerConfig().confirm_frames
    seen = [len(observer(IMAGE, (10 + frame) * STEP)) for frame in range(confirmed)]
    assert seen == [0] * (confirmed - 1) + [1]
