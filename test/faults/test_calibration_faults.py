"""camera_info that is missing, late, of another camera, or nonsense."""

from __future__ import annotations

import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from sensor_msgs.msg import CameraInfo

from test.helpers.fault_node import HEIGHT, WIDTH, FaultNode, camera_info

NAN, INF = float("nan"), float("inf")
K = [60.0, 0.0, 32.0, 0.0, 60.0, 24.0, 0.0, 0.0, 1.0]


def distorted(model: str, *coefficients: float) -> CameraInfo:
    info = camera_info()
    info.distortion_model, info.d = model, list(coefficients)
    return info


def with_k(index: int, value: float) -> CameraInfo:
    info = camera_info()
    k = list(K)
    k[index] = value
    info.k = k
    return info


def receive(node: FaultNode, info: CameraInfo, cause: str) -> None:
    """Sends camera_info until images are counted by `cause`, "" for a good calibration."""

    def sent() -> None:
        node.infos.publish(info)
        node.answer(count=1, first=3)

    if cause:
        key = f"uncalibrated/{cause}"
        node.wait_until(lambda: node.added(key) > 0, key, between=sent)
    else:
        node.wait_until(
            lambda: "camera_info" not in node.status().message, "calibration", between=sent
        )


@pytest.mark.parametrize(
    ("info", "cause", "words"),
    [
        (CameraInfo(), "not_calibrated", "fx=0.0"),
        (with_k(0, 0.0), "not_calibrated", "not calibrated"),
        (with_k(0, NAN), "not_calibrated", "fx=nan"),
        (with_k(2, INF), "not_calibrated", "cx=inf"),
        (with_k(4, -60.0), "not_calibrated", "fy=-60.0"),
        (with_k(0, 1e-30), "not_calibrated", "camera_info"),
        (with_k(0, 1e300), "not_calibrated", "camera_info"),
        (with_k(2, 1e12), "not_calibrated", "camera_info"),
        (camera_info(width=HEIGHT, height=HEIGHT), "wrong_size", "another camera or mode"),
        (distorted("plumb_bob", 0.1, 0.2, 0.3), "", ""),
        (distorted("plumb_bob", *[INF] * 5), "unusable_distortion", "must be finite"),
        (distorted("plumb_bob", *[NAN] * 5), "unusable_distortion", "must be finite"),
        (distorted("plumb_bob", *[1e300] * 5), "unusable_distortion", "distortion"),
        (distorted("rational_polynomial", *[0.1] * 14), "unusable_distortion", "got 14"),
        (distorted("equidistant", *[0.1] * 9), "unusable_distortion", "got 9"),
        (distorted("omnidirectional", 0.1), "unusable_distortion", "'omnidirectional'"),
        (distorted("", 0.1), "unusable_distortion", "''"),
    ],
)
def test_camera_info_that_cannot_be_is_counted_and_replaced_by_a_guess(
    node: FaultNode, info, cause, words
):
    receive(node, camera_info(), "")
    receive(node, info, cause)
    if cause:
        assert node.status().level == DiagnosticStatus.WARN
        assert words in node.status().message
    # What it said of people, and says of them from the next good camera_info on, are numbers.
    node.is_well()
    assert node.added("people/not_finite") == 0
    receive(node, camera_info(), "")


def test_images_wait_for_camera_info_and_then_for_nothing(node: FaultNode):
    node.reconfigure()
    node.connect()
    node.wait_until(
        lambda: node.added("uncalibrated/no_camera_info") > 0, "images without camera_info"
    )
    assert "no camera_info received" in node.status().message
    assert "hfov_deg" in node.status().message
    node.wait_for_log("no camera_info received; assuming a horizontal field of view of 60 degrees")
    receive(node, camera_info(), "")
    node.wait_for_log("camera_info has come")


def test_the_first_images_wait_for_camera_info(node: FaultNode):
    node.reconfigure(camera_info_timeout_s=60.0)
    try:
        node.dropped("waiting_for_camera_info", node.next(count=1, first=3))
        # Late is not too late.
        node.wait_until(
            lambda: node.people[1:],
            "people once camera_info has come",
            between=lambda: (node.infos.publish(camera_info()), node.send(node.next(count=1))),
        )
        assert node.added("uncalibrated/no_camera_info") == 0
    finally:
        node.reconfigure(camera_info_timeout_s=0.0)
        node.connect()


def test_camera_info_of_another_size_of_the_same_picture_is_scaled(node: FaultNode):
    receive(node, camera_info(), "")
    near = node.answer(count=1, first=3).persons[0].joints[0].z
    receive(node, camera_info(10 * WIDTH, 10 * HEIGHT, focal=600.0), "")
    assert node.answer(count=1, first=3).persons[0].joints[0].z == pytest.approx(near, rel=0.3)
