"""The root's filters on measurements whose errors are known."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from d3pose_core.rigid import RigidTransform, rotation_matrix, rotation_vector
from d3pose_core.root_motion import RootOrientation, RootPosition

FPS = 30
PLACE = np.array([0.5, 1.0, 3.0])


def camera_at(time_s: float, speed: float) -> RigidTransform:
    """Drives along x, facing +z and swinging."""
    turn = rotation_matrix(np.array([0.0, 0.2 * np.sin(time_s), 0.0]))
    return RigidTransform(turn, np.array([speed * (time_s - 3), 0.8, 0.0]))


def measured(
    place: np.ndarray, camera: RigidTransform, log_scale: float, noise: np.ndarray
) -> np.ndarray:
    """In the camera; too far by `log_scale`; `noise` [3]: two directions, rad, and log distance."""
    pelvis = camera.inverse().apply(place)
    distance = np.linalg.norm(pelvis)
    bent = pelvis / distance + np.array([noise[0], noise[1], 0.0])
    return distance * np.exp(log_scale + noise[2]) * bent / np.linalg.norm(bent)


def run(places, log_scale=0.0, speed=0.6, sigma=(0.003, 0.003, 0.02), seed=0, walking=None):
    """`walking`: nats/s of each frame that their feet say so."""
    random = np.random.default_rng(seed)
    position, errors, scales = RootPosition(), [], []
    walking = np.zeros(len(places)) if walking is None else walking
    for k, (place, nats_per_s) in enumerate(zip(places, walking, strict=True)):
        camera = camera_at(k / FPS, speed)
        noise = np.array(sigma) * random.normal(size=3)
        pelvis = measured(place, camera, log_scale, noise)
        got = position(pelvis, camera, k / FPS, nats_per_s)
        errors.append(np.linalg.norm(got - place))
        scales.append(position.log_scale)
    return np.array(errors), np.array(scales)


def slow_errors(frames: int, sizes, memory_s, random, fps: int = FPS) -> np.ndarray:
    """[T, 3] of these sizes that resemble themselves for so long, as a tracked network's do."""
    keep = np.exp(-1 / fps / np.array(memory_s))
    error, result = np.array(sizes) * random.normal(size=3), []
    for _ in range(frames):
        fresh = np.sqrt(1 - keep**2) * np.array(sizes) * random.normal(size=3)
        error = keep * error + fresh
        result.append(error)
    return np.array(result)


@pytest.mark.parametrize("log_scale", [-0.08, 0.0, 0.06])
def test_driving_past_somebody_who_stands_shows_how_far_they_are(log_scale):
    errors, scales = run([PLACE] * (6 * FPS), log_scale)
    assert errors[4 * FPS :].max() < 0.03
    # The rest of it is taken for an error of the moment.
    assert scales[-1] == pytest.approx(log_scale, abs=0.025)


def test_a_camera_that_stands_cannot_know_the_scale():
    _, scales = run([PLACE] * (6 * FPS), 0.08, speed=0.0)
    assert abs(scales[-1]) < 0.02


def test_exact_measurements_pass_unchanged():
    errors, _ = run([PLACE] * (4 * FPS), sigma=(0, 0, 0))
    assert errors.max() < 1e-6


@pytest.mark.parametrize("fps", [10, 30, 60])
@pytest.mark.parametrize("seed", range(3))
def test_slow_errors_move_nobody_who_stands(seed, fps):
    """Not within 5 cm of the truth in each frame, which nobody knows, but of their own middle."""
    random, position, got = np.random.default_rng(seed), RootPosition(), []
    noise = slow_errors(8 * fps, (0.004, 0.004, 0.03), (0.4, 0.4, 1.0), random, fps)
    for k in range(8 * fps):
        camera = camera_at(k / fps, 0.6)
        got.append(position(measured(PLACE, camera, 0.05, noise[k]), camera, k / fps))
        assert position.still or k < 2 * fps
    late = np.array(got)[4 * fps :]
    assert np.linalg.norm(late - np.median(late, axis=0), axis=1).max() < 0.05
    assert np.linalg.norm(late - PLACE, axis=1).max() < 0.1


@pytest.mark.parametrize("direction", [(1.0, 0, 0), (0, 0, 1.0), (0.7, 0, -0.7)])
@pytest.mark.parametrize("seed", range(3))
def test_walkers_are_followed(direction, seed):
    times = np.arange(5 * FPS) / FPS
    walked = np.maximum(times - 2, 0)[:, None] * 1.2 * np.array(direction)
    feet = np.where(times > 2.15, 8.0, -5.0)  # as `PlantedFeet` says at this speed
    places = PLACE + np.array([0, 0, 2.0]) + walked
    errors, _ = run(places, sigma=(0.003, 0.003, 0.01), seed=seed, walking=feet)
    assert errors[2 * FPS : 3 * FPS].max() < 0.7, "while they set off"
    assert errors[round(2.5 * FPS)] < 0.2
    assert np.median(errors[3 * FPS :]) < 0.25


