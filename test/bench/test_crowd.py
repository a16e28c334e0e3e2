"""Images of several people, in which the real observer finds them all."""

import numpy as np
import pytest

from d3pose_core.bench.crowd import crowd, read_man
from d3pose_core.errors import InputError
from d3pose_core.observe import BlazePoseObserver


@pytest.fixture(scope="module")
def man():
    return read_man(frames=12)


def test_it_goes_on_without_a_jump(man):
    steps = [np.abs(a.astype(int) - b).mean() for a, b in zip(man, [*man[1:], man[0]], strict=True)]
    assert len(man) == 22
    assert max(steps) < 3 * np.median(steps)


@pytest.mark.parametrize("people", [1, 3, 8])
@pytest.mark.parametrize("size", [(640, 480), (1280, 720), (200, 600)])
def test_images_have_the_size_and_people_differ(man, people, size):
    shown = crowd(man, people, *size)
    assert len(shown.images) == len(man)
    assert {image.shape for image in shown.images} == {(size[1], size[0], 3)}
    assert not np.array_equal(shown.images[0], shown.images[1])


def test_a_crowd_of_nobody_is_refused(man):
    with pytest.raises(InputError, match="at least one person, not 0"):
        crowd(man, 0, 640, 480)


def test_everybody_is_tracked(man):
    images = crowd(man, 4, 640, 480).images
    observer = BlazePoseObserver(max_people=5)
    counts = [len(observer(images[i % len(images)], i / 30)) for i in range(20)]
    assert counts[-3:] == [4, 4, 4]
