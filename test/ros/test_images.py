"""Each encoding gives the colours that were put in, with and without padded rows."""

import numpy as np
import pytest
from sensor_msgs.msg import Image

from d3pose_ros import images
from d3pose_ros.images import SUPPORTED_ENCODINGS, ImageError, to_bgr

WIDTH, HEIGHT = 8, 6


def four_colors() -> np.ndarray:
    """A BGR image of four plain quarters: survives chroma subsampling away from their edges."""
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    image[:3, :4] = 200, 60, 20
    image[:3, 4:] = 20, 180, 90
    image[3:, :4] = 40, 50, 220
    image[3:, 4:] = 128, 128, 128
    return image


def yuv(bgr: np.ndarray) -> np.ndarray:
    """BT.601 in video range, from the standard's own numbers: [..., 3] Y, U, V."""
    blue, green, red = np.moveaxis(bgr.astype(float) / 255, -1, 0)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    u = (blue - luma) / 1.772
    v = (red - luma) / 1.402
    return np.round(np.stack((16 + 219 * luma, 128 + 224 * u, 128 + 224 * v), -1)).astype(np.uint8)


def mosaic(bgr: np.ndarray, pattern: str) -> np.ndarray:
    """What a sensor behind a Bayer filter sees; `pattern` names the colours of rows 0 and 1."""
    channel = ["bgr".index(color) for color in pattern]
    raw = np.empty(bgr.shape[:2], np.uint8)
    for i, (row, column) in enumerate(((0, 0), (0, 1), (1, 0), (1, 1))):
        raw[row::2, column::2] = bgr[row::2, column::2, channel[i]]
    return raw


def encode(bgr: np.ndarray, encoding: str, big_endian: bool = False) -> np.ndarray:
    """Rows of bytes [rows, bytes per row], made without OpenCV."""
    alpha = np.full((*bgr.shape[:2], 1), 77, np.uint8)
    if encoding in ("bgr8", "8UC3"):
        pixels = bgr
    elif encoding == "rgb8":
        pixels = bgr[..., ::-1]
    elif encoding == "bgra8":
        pixels = np.concatenate((bgr, alpha), -1)
    elif encoding == "rgba8":
        pixels = np.concatenate((bgr[..., ::-1], alpha), -1)
    elif encoding in ("mono8", "8UC1"):
        pixels = bgr[..., 0]
    elif encoding == "mono16":
        pixels = (bgr[..., 0].astype(np.uint16) * 257).astype(">u2" if big_endian else "<u2")
        pixels = pixels.view(np.uint8)
    elif encoding.startswith("bayer_"):
        pixels = mosaic(bgr, encoding.removeprefix("bayer_").removesuffix("8"))
    else:
        y, u, v = np.moveaxis(yuv(bgr), -1, 0)
        chroma = np.stack((u[:, ::2], v[:, ::2]), -1).reshape(bgr.shape[:2])
        if encoding in ("yuv422", "uyvy"):
            pixels = np.stack((chroma, y), -1)
        elif encoding in ("yuv422_yuy2", "yuyv"):
            pixels = np.stack((y, chroma), -1)
        else:
            first, second = (u, v) if encoding == "nv12" else (v, u)
            planes = np.stack((first[::2, ::2], second[::2, ::2]), -1)
            pixels = np.concatenate((y, planes.reshape(-1, bgr.shape[1])))
    return np.ascontiguousarray(pixels).reshape(len(pixels), -1)


def message(bgr: np.ndarray, encoding: str, padding: int = 0, big_endian: bool = False) -> Image:
    rows = np.pad(encode(bgr, encoding, big_endian), ((0, 0), (0, padding)), constant_values=255)
    height, width = bgr.shape[:2]
    image = Image(width=width, height=height, encoding=encoding, step=rows.shape[1])
    image.is_bigendian = int(big_endian)
    image.data = rows.tobytes()
    return image


def expected(bgr: np.ndarray, encoding: str) -> np.ndarray:
    return np.repeat(bgr[..., :1], 3, -1) if encoding in ("mono8", "8UC1", "mono16") else bgr


