"""Ids over time, with people made up of landmarks: no networks, no images."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from d3pose_core.errors import InputError
from d3pose_core.observe.blazepose import Landmarks
from d3pose_core.observe.observation import Roi
from d3pose_core.observe.tracker import Tracker, TrackerConfig, limb_certainty, same_person
from d3pose_core.skeleton import LANDMARK_NAMES
from test.helpers.landmark_people import person

STEP = 1 / 30
RNG = np.random.default_rng(0)


class Scene:
    """Plays the networks: a track sees whoever is nearest to its ROI, search finds everybody.

    `searching=False`: search finds nobody.
    """

    def __init__(self, step_s: float = STEP, **config):
        self.tracker = Tracker(TrackerConfig(**config))
        self.step_s = step_s
        self.time = 0.0

    def frame(self, people: list[Landmarks], searching: bool = True) -> dict[int, float]:
        """Next frame: ids that are reported, with the x of each."""
        self.time += self.step_s
        tracker = self.tracker
        tracker.forget(self.time)
        tracker.follow([(t, self._in_roi(t.roi, people)) for t in tracker.tracks], self.time)
        if searching:
            for found in people:
                tracker.add(found, self.time)
        return {p.track_id: float(p.box[[0, 2]].mean()) for p in tracker.people(self.time)}

    @staticmethod
    def _in_roi(roi: Roi, people: list[Landmarks]) -> Landmarks:
        def away(found: Landmarks) -> float:
            return float(np.linalg.norm(found.next_roi.center - roi.center))

        nearest = min(people, key=away, default=None)
        if nearest is None or away(nearest) > 0.5 * roi.size:
            return person(*roi.center, roi.size / 1.4, score=0.01)
        return nearest


def test_a_person_is_reported_once_confirmed():
    scene = Scene(confirm_frames=3)
    assert [list(scene.frame([person(100)])) for _ in range(4)] == [[], [], [0], [0]]


def test_a_person_who_is_seen_surely_is_reported_at_once():
    scene = Scene(confirm_frames=3, sure_score=0.95)
    assert list(scene.frame([person(100, score=0.97)])) == [0]


def test_a_flash_is_never_reported():
    scene = Scene(confirm_frames=3)
    for _ in range(10):
        assert scene.frame([person(100)]) == {}
        assert scene.frame([person(100)]) == {}
        assert scene.frame([]) == {}
    assert scene.tracker.lost == []


def test_a_low_score_starts_no_track_but_keeps_one():
    scene = Scene(birth_score=0.7, keep_score=0.5, confirm_frames=1)
    assert scene.frame([person(100, score=0.6)]) == {}
    assert list(scene.frame([person(100, score=0.8)])) == [0]
    assert list(scene.frame([person(100, score=0.6)])) == [0]
    assert scene.frame([person(100, score=0.4)]) == {}


def test_nobody_is_begun_whom_the_image_hardly_shows():
    scene = Scene(birth_certainty=0.3, keep_certainty=0.25, confirm_frames=1)
    assert scene.frame([person(100, certainty=0.28)]) == {}
    assert list(scene.frame([person(100, certainty=0.32)])) == [0]
    for _ in range(90):
        assert list(scene.frame([person(100, certainty=0.27)])) == [0]


def test_furniture_with_a_clear_moment_is_lost_in_the_next():
    scene = Scene(birth_certainty=0.3, keep_certainty=0.25, confirm_frames=2)
    for _ in range(10):
        for certainty in (0.15, 0.5, 0.15):
            assert scene.frame([person(100, certainty=certainty)]) == {}


@pytest.mark.parametrize("rate_hz", [15, 30, 60])
def test_a_blurred_moment_ends_no_track_but_furniture_does(rate_hz):
    scene = Scene(birth_certainty=0.3, keep_certainty=0.25, step_s=1 / rate_hz)
    for _ in range(2 * rate_hz):
        scene.frame([person(100)])
    for _ in range(rate_hz // 10):
        assert list(scene.frame([person(100, certainty=0.1)])) == [0]
    for _ in range(2 * rate_hz):
        scene.frame([person(100)])
    kept = [len(scene.frame([person(100, certainty=0.1)])) for _ in range(rate_hz)]
    # 0.1 + 0.6 exp(-t / 0.3 s) is 0.25 after 0.42 s.
    assert sum(kept) / rate_hz == pytest.approx(0.42, abs=1.5 / rate_hz)
    assert kept == sorted(kept, reverse=True)  # and furniture is not taken in again


def test_one_frame_after_a_pause_ends_no_track():
    scene = Scene(keep_certainty=0.25)
    for _ in range(30):
        scene.frame([person(100)])
    scene.time += 1.0
    assert list(scene.frame([person(100, certainty=0.1)])) == [0]


def test_a_person_of_whom_the_track_slipped_is_taken_up_again_at_once_under_the_old_id():
    scene = Scene(keep_certainty=0.25, memory_s=1.0)
    for _ in range(30):
        scene.frame([person(100)])
    blurred = [len(scene.frame([person(100, certainty=0.05)])) for _ in range(20)]
    assert blurred[0] == 1
    assert blurred[-1] == 0
    for _ in range(5):
        assert list(scene.frame([person(110, certainty=0.5)])) == [0]


def test_somebody_too_near_to_show_limbs_is_kept():
    scene = Scene()
    for _ in range(30):
        scene.frame([person(100)])
    near = person(100, certainty=0.0)
    near.presence[:] = 0.2
    for _ in range(60):
        assert list(scene.frame([near])) == [0]


def test_limbs_beyond_the_image_do_not_count():
    """Somebody at a desk, say, whose legs the camera can't see."""
    legs = [i for i, name in enumerate(LANDMARK_NAMES) if "knee" in name or "ankle" in name]
    seen = person(100)
    seen.certainty[legs] = 0.0
    assert limb_certainty(seen) == pytest.approx(0.7 * 8 / 12)
    seen.presence[legs] = 0.2
    assert limb_certainty(seen) == pytest.approx(0.7)
    seen.presence[:] = 0.2
    assert limb_certainty(seen) is None


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_walkers_apart_keep_their_ids(seed):
    rng = np.random.default_rng(seed)
    scene = Scene()
    start, speed = np.array([150.0, 450.0, 750.0]), rng.uniform(-2, 2, 3)
    owners = None
    for step in range(60):
        places = start + speed * step + rng.normal(0, 1.5, 3)
        order = rng.permutation(3)
        reported = scene.frame([person(places[i]) for i in order])
        if step < 3:
            continue
        nearest = {i: int(np.abs(places - x).argmin()) for i, x in reported.items()}
        owners = owners or nearest
        assert sorted(owners) == [0, 1, 2]
        assert nearest == owners


