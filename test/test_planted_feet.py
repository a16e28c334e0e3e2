"""Feet that move, and feet that do not."""

import numpy as np
import pytest

from d3pose_core.planted_feet import PlantedFeet
from d3pose_core.rigid import rotation_matrix

HANGING = np.array([[0.1, -0.85, 0.0], [-0.1, -0.85, 0.0]])


def evidence(feet_at, seconds: float, fps: int, turn=(0.0, 0.0, 0.0)) -> np.ndarray:
    planted, axes = PlantedFeet(), rotation_matrix(np.array(turn))
    times = np.arange(round(seconds * fps)) / fps
    return np.array([planted(feet_at(time) @ axes.T, time) for time in times])


def walking(time_s: float, speed: float = 1.0) -> np.ndarray:
    swing = 0.34 * np.sin(2 * np.pi * speed * time_s / 1.36)
    return HANGING + np.array([[0, 0, swing], [0, 0, -swing]])


@pytest.mark.parametrize("fps", [8, 30, 60])
def test_walkers_walk_and_standers_stand(fps):
    random = np.random.default_rng(0)
    shaking = evidence(lambda time: HANGING + 0.01 * random.normal(size=(2, 3)), 3, fps)
    assert shaking[fps:].mean() < -2
    assert evidence(walking, 3, fps)[fps:].mean() > 3


def test_the_way_they_face_does_not_matter():
    np.testing.assert_allclose(
        evidence(walking, 2, 30, (0.0, 1.0, 0.0)), evidence(walking, 2, 30), atol=1e-9
    )


def test_one_step_says_more_than_a_foot_that_trembles():
    step = evidence(lambda time: walking(max(time - 1, 0)), 1.4, 30)
    assert step[29] < 0 < step[-1]


def test_nothing_is_known_at_first_and_after_a_gap():
    planted = PlantedFeet()
    assert planted(HANGING, 0.0) == planted(HANGING, 0.03) == 0
    assert planted(HANGING, 0.2) < 0
    assert planted(walking(0.3), 1.0) == 0, "where a foot was a second ago says nothing"
