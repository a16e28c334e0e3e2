"""Decoding of both networks' outputs against answers worked out by hand."""

import numpy as np
import pytest

from d3pose_core.observe import blazepose, blazepose_detector
from d3pose_core.observe.observation import Roi


def test_anchors_are_those_of_the_network():
    centres = blazepose_detector.anchors()
    # 28x28 cells of two anchors, 14x14 of two, and three layers of 7x7 of two, which interleave.
    assert centres.shape == (28 * 28 * 2 + 14 * 14 * 2 + 7 * 7 * 6, 2)
    np.testing.assert_allclose(centres[:2], [[0.5 / 28, 0.5 / 28]] * 2)
    np.testing.assert_allclose(centres[2], [1.5 / 28, 0.5 / 28])
    np.testing.assert_allclose(centres[28 * 2], [0.5 / 28, 1.5 / 28])
    np.testing.assert_allclose(centres[28 * 28 * 2], [0.5 / 14, 0.5 / 14])
    np.testing.assert_allclose(centres[-6:], [[6.5 / 7, 6.5 / 7]] * 6, rtol=1e-6)


def raw_candidate(dx: float = 0.0) -> np.ndarray:
    """Box 44.8 px wide about the anchor moved by `dx`; hips 22.4 px right, top 112 px above."""
    candidate = np.zeros(12, np.float32)
    candidate[:4] = dx, 0, 44.8, 44.8
    candidate[4:6] = 22.4 + dx, 0
    candidate[6:8] = 22.4 + dx, -112
    return candidate


def test_detections_are_relative_to_their_anchor():
    centres = np.array([[0.5, 0.5], [0.1, 0.1]], np.float32)
    logits = np.array([2.0, -2.0])
    found = blazepose_detector.decode(np.stack([raw_candidate()] * 2), logits, centres, 0.5)
    assert len(found) == 1
    points, score = found[0]
    assert score == pytest.approx(1 / (1 + np.exp(-2)))
    np.testing.assert_allclose(
        points[:4], [[0.4, 0.4], [0.6, 0.6], [0.6, 0.5], [0.6, 0.0]], atol=1e-6
    )


def test_overlapping_candidates_are_averaged_by_score_and_others_stay():
    centres = np.array([[0.3, 0.5], [0.3, 0.5], [0.8, 0.5]], np.float32)
    raw = np.stack([raw_candidate(0.0), raw_candidate(11.2), raw_candidate(0.0)])
    logits = np.log(np.array([0.9 / 0.1, 0.6 / 0.4, 0.8 / 0.2]))
    found = blazepose_detector.decode(raw, logits, centres, 0.5)
    assert [score for _, score in found] == pytest.approx([0.9, 0.8])
    mean_shift = 0.6 / 1.5 * 11.2 / 224
    np.testing.assert_allclose(found[0][0][2], [0.4 + mean_shift, 0.5], atol=1e-6)


def test_nobody_is_an_empty_list():
    centres = np.zeros((3, 2), np.float32)
    assert blazepose_detector.decode(np.zeros((3, 12)), np.full(3, -9.0), centres, 0.5) == []


@pytest.mark.parametrize("shape", [(480, 640), (640, 480), (3, 500), (100, 100), (719, 1279)])
def test_letterbox_keeps_proportions_and_centres(shape):
    image = np.full((*shape, 3), 255, np.uint8)
    tensor = np.zeros((224, 224, 3), np.float32)
    scale, left, top = blazepose_detector.letterbox(image, tensor)
    inside = (tensor == 1.0).all(axis=-1)
    assert (tensor[~inside] == -1.0).all()
    rows, columns = np.nonzero(inside)
    assert (columns.min(), rows.min()) == (left, top)
    assert abs(np.ptp(columns) + 1 - max(1, shape[1] * scale)) <= 1
    assert abs(np.ptp(rows) + 1 - max(1, shape[0] * scale)) <= 1


