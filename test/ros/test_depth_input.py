"""Depth images by their stamps and encodings; the arithmetic of distances is tested in test_depth.py."""

import array

import numpy as np
import pytest
from sensor_msgs.msg import Image

from d3pose_core.camera import Intrinsics
from d3pose_ros.depth_input import DepthBuffer, to_depth
from d3pose_ros.image_error import ImageError

CAMERA = Intrinsics.from_hfov(60, 8, 6)


def stamped(milliseconds: float) -> Image:
    image = Image()
    image.header.stamp.sec, nanoseconds = divmod(round(milliseconds * 1e6), 10**9)
    image.header.stamp.nanosec = nanoseconds
    return image


def ns(milliseconds: float) -> int:
    return round(milliseconds * 1e6)


def message(values: np.ndarray, encoding: str, padding: int = 0, bigendian: bool = False) -> Image:
    """`values` [H, W] as a message whose rows end in `padding` bytes."""
    height, width = values.shape
    rows = values.astype(values.dtype.newbyteorder(">" if bigendian else "<"))
    rows = rows.view(np.uint8).reshape(height, -1)
    rows = np.pad(rows, ((0, 0), (0, padding)), constant_values=255)
    return Image(
        width=width,
        height=height,
        encoding=encoding,
        step=rows.shape[1],
        is_bigendian=bigendian,
        data=array.array("B", rows.tobytes()),
    )


def test_exact_and_nearest_stamps():
    buffer = DepthBuffer()
    images = [stamped(k) for k in (1000, 1033, 1066)]
    for image in images:
        buffer.add(image)
    assert buffer.nearest(ns(1033), 0.0) is images[1]
    assert buffer.nearest(ns(1043), 0.0) is None
    assert buffer.nearest(ns(1043), 0.02) is images[1]
    assert buffer.nearest(ns(1055), 0.02) is images[2]
    assert buffer.nearest(ns(1200), 0.02) is None
    buffer.clear()
    assert buffer.nearest(ns(1033), 0.02) is None


def test_the_past_is_kept_for_a_second_only():
    buffer = DepthBuffer()
    buffer.add(stamped(1000))
    for k in range(20):
        buffer.add(stamped(1300 + 40 * k))
    assert buffer.nearest(ns(1300), 0.0) is not None
    assert buffer.nearest(ns(1000), 0.0) is None
    for k in range(100):
        buffer.add(stamped(3000 + k))
    assert buffer.nearest(ns(3000), 0.0) is None, "a fast camera does not fill the memory"


def test_a_bag_that_starts_again():
    buffer = DepthBuffer()
    buffer.add(stamped(9000))
    buffer.add(stamped(2000))
    assert buffer.nearest(ns(9000), 0.0) is None
    assert buffer.nearest(ns(2000), 0.0) is not None


@pytest.mark.parametrize("padding", [0, 12])
@pytest.mark.parametrize("bigendian", [False, True])
@pytest.mark.parametrize(
    ("encoding", "values"),
    [
        ("16UC1", np.full((6, 8), 2500, np.uint16)),
        ("mono16", np.full((6, 8), 2500, np.uint16)),
        ("32FC1", np.full((6, 8), 2.5, np.float32)),
    ],
)
def test_encodings(encoding, values, padding, bigendian):
    values[2, 3] = 0
    depth = to_depth(message(values, encoding, padding, bigendian))
    got = depth.at(np.array([[0.0, 0.0], [7.0, 5.0], [3.0, 2.0], [8.0, 0.0]]), CAMERA)
    np.testing.assert_allclose(got, [2.5, 2.5, np.nan, np.nan])


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"encoding": "bgr8"}, "unsupported_encoding"),
        ({"width": 0}, "malformed_image"),
        ({"step": 15}, "malformed_image"),
        ({"step": 17}, "malformed_image"),
        ({"height": 7}, "malformed_image"),
    ],
)
def test_damage(changes, cause):
    image = message(np.ones((6, 8), np.uint16), "16UC1")
    for name, value in changes.items():
        setattr(image, name, value)
    with pytest.raises(ImageError) as refused:
        to_depth(image)
    assert refused.value.cause == cause
