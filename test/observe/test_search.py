"""The pyramid of windows: what it covers, in which order, at which cost."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from d3pose_core.errors import InputError
from d3pose_core.observe.observation import Detection, Roi
from d3pose_core.observe.search import PersonSearch, pyramid


@settings(max_examples=60, deadline=None)
@given(
    st.integers(320, 2000),
    st.integers(240, 1200),
    st.floats(0.125, 0.9),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_everybody_large_enough_fills_enough_of_some_window(width, height, share, across, down):
    """Wherever a person stands, some window holds all of the person, at 0.3 of its side or more."""
    tall, wide = share * height, 0.25 * share * height
    x0, y0 = across * max(0, width - wide), down * (height - tall)
    boxes = pyramid(width, height, 0.125).boxes
    x1, y1 = min(width, x0 + wide), y0 + tall
    holds = (boxes[:, 0] <= x0 + 1) & (boxes[:, 1] <= y0 + 1)
    holds &= (boxes[:, 2] >= x1 - 1) & (boxes[:, 3] >= y1 - 1)
    side = (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
    wanted = min(0.3, height / max(width, height) * share)
    assert (tall / side[holds]).max() >= wanted - 1e-9


@pytest.mark.parametrize("size", [(640, 480), (1920, 1080), (480, 640), (64, 48), (1, 1)])
def test_windows_lie_in_the_image_and_are_not_too_many(size):
    boxes = pyramid(*size, 0.125).boxes
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, 2:] <= size).all()
    assert (boxes[:, 2:] > boxes[:, :2]).all()
    assert len(boxes) == len(np.unique(boxes, axis=0)) <= 150


@pytest.mark.parametrize("size", [(10**6, 1), (1, 10**6), (40000, 40)])
def test_long_strips_have_no_more_windows_than_can_be_searched(size):
    """A camera or a message that is broken must not hold up the node."""
    boxes = pyramid(*size, 0.125).boxes
    assert len(boxes) < 1000
    covered = np.zeros(max(size), bool)
    for low, high in boxes[1:, [0, 2]] if size[0] > size[1] else boxes[1:, [1, 3]]:
        covered[low:high] = True
    assert covered.all()


class Watcher:
    """A detector that finds nobody and remembers what it was shown."""

    def __init__(self, found=()):
        self.shown: list[tuple[int, int, int]] = []
        self.found = list(found)

    def detect(self, image_bgr):
        # Test images hold the coordinates of each pixel.
        height, width = image_bgr.shape[:2]
        self.shown.append((int(image_bgr[0, 0, 0]) * 4, int(image_bgr[0, 0, 2]) * 4, width))
        assert height > 0
        return self.found


def coordinates(width=640, height=480) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    return np.stack([x // 4, np.zeros_like(x), y // 4], axis=2).astype(np.uint8)


def test_every_window_has_its_turn():
    watcher = Watcher()
    search = PersonSearch(watcher, 0.125)
    image = coordinates()
    windows = pyramid(640, 480, 0.125)
    bound = int(np.ceil(windows.weight.sum())) + len(windows.weight)
    for _ in range(bound):
        search.see(image, [])
        search.search(image)
    wanted = {(int(x // 4 * 4), int(y // 4 * 4), int(x1 - x)) for x, y, x1, _ in windows.boxes}
    assert set(watcher.shown) == wanted


def searches_of_the_corner(known: list[Roi]) -> int:
    """Of 60 searches, how many hold a corner in which something small moves."""
    watcher = Watcher()
    search = PersonSearch(watcher, 0.125)
    for step in range(60):
        image = coordinates()
        image[400:460, 540 + step % 2 * 20 : 600, 1] = 255
        search.see(image, known)
        search.search(image)
    return sum(x + side >= 600 and y + side >= 460 for x, y, side in watcher.shown)


def test_what_moves_is_searched_sooner_unless_it_is_tracked():
    tracked = Roi(np.array([570.0, 430.0], np.float32), 160.0, 0.0)
    assert searches_of_the_corner([]) >= 2 * searches_of_the_corner([tracked]) > 0


def test_results_are_in_pixels_of_the_image():
    found = Detection(np.array([1.0, 2, 3, 4]), 0.9, Roi(np.array([5.0, 6.0]), 7.0, 0.1))
    search = PersonSearch(Watcher([found]), 0.125)
    image = coordinates()
    search.see(image, [])
    [near] = search.search_near(image, Roi(np.array([300.0, 200.0]), 100.0, 0.0), widening=1.0)
    np.testing.assert_allclose(near.box, [251, 152, 253, 154])
    np.testing.assert_allclose(near.roi.center, [255, 156])


def test_nothing_is_searched_outside_of_the_image():
    watcher = Watcher()
    search = PersonSearch(watcher, 0.125)
    image = coordinates()
    search.see(image, [])
    assert search.search_near(image, Roi(np.array([-500.0, 200.0]), 100.0, 0.0), 1.3) == []
    assert watcher.shown == []


def test_another_detector_sees_whole_images_only():
    watcher = Watcher()
    search = PersonSearch(watcher, smallest_person=None)
    image = coordinates()
    for _ in range(3):
        search.see(image, [])
        search.search(image)
    assert watcher.shown == [(0, 0, 640)] * 3


@pytest.mark.parametrize("smallest", [0.0, -0.1, 1.5])
def test_smallest_person_is_checked(smallest):
    with pytest.raises(InputError, match=str(smallest)):
        PersonSearch(Watcher(), smallest)