@pytest.mark.parametrize("shape", [(480, 640), (719, 1279), (1080, 1920), (200, 224)])
def test_what_is_in_the_image_is_in_its_place_in_the_letterbox(shape):
    image = np.zeros((*shape, 3), np.uint8)
    x, y = 3 * shape[1] // 4, 3 * shape[0] // 4
    image[y - 20 : y + 21, x - 20 : x + 21] = (0, 0, 255)  # BGR
    tensor = np.zeros((224, 224, 3), np.float32)
    scale, left, top = blazepose_detector.letterbox(image, tensor)
    red = tensor[..., 0] + 1.0
    assert tensor[..., 1:].max() == -1.0
    rows, columns = np.mgrid[:224, :224]
    # Pixel centres at whole numbers in the image are at halves of a pixel's width in it.
    centre = [(red * axis).sum() / red.sum() for axis in (columns, rows)]
    expected = [(x + 0.5) * scale - 0.5 + left, (y + 0.5) * scale - 0.5 + top]
    np.testing.assert_allclose(centre, expected, atol=0.6)


def heatmap_reference(points: np.ndarray, heatmap: np.ndarray) -> np.ndarray:
    """Point by point, as MediaPipe's calculator does it."""
    height, width, _ = heatmap.shape
    out = points.copy()
    for i, (x, y) in enumerate(points):
        column, row = int(np.floor(x * width)), int(np.floor(y * height))
        if not (0 <= column < width and 0 <= row < height):
            continue
        total = sum_x = sum_y = peak = 0.0
        for r in range(max(0, row - 3), min(height, row + 4)):
            for c in range(max(0, column - 3), min(width, column + 4)):
                weight = 1 / (1 + np.exp(-heatmap[r, c, i]))
                total, sum_x, sum_y = total + weight, sum_x + c * weight, sum_y + r * weight
                peak = max(peak, weight)
        if peak >= 0.5 and total > 0:
            out[i] = sum_x / total / width, sum_y / total / height
    return out


def test_refinement_equals_the_slow_reference():
    rng = np.random.default_rng(1)
    points = rng.uniform(-0.1, 1.1, (39, 2))  # some outside, many near the border
    heatmap = rng.normal(-3, 2, (64, 64, 39)).astype(np.float32)
    heatmap[:, :, :10] = -8.0  # no clear peak: these points stay
    refined = blazepose.refine(points, heatmap)
    np.testing.assert_allclose(refined, heatmap_reference(points, heatmap), atol=1e-5)
    np.testing.assert_array_equal(refined[:10], points[:10])
    assert np.abs(refined[10:] - points[10:]).max() > 0.01


def test_certainty_is_what_the_heatmap_says_where_the_landmark_was_put():
    heatmap = np.full((64, 64, 39), -4.0, np.float32)
    heatmap[20, 30, 5] = 2.0  # row, column, landmark
    heatmap[40:50, :, 6] = 1.0
    points = np.full((33, 2), 0.5)
    points[5] = 30 / 64, 20 / 64
    points[6] = 10 / 64, 45 / 64
    points[7], points[8] = (-0.1, 0.5), (0.5, 1.2)
    found = blazepose.certainties(points, heatmap)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[[0, 5, 6]], 1 / (1 + np.exp([4.0, -2.0, -1.0])), rtol=1e-5)
    np.testing.assert_array_equal(found[[7, 8]], 0.0)  # outside of the map
    heatmap[50, 63, 9] = 3.0
    points[5], points[9] = (29.6 / 64, 20.4 / 64), (63.7 / 64, 50 / 64)  # of the nearest cell
    nearest = blazepose.certainties(points, heatmap)
    np.testing.assert_allclose(nearest[[5, 9]], 1 / (1 + np.exp([-2.0, -3.0])), rtol=1e-5)
    points[5] = 31.4 / 64, 20.4 / 64
    assert blazepose.certainties(points, heatmap)[5] < 0.02


def rivals_reference(points: np.ndarray, heatmap: np.ndarray) -> list[list[tuple[float, int, int]]]:
    """[33] of (what the map says there, column, row): peaks of a 5 x 5 window away from the landmark."""
    height, width = heatmap.shape[:2]
    out = []
    for i, (x, y) in enumerate(points):
        found = []
        for row in range(height):
            for column in range(width):
                value = heatmap[row, column, i]
                near = heatmap[max(0, row - 2) : row + 3, max(0, column - 2) : column + 3, i]
                apart = np.hypot(column - x * width, row - y * height)
                if value == near.max() and apart >= 3 and value >= np.log(0.05 / 0.95):
                    found.append((1 / (1 + np.exp(-value)), column, row))
        out.append(sorted(found, reverse=True)[:2])
    return out


