"""Tracks: cut out of a recording, turned into other frames, brought to an even rate."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from d3pose_core.errors import InputError
from d3pose_core.export.track import AXES, MotionTrack, tracks_of


def test_every_person_is_one_track(people):
    assert [track.track_id for track in tracks_of(people)] == [3, 8]
    (track,) = tracks_of(people, 8)
    mine = people.track_id == 8
    np.testing.assert_array_equal(track.time_s, people.time[mine])
    np.testing.assert_allclose(track.pelvis, people.joints[mine, 0], atol=1e-6)
    np.testing.assert_allclose(
        track.rotations[:, 5],
        Rotation.from_rotvec(people.body_pose[mine, 4]).as_matrix(),
        atol=1e-6,
    )


def test_the_shape_is_the_last_estimate(people):
    betas = people.betas.copy()
    betas[-1] = np.arange(10)
    tracks = tracks_of(replace(people, betas=betas))
    np.testing.assert_array_equal(tracks[1].betas, np.arange(10))
    np.testing.assert_allclose(tracks[0].betas, people.betas[0])


def test_rows_out_of_order_and_twice_recorded_frames(people):
    order = np.r_[np.arange(len(people))[::-1], 0]
    shuffled = replace(
        people,
        **{name: getattr(people, name)[order] for name in vars(people) if name != "intrinsics"},
    )
    for got, expected in zip(tracks_of(shuffled), tracks_of(people), strict=True):
        np.testing.assert_array_equal(got.time_s, expected.time_s)
        np.testing.assert_array_equal(got.pelvis, expected.pelvis)


def test_unknown_tracks_and_empty_recordings_are_refused(people):
    with pytest.raises(InputError, match=r"no track 4 .* \[3, 8\]"):
        tracks_of(people, 4)
    nobody = replace(
        people, **{name: getattr(people, name)[:0] for name in vars(people) if name != "intrinsics"}
    )
    with pytest.raises(InputError, match="holds nobody"):
        tracks_of(nobody)


@pytest.mark.parametrize(
    ("axes", "up", "away"), [("y-up", [0, 1, 0], [0, 0, -1]), ("z-up", [0, 0, 1], [0, 1, 0])]
)
def test_frames(people, axes, up, away):
    np.testing.assert_array_equal(AXES[axes] @ [0, -1, 0], up)
    np.testing.assert_array_equal(AXES[axes] @ [0, 0, 1], away)
    assert np.linalg.det(AXES[axes]) == pytest.approx(1)
    with pytest.raises(InputError, match="axes must be one of"):
        tracks_of(people)[0].turned("x-up")


def walking_turner(times: np.ndarray) -> MotionTrack:
    """Moves 1 m/s along x and turns 0.7 rad/s about an axis that is none of the frame's."""
    axis = np.array([2.0, -1.0, 2.0]) / 3
    turn = Rotation.from_rotvec(0.7 * times[:, None] * axis).as_matrix()
    return MotionTrack(
        track_id=0,
        time_s=times,
        rotations=np.repeat(turn[:, None], 24, 1),
        pelvis=times[:, None] * [1.0, 0, 0],
        betas=np.zeros(10),
    )


def test_resampling_fills_gaps_evenly():
    """Known motion at uneven times, with a gap of a second, comes out exact on an even grid."""
    uneven = walking_turner(np.array([0.5, 0.53, 0.61, 1.6, 1.64, 2.0]))
    even = uneven.resampled(20.0)
    np.testing.assert_allclose(even.time_s, 0.5 + np.arange(31) / 20)
    expected = walking_turner(even.time_s)
    np.testing.assert_allclose(even.pelvis, expected.pelvis, atol=1e-9)
    np.testing.assert_allclose(even.rotations, expected.rotations, atol=1e-9)


def test_resampling_at_the_own_rate_changes_nothing(people):
    track = tracks_of(people, 3)[0]
    even = track.resampled(track.usual_rate_hz())
    assert track.usual_rate_hz() == pytest.approx(30)
    np.testing.assert_allclose(even.rotations, track.rotations, atol=1e-6)
    np.testing.assert_allclose(even.pelvis, track.pelvis, atol=1e-6)


def test_a_single_frame_has_a_rate(people):
    one = walking_turner(np.array([1.0])).resampled(60.0)
    assert len(one.time_s) == 1
    with pytest.raises(InputError, match="positive number of frames a second, got 0"):
        one.resampled(0)


@pytest.mark.parametrize("name", ["time", "body_pose", "joints", "betas"])
def test_numbers_that_are_none_are_refused(people, name):
    damaged = getattr(people, name).copy()
    damaged[-1] = np.nan
    with pytest.raises(InputError, match="nan or inf"):
        tracks_of(replace(people, **{name: damaged}))


def test_a_rate_that_would_fill_the_memory_is_refused(people):
    (track,) = tracks_of(people, 8)
    with pytest.raises(InputError, match="give a lower rate"):
        track.resampled(1e12)