def test_feet_tell_walking_away_from_a_scale():
    """Along the line of sight, half a metre of somebody's way is within the error of their distance."""
    times = np.arange(4 * FPS) / FPS
    walked = np.maximum(times - 2, 0)[:, None] * np.array([0, 0, 1.2])
    places, sigma = PLACE + np.array([0, 0, 2.0]) + walked, (0.003, 0.003, 0.01)
    alone, _ = run(places, sigma=sigma)
    feet, _ = run(places, sigma=sigma, walking=np.where(times > 2.15, 8.0, -5.0))
    assert feet[2 * FPS :].max() < 0.7 * alone[2 * FPS :].max()


def test_who_walks_beside_the_camera_teaches_it_no_scale():
    """Somebody who walks the camera's way looks like somebody who stands further off."""
    times = np.arange(5 * FPS) / FPS
    walked = np.maximum(times - 2, 0)[:, None] * np.array([0.3, 0, 0])
    feet = np.where(times > 2.15, 5.0, -5.0)
    errors, scales = run(PLACE + walked, walking=feet)
    assert np.abs(scales[3 * FPS :]).max() < 0.03
    assert np.median(errors[3 * FPS :]) < 0.15


def test_somebody_who_appears_elsewhere_is_believed_soon():
    places = [PLACE] * (2 * FPS) + [PLACE + np.array([0, 0, 2.5])] * (3 * FPS)
    errors, _ = run(places, sigma=(0, 0, 0))
    assert errors[4 * FPS :].max() < 0.2


def test_one_wild_measurement_moves_nobody_far():
    random = np.random.default_rng(1)
    position = RootPosition()
    for k in range(3 * FPS):
        camera = camera_at(k / FPS, 0.6)
        noise = np.array([0.003, 0.003, 0.02]) * random.normal(size=3)
        if k == 2 * FPS:
            noise = np.array([0.3, 0.0, 0.5])
        got = position(measured(PLACE, camera, 0.0, noise), camera, k / FPS)
        if k >= 2 * FPS:
            assert np.linalg.norm(got - PLACE) < 0.1


def angle(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.degrees(np.linalg.norm(rotation_vector(a.T @ b))))


def test_shaking_orientations_become_steady():
    random = np.random.default_rng(0)
    truth, orientation, errors = rotation_matrix(np.array([0.3, 1.0, 0.2])), RootOrientation(), []
    for k in range(5 * FPS):
        shaken = rotation_matrix(np.radians(5) * random.normal(size=3)) @ truth
        errors.append(angle(orientation(shaken, k / FPS), truth))
    assert np.median(errors[2 * FPS :]) < 3
    assert np.median(errors[2 * FPS :]) < 0.4 * np.degrees(np.radians(5) * 1.6)


@pytest.mark.parametrize("seed", range(4))
def test_slow_errors_turn_nobody_who_stands(seed):
    random, orientation, got = np.random.default_rng(seed), RootOrientation(), []
    for error in slow_errors(10 * FPS, np.radians((2, 4, 2)), (0.5,) * 3, random):
        got.append(orientation(rotation_matrix(error), len(got) / FPS))
    late = Rotation.from_matrix(np.array(got)[4 * FPS :])
    assert np.degrees((late.mean().inv() * late).magnitude()).max() < 3


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("turns_for_s", [1, 3])
def test_a_turn_by_thirty_degrees_is_found_out(seed, turns_for_s):
    """Late: errors of the network grow in the same way."""
    random, orientation = np.random.default_rng(seed), RootOrientation()
    for k, error in enumerate(slow_errors(9 * FPS, np.radians((2, 4, 2)), (0.5,) * 3, random)):
        yaw = np.radians(30) * np.clip((k / FPS - 4) / turns_for_s, 0, 1)
        truth = rotation_matrix(np.array([0, yaw, 0]))
        got = orientation(rotation_matrix(error) @ truth, k / FPS)
        if k / FPS > 4 + turns_for_s + 1.3:
            assert angle(got, truth) < 12


def test_turning_bodies_are_followed_and_bursts_of_front_for_back_are_not():
    orientation, errors = RootOrientation(), []
    for k in range(4 * FPS):
        truth = rotation_matrix(np.array([0, 1.5 * max(k / FPS - 1, 0), 0]))
        errors.append(angle(orientation(truth, k / FPS), truth))
    assert max(errors) < 35
    assert np.mean(errors[2 * FPS :]) < 12

    orientation, back = RootOrientation(), rotation_matrix(np.array([0, np.pi, 0]))
    for k in range(3 * FPS):
        mistaken = 1.0 <= k / FPS < 1.3
        got = orientation(back if mistaken else np.eye(3), k / FPS)
        assert angle(got, np.eye(3)) < 1


def test_somebody_who_was_met_from_the_wrong_side_turns_round():
    orientation, back = RootOrientation(), rotation_matrix(np.array([0, np.pi, 0]))
    orientation(back, 0.0)
    for k in range(1, 2 * FPS):
        got = orientation(np.eye(3), k / FPS)
    assert angle(got, np.eye(3)) < 1
