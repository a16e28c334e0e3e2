"""camera_info that is missing, late, useless or wrong: one warning, and the best that can be done."""

import pytest

from d3pose_ros.camera_view import CameraView
from d3pose_ros.parameters import NodeParameters

VALUES = NodeParameters(hfov_deg=90.0, camera_info_timeout_s=1.0)


class Bench:
    def __init__(self, topic="/camera/image_raw"):
        self.now, self.warnings, self.infos = 0.0, [], []
        self.view = CameraView(topic, self.warnings.append, self.infos.append, lambda: self.now)

    def intrinsics(self, values=VALUES):
        return self.view.intrinsics(64, 48, values)


@pytest.fixture
def bench():
    return Bench()


def test_waits_for_camera_info_then_guesses_with_one_warning(bench):
    assert bench.intrinsics() is None
    bench.now = 0.9
    assert bench.intrinsics() is None
    assert bench.warnings == []
    for bench.now in (1.1, 2.0, 3.0):
        assert bench.intrinsics().fx == pytest.approx(32)
    assert bench.view.cause == "no_camera_info"
    (warning,) = bench.warnings
    assert "no camera_info" in warning
    assert "90 degrees" in warning
    assert "hfov_deg" in warning


def test_late_camera_info_takes_over(bench, make_camera_info):
    bench.intrinsics()
    bench.now = 2.0
    bench.intrinsics()
    bench.view.on_camera_info(make_camera_info(focal=77.0))
    assert bench.intrinsics().fx == 77.0
    assert (bench.view.problem, bench.view.cause) == ("", "")
    assert len(bench.infos) == 1
    bench.intrinsics()
    assert len(bench.infos) == 1, "said once"


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"focal": 0.0}, "not_calibrated"),
        ({"focal": float("nan")}, "not_calibrated"),
        ({"width": 48}, "wrong_size"),
    ],
)
def test_useless_camera_info(bench, make_camera_info, change, cause):
    for _ in range(3):
        bench.view.on_camera_info(make_camera_info(**change))
        assert bench.intrinsics().fx == pytest.approx(32), "not waited for: it has come"
    assert bench.view.cause == cause
    assert len(bench.warnings) == 1
    bench.view.on_camera_info(make_camera_info(focal=50.0))
    assert bench.intrinsics().fx == 50.0
    assert bench.view.cause == ""


def test_what_comes_and_goes_is_said_again_but_not_at_the_cameras_rate(bench, make_camera_info):
    good, bad = make_camera_info(focal=50.0), make_camera_info(focal=0.0)
    for k in range(90):
        bench.now = k / 30
        bench.view.on_camera_info(bad if k % 2 else good)
        bench.intrinsics()
    assert (len(bench.warnings), len(bench.infos)) == (1, 1)
    bench.now = 60.0
    bench.view.on_camera_info(good)
    bench.intrinsics()
    bench.view.on_camera_info(bad)
    bench.intrinsics()
    assert len(bench.warnings) == 2, "a minute later it is news again"


def test_another_size_of_the_same_picture_is_scaled(bench, make_camera_info):
    bench.view.on_camera_info(make_camera_info(640, 480, focal=600.0))
    assert bench.intrinsics().fx == pytest.approx(60.0)
    assert bench.warnings == []


def test_unknown_distortion_leaves_the_matrix(bench, make_camera_info):
    info = make_camera_info(focal=50.0)
    info.distortion_model, info.d = "omnidirectional", [0.1]
    bench.view.on_camera_info(info)
    for _ in range(2):
        assert bench.intrinsics().fx == 50.0
    assert bench.view.cause == "unusable_distortion"
    assert len(bench.warnings) == 1


def test_the_topic_or_the_parameter_tells_rectified_images(make_camera_info):
    info = make_camera_info(focal=50.0)
    info.d = [-0.2, 0.1, 0.0, 0.0, 0.0]
    info.p[0] = info.p[5] = 40.0
    for topic, geometry, focal in (
        ("/camera/image_raw", "auto", 50.0),
        ("/camera/image_rect", "auto", 40.0),
        ("/camera/image_rect", "distorted", 50.0),
        ("/camera/image", "rectified", 40.0),
    ):
        bench = Bench(topic)
        bench.view.on_camera_info(info)
        got = bench.intrinsics(NodeParameters(image_geometry=geometry))
        assert got.fx == focal
        assert (got.distortion is None) == (focal == 40.0)


def test_camera_info_of_another_frame_is_said_once_and_used(bench, make_camera_info):
    info = make_camera_info(focal=50.0)
    assert not bench.view.is_of_other_frame("left"), "none has come"
    bench.view.on_camera_info(info)
    assert not bench.view.is_of_other_frame("left"), "it names none"
    info.header.frame_id = "right"
    assert not bench.view.is_of_other_frame("")
    assert not bench.view.is_of_other_frame("/right")
    for bench.now in (0.0, 10.0, 20.0):
        assert bench.view.is_of_other_frame("left")
    (warning,) = bench.warnings
    assert "camera_info is of frame 'right', and the images are of 'left'" in warning
    assert bench.intrinsics().fx == 50.0
    assert bench.view.is_of_other_frame("middle")
    assert len(bench.warnings) == 2, "another pair is news"