@pytest.mark.parametrize("gap_s", [0.1, 0.5, 0.9])
def test_someone_who_reappears_soon_has_the_old_id(gap_s):
    scene = Scene(memory_s=1.0)
    for _ in range(5):
        scene.frame([person(100), person(500)])
    for _ in range(round(gap_s / STEP)):
        assert list(scene.frame([person(500)])) == [1]
    assert list(scene.frame([person(110), person(500)])) == [0, 1]


def test_a_walker_hidden_for_half_a_second_comes_out_on_the_other_side_with_the_old_id():
    scene = Scene(memory_s=1.0)
    for step in range(20):
        scene.frame([person(100 + 8 * step)])
    for _ in range(15):
        assert scene.frame([]) == {}
    assert list(scene.frame([person(100 + 8 * 35)])) == [0]


def test_ids_are_never_used_again():
    scene = Scene(memory_s=0.5)
    seen = []
    for _ in range(4):
        for _ in range(5):
            seen += list(scene.frame([person(100)]))
        for _ in range(20):
            scene.frame([])
    assert sorted(set(seen)) == [0, 1, 2, 3]
    scene.tracker.reset()
    for _ in range(5):
        after = scene.frame([person(100)])
    assert list(after) == [4]


def test_somebody_far_away_or_of_another_size_is_not_the_lost_one():
    for other in (person(500), person(100, height=450.0)):
        scene = Scene()
        for _ in range(5):
            scene.frame([person(100)])
        scene.frame([])
        for _ in range(4):
            reported = scene.frame([other])
        assert list(reported) == [1]


def test_two_tracks_never_stay_on_one_person():
    """One of two people vanishes beside the other: the track that slides over is dropped."""
    scene = Scene()
    for step in range(30):
        scene.frame([person(200 + 2 * step), person(330)])
    for _ in range(20):
        reported = scene.frame([person(330)])
        assert list(reported) == [1]
        assert len(scene.tracker.tracks) == 1


def test_people_who_cross_are_both_reported_afterwards_with_their_ids():
    """While one hides the other, one is reported; both have their ids again when apart."""
    scene = Scene()
    for step in range(90):
        a, b = 100 + 6 * step, 640 - 6 * step
        people = [person(a)] if abs(a - b) < 40 else [person(a), person(b)]
        reported = scene.frame(people)
        assert len(reported) <= len(people)
    assert sorted(reported) == [0, 1]
    assert reported[0] == pytest.approx(a, abs=10)