def test_rivals_are_the_highest_peaks_elsewhere():
    rng = np.random.default_rng(3)
    points = rng.uniform(-0.1, 1.1, (33, 2))
    heatmap = rng.normal(-6, 1.2, (64, 64, 39)).astype(np.float32)
    heatmap[:, :, 6:8] = -9.0
    heatmap[60, 63, 6] = -1.0
    heatmap[20, 30, 8], points[8] = 3.0, (32 / 64, 21 / 64)  # the landmark's own peak is no rival
    heatmap[50, 10, 8] = 1.0
    places, certainty = blazepose.rivals(points, heatmap)
    assert places.shape == (33, 2, 2)
    counts = set()
    for i, expected in enumerate(rivals_reference(points, heatmap)):
        counts.add(len(expected))
        for rank in range(2):
            if rank < len(expected):
                value, column, row = expected[rank]
                assert certainty[i, rank] == pytest.approx(value, rel=1e-5)
                np.testing.assert_allclose(places[i, rank], [column / 64, row / 64])
            else:
                assert certainty[i, rank] == 0
                np.testing.assert_array_equal(places[i, rank], points[i])
    assert counts == {0, 1, 2}
    np.testing.assert_allclose(places[8, 0], [10 / 64, 50 / 64])


def landmark_outputs(crop_px: np.ndarray, world: np.ndarray) -> dict[str, np.ndarray]:
    points = np.zeros((39, 5), np.float32)
    points[:, :2] = crop_px
    points[:, 2] = 25.6
    points[:, 3:] = [2.0, -2.0]
    return {
        "points": points.reshape(1, -1),
        "score": np.array([[0.9]], np.float32),
        "heatmap": np.full((1, 64, 64, 39), -9.0, np.float32),
        "world": np.tile(np.asarray(world, np.float32), (39, 1)).reshape(1, -1),
    }


def test_landmarks_are_carried_into_a_turned_image():
    """In a ROI turned clockwise by 90 degrees, "up in the crop" is "right in the image"."""
    roi = Roi(np.array([300.0, 200.0], np.float32), 512.0, np.pi / 2)
    crop = np.full((39, 2), 128.0)
    crop[0] = 128, 64  # a quarter of the side above the middle
    crop[34] = 128, 26  # top of the circle: 102 crop px above the hips
    outputs = landmark_outputs(crop, [0.1, -0.5, 0.2])
    outputs["heatmap"][0, 16, 48, 3] = 0.0  # a quarter from the top, three from the left
    found = blazepose.decode(outputs, roi)
    np.testing.assert_allclose(found.rivals[3, 0], [428, 328], atol=1e-3)
    np.testing.assert_array_equal(np.argwhere(found.rival_certainty > 0), [[3, 0]])
    np.testing.assert_allclose(found.rivals[1], [[300, 200]] * 2, atol=1e-3)  # its own place
    np.testing.assert_allclose(found.keypoints[0], [428, 200], atol=1e-3)
    np.testing.assert_allclose(found.keypoints[1], [300, 200], atol=1e-3)
    np.testing.assert_allclose(found.landmarks[0], [0.5, 0.1, 0.2], atol=1e-6)
    # Twice the crop depth of 25.6 px, brought to the scale of x and y.
    np.testing.assert_allclose(found.depth_hint, 51.2 * 0.26, rtol=1e-6)
    np.testing.assert_allclose(found.visibility, 1 / (1 + np.exp(-2)), rtol=1e-5)
    np.testing.assert_allclose(found.presence, 1 / (1 + np.exp(2)), rtol=1e-5)
    np.testing.assert_allclose(found.certainty, 1 / (1 + np.exp(9)), atol=1e-7)
    assert found.next_roi.angle == pytest.approx(np.pi / 2)
    assert found.next_roi.size == pytest.approx(2 * 1.25 * 204)
    assert found.score == pytest.approx(0.9)