@pytest.mark.parametrize("padding", [0, 6])
@pytest.mark.parametrize("encoding", SUPPORTED_ENCODINGS)
def test_plain_color_comes_through(encoding, padding):
    for color in ((200, 60, 20), (20, 180, 90), (40, 50, 220)):
        bgr = np.full((HEIGHT, WIDTH, 3), color, np.uint8)
        result = to_bgr(message(bgr, encoding, padding))
        assert (result.shape, result.dtype) == ((HEIGHT, WIDTH, 3), np.uint8)
        error = np.abs(result.astype(int) - expected(bgr, encoding)).max()
        assert error <= (3 if "yu" in encoding or "nv" in encoding or "uy" in encoding else 0)


@pytest.mark.parametrize(
    "encoding", [name for name in SUPPORTED_ENCODINGS if not name.startswith("bayer_")]
)
def test_pixels_stay_where_they_are(encoding):
    """Quarters of different colour; chroma is exact two pixels from an edge."""
    bgr = four_colors()
    result = to_bgr(message(bgr, encoding, padding=2)).astype(int)
    away_from_edges = np.ix_([0, 1, 4, 5], [0, 1, 6, 7])
    error = np.abs(result - expected(bgr, encoding))[away_from_edges].max()
    assert error <= 3


def test_mono16_keeps_the_byte_order_and_the_range():
    bgr = np.arange(HEIGHT * WIDTH * 3).reshape(HEIGHT, WIDTH, 3).astype(np.uint8)
    for big_endian in (False, True):
        result = to_bgr(message(bgr, "mono16", big_endian=big_endian))
        np.testing.assert_array_equal(result, expected(bgr, "mono16"))


def test_cv_bridge_serves_when_given():
    marker = np.full((HEIGHT, WIDTH, 3), 9, np.uint8)
    assert to_bgr(message(four_colors(), "rgb8"), bridge=lambda image: marker) is marker
    # Not every cv_bridge knows these; bgr8 needs no conversion at all.
    for encoding in ("nv12", "bgr8", "uyvy"):
        assert to_bgr(message(four_colors(), encoding), bridge=lambda image: marker) is not marker


def test_a_cv_bridge_that_does_not_work_is_said_and_not_used(monkeypatch):
    class Broken:
        def imgmsg_to_cv2(self, message, desired_encoding):
            raise KeyError(16)  # built for OpenCV 4, used with 5

    class Wrong(Broken):
        def imgmsg_to_cv2(self, message, desired_encoding):
            return np.zeros((message.height, message.width, 3), np.uint8)

    for bridge_class in (Broken, Wrong):
        said = []  # not caplog: where `launch` is installed, loggers are of another kind
        monkeypatch.setattr(images.logger, "warning", lambda text, *_, said=said: said.append(text))
        monkeypatch.setattr(images, "CvBridge", bridge_class)
        bgr = four_colors()
        for _ in range(2):
            np.testing.assert_array_equal(to_bgr(message(bgr, "rgb8")), bgr)
        assert [text[:31] for text in said] == ["cv_bridge is installed but does"]


@pytest.mark.skipif(
    images.CvBridge is None, reason="cv_bridge comes with a ROS 2 installation only"
)
@pytest.mark.parametrize("encoding", sorted(images._CV_BRIDGE_ENCODINGS))
def test_cv_bridge_gives_the_same(encoding, monkeypatch):
    bridged = to_bgr(message(four_colors(), encoding, padding=4))
    monkeypatch.setattr(images, "CvBridge", None)
    np.testing.assert_allclose(
        bridged.astype(int), to_bgr(message(four_colors(), encoding, padding=4)), atol=1
    )


@pytest.mark.parametrize(
    ("changes", "cause", "said"),
    [
        ({"data": b""}, "empty_image", "0 bytes"),
        ({"width": 0}, "empty_image", "0x6"),
        ({"encoding": "32FC1"}, "unsupported_encoding", "'32FC1'"),
        ({"encoding": ""}, "unsupported_encoding", "''"),
        ({"data": bytes(100)}, "malformed_image", "100 bytes"),
        ({"step": 5}, "malformed_image", "step 5"),
        ({"encoding": "yuyv", "width": 7}, "malformed_image", "7x6"),
    ],
)
def test_bad_images_say_what_was_received(changes, cause, said):
    image = message(four_colors(), "bgr8")
    for name, value in changes.items():
        setattr(image, name, value)
    with pytest.raises(ImageError, match=said) as caught:
        to_bgr(image)
    assert caught.value.cause == cause