def test_a_detection_of_a_tracked_person_starts_nothing():
    scene = Scene()
    for _ in range(5):
        scene.frame([person(300)])
    assert scene.tracker.add(person(312, height=210), scene.time) is None
    assert len(scene.tracker.tracks) == 1


def test_no_more_than_max_people():
    scene = Scene(max_people=2)
    for _ in range(6):
        reported = scene.frame([person(x) for x in (100, 400, 700)])
    assert len(reported) == 2
    assert scene.tracker.is_full


def test_the_limit_can_change():
    scene = Scene(max_people=3)
    people = [person(x) for x in (100, 400, 700)]
    for _ in range(6):
        reported = scene.frame(people)
    first = min(reported)
    scene.tracker.limit(1)
    assert scene.frame(people).keys() == {first}, "the longest known stays"
    scene.tracker.limit(3)
    for _ in range(6):
        again = scene.frame(people)
    assert again.keys() == reported.keys(), "those given up are remembered"


@pytest.mark.parametrize("size", [np.nan, 0.0, 5.0, 900.0])
def test_a_roi_that_makes_no_sense_ends_the_track(size):
    scene = Scene()
    for _ in range(5):
        scene.frame([person(300)])
    bad = person(300)
    bad = Landmarks(**{**vars(bad), "next_roi": Roi(bad.next_roi.center, size, 0.0)})
    assert scene.frame([bad], searching=False) == {}
    assert scene.tracker.tracks == []


def test_a_long_pause_ends_all_tracks():
    scene = Scene(max_gap_s=2.0)
    for _ in range(5):
        scene.frame([person(300)])
    scene.time += 3.0
    for _ in range(4):
        reported = scene.frame([person(300)])
    assert list(reported) == [1]


def test_bodies_side_by_side_are_two_people():
    assert same_person(person(300), person(310))
    assert not same_person(person(300), person(370))


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_people": 0},
        {"confirm_frames": 0},
        {"keep_score": 0.9, "birth_score": 0.5},
        {"keep_certainty": 0.4, "birth_certainty": 0.3},
        {"birth_certainty": 1.5},
        {"memory_s": -1.0},
        {"max_gap_s": 0.0},
    ],
)
def test_configuration_is_checked(wrong):
    with pytest.raises(InputError, match=str(next(iter(wrong.values())))):
        TrackerConfig(**wrong)


def turned(found: Landmarks, angle: float) -> Landmarks:
    """The same place, turned clockwise by `angle`, rad."""
    center = found.next_roi.center
    cos, sin = np.cos(angle), np.sin(angle)
    points = (found.keypoints - center) @ np.array([[cos, sin], [-sin, cos]]) + center
    roi = Roi(center, found.next_roi.size, angle)
    return replace(found, keypoints=points.astype(np.float32), next_roi=roi)


@pytest.mark.parametrize("angle", [np.pi - 0.1, 1.2, -1.2])
def test_nobody_turned_is_believed_on_a_tracked_person(angle):
    """BlazePose's detector may take arms for legs."""
    tracker = Tracker()
    assert tracker.add(person(300), STEP) is not None
    smaller = {"y": 200.0, "height": 120.0}  # within the other's box, which it does not fill
    assert tracker.add(turned(person(300, **smaller), angle), STEP) is None
    # A child in front of somebody, and an acrobat beside them, are.
    assert tracker.add(person(300, **smaller), STEP) is not None
    assert tracker.add(turned(person(500), angle), STEP) is not None


def test_nobody_larger_is_believed_about_the_same_hips():
    tracker = Tracker()
    assert tracker.add(person(300), STEP) is not None
    assert tracker.add(person(310, y=250.0, height=320.0), STEP) is None
    assert tracker.add(person(300, y=200.0, height=120.0), STEP) is not None


def test_people_are_reported_as_the_network_saw_them():
    scene = Scene(confirm_frames=1)
    seen = person(100)
    names = ("visibility", "presence", "certainty", "depth_hint")
    told = {name: RNG.uniform(0.6, 1.0, 33) for name in names}
    told |= {"rivals": RNG.uniform(0, 9, (33, 2, 2)), "rival_certainty": RNG.uniform(0, 1, (33, 2))}
    scene.frame([replace(seen, **told)])
    (reported,) = scene.tracker.people(scene.time)
    for name, values in told.items():
        np.testing.assert_array_equal(getattr(reported, name), values, err_msg=name)
