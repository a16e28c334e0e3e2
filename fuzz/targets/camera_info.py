"""sensor_msgs/CameraInfo: whatever it says, a pixel has one finite ray, or the camera is not used."""

from __future__ import annotations

import struct

import numpy as np
from sensor_msgs.msg import CameraInfo

from d3pose_ros import calibration
from d3pose_ros.camera_view import CameraView
from d3pose_ros.parameters import NodeParameters
from fuzz.fields import Fields, text
from fuzz.target import Target

# The image's size, whether it is rectified, the sensor's size, binning, region of interest.
_HEADER = "<HHBIIIIIIII"
_MODELS = ("plumb_bob", "rational_polynomial", "equidistant", "fisheye", "", "odd")
_PARAMETERS = NodeParameters(camera_info_timeout_s=0.0)
_WORLD = np.array([[0.1, -0.2, 2.0], [0.0, 0.0, -1.0], [3.0, 1.0, 0.0], [1e6, 1e6, 1e-3]])


def seeds() -> list[bytes]:
    inputs = []
    k = (500.0, 0, 319.5, 0, 500.0, 239.5, 0, 0, 1)
    p = (480.0, 0, 319.5, 0, 0, 480.0, 239.5, 0, 0, 0, 1, 0)
    lenses = (
        ("plumb_bob", (-0.3, 0.1, 1e-3, -1e-3, 0.0)),
        ("rational_polynomial", (0.5, -0.1, 1e-4, 1e-4, 0.02, 0.8, -0.05, 0.03)),
        ("equidistant", (0.02, -0.01, 0.003, -0.001)),
        ("", ()),
    )
    for number, (model, d) in enumerate(lenses):
        header = struct.pack(_HEADER, 640, 480, number % 2, 640, 480, 0, 0, 0, 0, 0, 0)
        numbers = struct.pack(f"<9d12dB{len(d)}d", *k, *p, len(d), *d)
        inputs.append(header + text(model) + numbers)
    binned = struct.pack(_HEADER, 320, 240, 0, 1280, 960, 2, 2, 100, 50, 640, 480)
    inputs.append(binned + text("plumb_bob") + struct.pack("<9d12dB", *k, *p, 0))
    return inputs


def run(data: bytes) -> None:
    fields = Fields(data)
    width, height, rectified, sensor_width, sensor_height, *rest = fields.take(_HEADER)
    info = CameraInfo(width=sensor_width, height=sensor_height)
    info.binning_x, info.binning_y = rest[:2]
    info.roi.x_offset, info.roi.y_offset, info.roi.width, info.roi.height = rest[2:]
    info.distortion_model = fields.text()
    info.k, info.p = list(fields.take("<9d")), list(fields.take("<12d"))
    info.d = list(fields.take(f"<{fields.number() % 16}d"))
    width, height = max(1, width), max(1, height)  # images have pixels

    view = CameraView("image_rect" if rectified % 2 else "image", _ignore, _ignore, lambda: 0.0)
    view.on_camera_info(info)
    found = view.intrinsics(width, height, _PARAMETERS)
    assert found is not None
    assert (found.width, found.height) == (width, height)

    camera = calibration.intrinsics(info, width, height, bool(rectified % 2))
    corners = np.array([[0, 0], [width - 1, 0], [0, height - 1], [width / 2, height / 2]], float)
    rays = camera.rays(corners)
    assert np.isfinite(rays).all(), rays
    with np.errstate(all="ignore"):
        assert camera.project(_WORLD).shape == (4, 2)


def _ignore(line: str) -> None:
    assert line


TARGET = Target(seeds, run, tuple(model.encode() for model in _MODELS), weight=3)
