"""What one image changes in its stream."""

import pytest
from sensor_msgs.msg import CompressedImage

from d3pose_ros import stream
from d3pose_ros.image_error import ImageError
from d3pose_ros.stream import StreamWatch


@pytest.fixture
def names(make_image):
    """The names of the events of an image; `check(stamp_s, width=..., ...)`."""
    watch = StreamWatch()

    def check(stamp_s, width=64, height=48, **image):
        message = make_image(stamp_s, width, height, **image)
        return {event.name: event.starts_anew for event in watch.check(message, width, height)}

    check.watch = watch
    return check


def test_a_plain_stream_is_not_remarked_on(names):
    assert [names(1.0 + k / 30) for k in range(3)] == [{}] * 3


def test_time(names):
    names(100.0)
    assert names(103.0) == {stream.GAP: False}
    assert names(90.0) == {stream.TIME_WENT_BACK: True}
    assert names(90.1) == {}


def test_another_camera_on_the_way(names):
    names(1.0)
    assert names(1.1, frame_id="other_camera") == {stream.FRAME_ID: True}
    assert names(1.2, frame_id="other_camera", width=32) == {stream.SIZE: True}
    assert names(1.3, frame_id="other_camera", width=32, encoding="rgb8") == {
        stream.ENCODING: False
    }
    assert names(1.4, frame_id="other_camera", width=32, encoding="rgb8") == {}


def test_without_frame_id_every_image_is_counted(names):
    assert names(1.0, frame_id="") == names(1.1, frame_id="") == {stream.NO_FRAME_ID: False}


def test_a_new_beginning_has_nothing_before_it(names):
    names(5.0)
    names.watch.clear()
    assert names(1.0, frame_id="other_camera", width=32) == {}


@pytest.mark.parametrize(
    ("stamp_s", "cause"), [(5.0, "duplicate_stamp"), (4.9, "out_of_order"), (0.0, "zero_stamp")]
)
def test_stamps_that_cannot_be(names, stamp_s, cause):
    names(0.0 if cause == "zero_stamp" else 5.0)
    with pytest.raises(ImageError) as refused:
        names(stamp_s)
    assert refused.value.cause == cause


@pytest.mark.parametrize(("sec", "nanosec"), [(-1, 0), (1, 10**9), (-(2**31), 2**32 - 1)])
def test_stamps_that_are_no_time(make_image, sec, nanosec):
    image = make_image()
    image.header.stamp.sec, image.header.stamp.nanosec = sec, nanosec
    with pytest.raises(ImageError, match="no time") as refused:
        StreamWatch().check(image, 64, 48)
    assert refused.value.cause == "invalid_stamp"


def test_compressed_images_have_no_encoding():
    watch = StreamWatch()
    for k, form in enumerate(("jpeg", "bgr8; jpeg compressed bgr8", "")):
        image = CompressedImage(format=form)
        image.header.frame_id, image.header.stamp.sec = "camera", k + 1
        assert watch.check(image, 64, 48) == []
