"""JPEG and PNG as image_transport and drivers send them, and everything that can be wrong with them."""

import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sensor_msgs.msg import CompressedImage

from d3pose_ros.compressed import _jpeg_size
from d3pose_ros.image_error import ImageError
from d3pose_ros.images import to_bgr

WIDTH, HEIGHT = 64, 48


def quarters() -> np.ndarray:
    """A BGR image of four plain quarters, which JPEG leaves as they are but for their edges."""
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    image[:24, :32] = 200, 60, 20
    image[:24, 32:] = 20, 180, 90
    image[24:, :32] = 40, 50, 220
    image[24:, 32:] = 128, 128, 128
    return image


def compressed(image: np.ndarray, codec: str, form: str) -> CompressedImage:
    ok, data = cv2.imencode(f".{codec}", image)
    assert ok
    return CompressedImage(format=form, data=data.tobytes())


def assert_same_colours(got: np.ndarray, expected: np.ndarray) -> None:
    assert got.dtype == np.uint8
    assert got.shape == expected.shape
    for y, x in ((12, 16), (12, 48), (36, 16), (36, 48)):
        np.testing.assert_allclose(got[y, x].astype(int), expected[y, x].astype(int), atol=6)


@pytest.mark.parametrize(
    ("codec", "form"),
    [
        ("jpg", "bgr8; jpeg compressed bgr8"),
        ("jpg", "rgb8; jpeg compressed bgr8"),  # the raw image's order does not matter
        ("jpg", "jpeg"),
        ("jpg", ""),
        ("jpg", "png"),  # a driver that is wrong about itself
        ("png", "bgr8; png compressed bgr8"),
        ("png", "png"),
    ],
)
def test_colours(codec, form):
    assert_same_colours(to_bgr(compressed(quarters(), codec, form)), quarters())


def test_channels_stored_the_other_way_round():
    swapped = compressed(quarters()[..., ::-1], "png", "rgb8; png compressed rgb8")
    np.testing.assert_array_equal(to_bgr(swapped), quarters())


def test_alpha_and_grey_and_16_bits():
    with_alpha = np.dstack([quarters(), np.full((HEIGHT, WIDTH), 7, np.uint8)])
    message = compressed(with_alpha, "png", "bgra8; png compressed bgra8")
    np.testing.assert_array_equal(to_bgr(message), quarters())
    grey = quarters()[..., 1]
    expected = np.dstack([grey] * 3)
    message = compressed(grey, "png", "mono8; png compressed ")
    np.testing.assert_array_equal(to_bgr(message), expected)
    message = compressed(grey.astype(np.uint16) * 257, "png", "mono16; png compressed ")
    np.testing.assert_array_equal(to_bgr(message), expected)


def test_mosaic_is_demosaiced():
    image = quarters()
    mosaic = np.zeros((HEIGHT, WIDTH), np.uint8)  # rggb: red first
    mosaic[0::2, 0::2], mosaic[1::2, 1::2] = image[0::2, 0::2, 2], image[1::2, 1::2, 0]
    mosaic[0::2, 1::2], mosaic[1::2, 0::2] = image[0::2, 1::2, 1], image[1::2, 0::2, 1]
    for pixels, depth in ((mosaic, 8), (mosaic.astype(np.uint16) * 257, 16)):
        message = compressed(pixels, "png", f"bayer_rggb{depth}; png compressed ")
        assert_same_colours(to_bgr(message), image)


def test_orientation_tags_do_not_turn_the_image():
    """camera_info describes the pixels as they are stored."""
    jpeg = compressed(quarters(), "jpg", "jpeg")
    exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
    tag = b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
    data = bytes(jpeg.data)
    turned = cv2.imdecode(np.frombuffer(data[:2] + tag + data[2:], np.uint8), cv2.IMREAD_COLOR)
    assert turned.shape == (WIDTH, HEIGHT, 3), "the tag is one that OpenCV obeys"
    assert_same_colours(to_bgr(CompressedImage(data=data[:2] + tag + data[2:])), quarters())


@pytest.mark.parametrize("codec", ["jpg", "png"])
def test_cut_off_data_is_malformed(codec):
    message = compressed(quarters(), codec, "")
    data = bytes(message.data)
    for fraction in (0.3, 0.6, 0.95):
        message.data = data[: int(fraction * len(data))]
        with pytest.raises(ImageError) as refused:
            to_bgr(message)
        assert refused.value.cause == "malformed_image"


