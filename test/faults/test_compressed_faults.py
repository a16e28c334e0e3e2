"""Compressed images that are none, that claim too much, or that are very large."""

from __future__ import annotations

import array
import zlib
from collections.abc import Callable, Iterator

import cv2
import numpy as np
import pytest
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CompressedImage

from test.helpers.fault_node import FRAME_ID, HEIGHT, WIDTH, FaultNode, stamp

Send = Callable[[bytes, str], CompressedImage]


@pytest.fixture(scope="module")
def compressed_node(scripted) -> Iterator[FaultNode]:
    scripted.begin()
    raw, scripted.images = (
        scripted.images,
        scripted.graph.node.create_publisher(
            CompressedImage, "/scripted/image/compressed", QoSProfile(depth=50)
        ),
    )
    # The shared node's own pictures, as PNG: a JPEG's first pixel is not what it was.
    raw_next = scripted.next
    scripted.next = lambda **fields: as_png(raw_next(**fields))
    scripted.reconfigure(image_transport="compressed")
    scripted.connect()
    yield scripted
    scripted.graph.node.destroy_publisher(scripted.images)
    scripted.images, scripted.next = raw, raw_next
    scripted.reconfigure(image_transport="raw")
    scripted.connect()


@pytest.fixture
def node(compressed_node) -> Iterator[FaultNode]:
    yield compressed_node.begin()
    compressed_node.is_well()


def as_png(image) -> CompressedImage:
    pixels = np.frombuffer(image.data, np.uint8).reshape(image.height, image.width, 3)
    message = CompressedImage(header=image.header, format="bgr8; png compressed bgr8")
    message.data = array.array("B", cv2.imencode(".png", pixels)[1].tobytes())
    return message


def message(node: FaultNode, data: bytes, form: str = "jpeg") -> CompressedImage:
    node.stamp_ms += 40
    image = CompressedImage(format=form, data=array.array("B", data))
    image.header.frame_id = FRAME_ID
    return stamp(image, node.stamp_ms)


def jpeg(width: int = WIDTH, height: int = HEIGHT) -> bytes:
    return cv2.imencode(".jpg", np.zeros((height, width, 3), np.uint8))[1].tobytes()


def png_bomb(side: int) -> bytes:
    """A grey PNG of a few kB that says it is of so many pixels a side."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checked = kind + content
        return len(content).to_bytes(4, "big") + checked + zlib.crc32(checked).to_bytes(4, "big")

    header = side.to_bytes(4, "big") * 2 + bytes((8, 0, 0, 0, 0))
    rows = zlib.compress(bytes(2**20))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("cause", "data", "form"),
    [
        ("empty_image", b"", "jpeg"),
        ("unsupported_encoding", b"garbage" * 100, "jpeg"),
        ("unsupported_encoding", b"\x00\x00\x00\x01\x67\x42\x00", "h264"),
        ("malformed_image", jpeg()[:-20], "jpeg"),
        ("malformed_image", jpeg()[:30] + bytes(100) + b"\xff\xda\xff\xd9", "jpeg"),
        ("malformed_image", png_bomb(30_000), "png"),
        ("malformed_image", png_bomb(2**31 - 1), "png"),
        ("malformed_image", png_bomb(0), "png"),
    ],
)
def test_data_that_is_no_picture_is_dropped(node: FaultNode, cause, data, form):
    node.dropped(cause, message(node, data, form))


@pytest.mark.parametrize(
    "form", ["", "png", "bgr8; png compressed bgr8", "no format", "x" * 10_000]
)
def test_the_data_counts_and_not_what_format_says(node: FaultNode, form):
    node.answer(message(node, jpeg(), form))


def test_a_picture_of_8k(node: FaultNode):
    """Sent in a few hundred kB; decoding takes a moment, and then it is one image."""
    node.answer(message(node, jpeg(7680, 4320)))
    node.wait_for("stream/size_changed")
