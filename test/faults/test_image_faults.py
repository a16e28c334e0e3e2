"""Images that cannot be, images that change, images that come too fast or too large."""

from __future__ import annotations

import array

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.serialization import serialize_message

from test.helpers.fault_node import HEIGHT, WIDTH, FaultNode
from test.helpers.scripted_node import FAILS


@pytest.mark.parametrize(
    ("cause", "fields"),
    [
        ("empty_image", {"height": 0}),
        ("empty_image", {"width": 0}),
        ("empty_image", {"data": array.array("B")}),
        ("malformed_image", {"step": 3 * WIDTH - 1}),
        ("malformed_image", {"step": 0}),
        ("malformed_image", {"data": array.array("B", bytes(3 * WIDTH * HEIGHT - 1))}),
        ("malformed_image", {"width": 10**9}),
        ("malformed_image", {"width": 10**9, "step": 3 * 10**9}),
        ("malformed_image", {"height": 2**32 - 1}),
        ("malformed_image", {"encoding": "bgra8"}),
        ("malformed_image", {"encoding": "nv12", "height": HEIGHT - 1}),
        ("unsupported_encoding", {"encoding": ""}),
        ("unsupported_encoding", {"encoding": "32FC1"}),
        ("unsupported_encoding", {"encoding": "BGR8\n"}),
    ],
)
def test_an_image_that_cannot_be_is_dropped(node: FaultNode, cause, fields):
    image = node.next()
    for name, value in fields.items():
        setattr(image, name, value)
    node.dropped(cause, image)
    assert not node.people[1:], "of the scenario's first image only"


def test_the_log_says_why_and_is_neither_flooded_nor_blown_up(node: FaultNode):
    image = node.next()
    image.encoding = "x" * 100_000
    node.wait_until(
        lambda: node.status().level == DiagnosticStatus.ERROR,
        "most of the last images to be bad",
        between=lambda: node.send(image),
    )
    assert "cannot be used: see dropped/*" in node.status().message
    # Once in five seconds for each cause; the scenario before this one may have had the first.
    assert node.said().count("got an image with encoding") <= 1
    assert len(node.said()) < 10_000


def test_images_that_are_odd_but_right_are_taken(node: FaultNode):
    padded = node.next(count=1, first=3)
    rows = np.frombuffer(padded.data, np.uint8).reshape(HEIGHT, -1)
    padded.step += 64
    padded.data = array.array("B", np.pad(rows, ((0, 0), (0, 64))).tobytes())
    assert len(node.answer(padded).persons) == 1

    too_long = node.next(count=1, first=3)
    too_long.data.extend(bytes(1000))
    assert len(node.answer(too_long).persons) == 1

    grey = np.zeros((HEIGHT, WIDTH), ">u2")
    grey[0, 0] = 0x0300  # of 65535 that is 3 of 255, and with the bytes exchanged nothing
    big_endian = node.next()
    big_endian.encoding, big_endian.is_bigendian, big_endian.step = "mono16", 1, 2 * WIDTH
    big_endian.data = array.array("B", grey.tobytes())
    assert [person.track_id for person in node.answer(big_endian).persons] == [3, 4, 5]


def test_another_camera_on_the_way_starts_anew(node: FaultNode):
    """Size, encoding and frame_id change in the middle of a stream."""
    node.answer(count=1, first=3)
    node.answer(count=1, first=3, width=2 * WIDTH, height=2 * HEIGHT)
    node.wait_for("stream/size_changed")
    node.wait_for_log(f"size changed from {WIDTH}x{HEIGHT} to {2 * WIDTH}x{2 * HEIGHT}")

    message = node.answer(
        count=1, first=3, width=2 * WIDTH, height=2 * HEIGHT, frame_id="other_camera"
    )
    assert message.header.frame_id == "other_camera"
    node.wait_for("stream/frame_id_changed")
    node.wait_for_log("frame_id changed from 'camera_optical_frame' to 'other_camera'")

    image = node.next(count=5, first=3, event=2, frame_id="other_camera")
    image.encoding = "rgb8"  # blue, which tells how many there are, comes last
    assert len(node.answer(image).persons) == 2
    node.wait_for("stream/encoding_changed")
    node.wait_for_log("the images' encoding changed from")


def test_images_without_frame_id_are_counted(node: FaultNode):
    for _ in range(2):
        assert node.answer(count=1, frame_id="").header.frame_id == ""
    node.wait_for("stream/no_frame_id", 2)
    node.wait_for_log("images come without header.frame_id")


def test_bytes_that_are_no_message_do_not_reach_the_node(node: FaultNode):
    """A publisher of another definition of the type, or a damaged one: the middleware drops it."""
    whole = serialize_message(node.next())
    random = np.random.default_rng(0)
    for data in (whole[:30], whole[:4], random.bytes(60), whole[:4] + b"\xff" * 200):
        node.images.publish(data)
    node.is_well()
    node.settle()
    assert node.added("images processed") == node.added("images received") == 1


def test_a_thousand_images_a_second(node: FaultNode):
    """What comes too fast is dropped and counted; services are still answered."""
    images = [node.next(count=1, first=3) for _ in range(400)]
    for k, image in enumerate(images):
        node.send(image)
        if k == 200:
            assert node.state() == "active"
    last = images[-1].header.stamp
    node.wait_until(
        lambda: node.people and node.people[-1].header.stamp == last, "people of the newest image"
    )
    node.wait_until(lambda: node.added("dropped/busy") > 0, "busy drops")
    node.wait_until(
        lambda: node.handled() == int(node.values()["images received"]), "all to be accounted for"
    )
    stamps = [(m.header.stamp.sec, m.header.stamp.nanosec) for m in node.people]
    assert stamps == sorted(set(stamps))


@pytest.mark.parametrize(("width", "height"), [(3840, 2160), (1, 1), (8, 4000)])
def test_sizes_from_one_pixel_to_4k(node: FaultNode, width, height):
    message = node.answer(count=1, first=3, width=width, height=height)
    (person,) = message.persons
    assert np.isfinite([person.joints[0].x, person.joints[0].y, person.joints[0].z]).all()


def test_an_image_that_the_network_fails_on_is_one_image(node: FaultNode):
    node.dropped("recovery_error", node.next(event=FAILS))
    node.wait_for_log("the landmark network fell over")