def test_cut_off_after_a_thumbnail_is_malformed():
    """A thumbnail in the header ends like a picture does."""
    thumbnail = cv2.imencode(".jpg", quarters()[::4, ::4])[1].tobytes()
    comment = b"\xff\xfe" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail
    data = bytes(compressed(quarters(), "jpg", "").data)
    whole = data[:2] + comment + data[2:]
    assert_same_colours(to_bgr(CompressedImage(data=whole)), quarters())
    with pytest.raises(ImageError, match="end is missing"):
        to_bgr(CompressedImage(data=whole[:-40]))


def test_zeros_after_the_end_do_no_harm():
    message = compressed(quarters(), "jpg", "jpeg")
    message.data = bytes(message.data) + bytes(100)  # webcams fill up their buffers
    assert_same_colours(to_bgr(message), quarters())


@pytest.mark.parametrize(
    ("data", "form", "cause"),
    [
        (b"", "jpeg", "empty_image"),
        (b"\x00\x00\x00\x01\x67\x42", "h264", "unsupported_encoding"),
        (b"\xff\xd8\xff\xda\xff\xd9", "jpeg", "malformed_image"),
        (b"\x89PNG\r\n\x1a\nIEND", "png", "malformed_image"),
    ],
)
def test_causes(data, form, cause):
    with pytest.raises(ImageError) as refused:
        to_bgr(CompressedImage(format=form, data=data))
    assert refused.value.cause == cause


def test_a_file_that_claims_more_pixels_than_fit_into_memory_is_not_decoded():
    """An 8K picture has 33 million pixels; these have a hundred times as many, in some kB."""
    rows = zlib.compress(bytes(2**16))

    def chunk(kind: bytes, content: bytes) -> bytes:
        checked = kind + content
        return len(content).to_bytes(4, "big") + checked + zlib.crc32(checked).to_bytes(4, "big")

    header = (60_000).to_bytes(4, "big") * 2 + bytes((1, 0, 0, 0, 0))  # one bit a pixel, grey
    bomb = (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )
    jpeg = bytes(compressed(quarters(), "jpg", "").data)
    frame = jpeg.index(b"\xff\xc0")
    wide = jpeg[: frame + 5] + b"\xfd\xe8" * 2 + jpeg[frame + 9 :]  # 65000
    for data, size in ((bomb, "60000x60000"), (wide, "65000x65000")):
        with pytest.raises(ImageError, match=f"its header claims {size} pixels") as refused:
            to_bgr(CompressedImage(format="jpeg", data=data))
        assert refused.value.cause == "malformed_image"


def test_padding_and_segments_before_the_jpegs_frame_are_stepped_over():
    data = bytes(compressed(quarters(), "jpg", "").data)
    height, width = quarters().shape[:2]
    # A comment that looks like a frame header.
    lure = b"\xff\xfe\x00\x0d\xff\xc0\x00\x0b\x08\xff\xff\xff\xff\x00\x00"
    assert _jpeg_size(data) == (width, height)
    assert _jpeg_size(data[:2] + lure + b"\xff\xff" + data[3:]) == (width, height)
    assert _jpeg_size(data[:20]) == (0, 0)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damage_never_does_more_than_refuse(data):
    codec = data.draw(st.sampled_from(["jpg", "png"]))
    content = bytearray(bytes(compressed(quarters(), codec, "").data))
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        image = to_bgr(CompressedImage(format="bgr8; jpeg compressed bgr8", data=bytes(content)))
    except ImageError:
        return
    assert image.ndim == 3
    assert image.shape[2] == 3


@pytest.mark.parametrize("form", ["16UC1; png compressed ", "16UC1; compressedDepth png", "32FC1;"])
def test_depth_images_are_no_pictures(form):
    """Nor are they when they are raw: 16UC1 is no encoding of colour."""
    depth = np.full((HEIGHT, WIDTH), 3000, np.uint16)
    with pytest.raises(ImageError, match="compressed depth image") as refused:
        to_bgr(compressed(depth, "png", form))
    assert refused.value.cause == "unsupported_encoding"


def test_a_jpeg_that_goes_over_its_pixels_without_end():
    """Some kB that would be decoded for minutes."""
    image = np.zeros((4000, 4000), np.uint8)
    data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()
    assert to_bgr(CompressedImage(data=data)).shape == (4000, 4000, 3)
    scan = data[data.rindex(b"\xff\xda") : -2]
    with pytest.raises(ImageError, match="goes over its 4000x4000 pixels 3") as refused:
        to_bgr(CompressedImage(data=data[:-2] + 300 * scan + data[-2:]))
    assert refused.value.cause == "malformed_image"
