"""`d3pose view`: what the page is sent, who may ask, and the page in a real browser where there is one."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import time
from array import array
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from sensor_msgs.msg import Image

from d3pose_core.body import load_body
from d3pose_core.camera import Intrinsics
from d3pose_core.errors import InputError
from d3pose_core.recovery import RecoveredPerson
from d3pose_ros.messages import people_to_message
from d3pose_ros.msg import SmplPersonArray
from d3pose_ros.view import feed as feed_module
from d3pose_ros.view.feed import Feed, pinhole_of
from d3pose_ros.view.node import ViewOptions, run_view
from d3pose_ros.view.server import ViewServer, is_loopback

CAMERA = Intrinsics(70, 71, 30, 25, 64, 48)


@pytest.fixture(scope="module")
def standing() -> RecoveredPerson:
    """Someone 3 m in front of CAMERA."""
    body = load_body("free-low")
    orient, pose = np.array([np.pi, 0, 0], np.float32), np.zeros((23, 3), np.float32)
    pose[15, 2], pose[16, 2] = -1.1, 1.1
    betas, transl = np.zeros(10, np.float32), np.array([0.1, 0.2, 3.0], np.float32)
    tensors = (torch.from_numpy(value)[None] for value in (orient, pose, betas, transl))
    joints = body.joints(*tensors)[0].numpy()
    pixels = CAMERA.project(joints).astype(np.float32)
    certain = np.full(24, 0.8, np.float32)
    return RecoveredPerson(3, 0.9, orient, pose, betas, transl, joints, pixels, certain, 0.0)


@pytest.fixture
def feed() -> Feed:
    feed = Feed(lambda: 2_500_000_000)
    feed.wait(0, 0.0)  # somebody looks
    return feed


def opened(packet: bytes) -> tuple[dict, bytes]:
    """A packet's header and picture."""
    (length,) = struct.unpack_from("<I", packet)
    return json.loads(packet[4 : 4 + length]), packet[4 + length :]


def people(image: Image, *persons: RecoveredPerson) -> SmplPersonArray:
    return people_to_message(image.header, persons, "free-low", "neutral")


def test_people_are_sent_with_their_own_image(feed: Feed, make_image, standing) -> None:
    old, new = make_image(2.0), make_image(2.4)
    feed.on_people(people(make_image(1.0)))  # from now on images wait for people
    feed.on_image(old)
    feed.on_image(new)
    number, _ = feed.wait(0, 0.0)
    feed.on_people(people(old, standing))
    number, packet = feed.wait(number, 0.0)
    content, jpeg = opened(packet)
    assert content["stamp"] == 2.0
    assert content["delayMs"] == pytest.approx(500)
    assert (content["size"], content["axes"], content["mesh"]) == ([64, 48], "optical", True)
    (person,) = content["people"]
    assert person["id"] == 3
    np.testing.assert_allclose(person["pose"][3:], standing.body_pose.reshape(-1), atol=1e-4)
    np.testing.assert_allclose(person["joints"], standing.joints.reshape(-1), atol=1e-4)
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == (48, 64, 3)
    assert feed.wait(number, 0.0) == (number, b"")


def test_images_alone_are_shown_while_there_are_no_people(feed: Feed, make_image) -> None:
    feed.on_image(make_image(2.0))
    content, jpeg = opened(feed.wait(0, 0.0)[1])
    assert content["people"] is None
    assert jpeg


def test_nobody_looks(make_image, standing) -> None:
    feed = Feed(lambda: 0)
    assert not feed.watched()
    feed.on_people(people(make_image(1.0), standing))
    assert feed.wait(0, 0.0) == (0, b"")
    assert feed.watched()


def test_large_images_do_not_fill_the_memory(feed: Feed, make_image, monkeypatch) -> None:
    image = make_image(0.0)
    monkeypatch.setattr(feed_module, "BYTES_KEPT", 3 * len(image.data))
    for k in range(8):
        feed.on_image(make_image(float(k)))
    assert list(feed._images) == [k * 10**9 for k in (5, 6, 7)]
    monkeypatch.setattr(feed_module, "BYTES_KEPT", 1)
    feed.on_image(make_image(8.0))
    assert len(feed._images) == 1, "the newest stays, however large"
    feed.forget_images()
    assert not feed._images


def test_joints_behind_the_camera_become_null(feed: Feed, make_image, standing) -> None:
    image = make_image(1.0)
    message = people(image, standing)
    message.persons[0].joints_2d[:2] = np.nan
    feed.on_image(image)
    feed.on_people(message)
    content, _ = opened(feed.wait(0, 0.0)[1])
    assert content["people"][0]["pixels"][:3][:2] == [None, None]


def test_the_camera_is_found_from_joints_and_pixels(make_image, standing) -> None:
    message = people(make_image(1.0), standing)
    found = pinhole_of(message.persons, [64, 48])
    assert found is not None
    expected = {"fx": 70, "fy": 71, "cx": 30, "cy": 25}
    assert {key: found[key] for key in expected} == pytest.approx(expected, abs=0.01)
    for point in message.persons[0].joints:  # in a world frame: z up
        point.y, point.z = point.z, -point.y
    assert pinhole_of(message.persons, [64, 48]) is None
    assert pinhole_of([], [64, 48]) is None


@pytest.mark.parametrize("size", [(4000, 1), (1, 70000), (70000, 1)])
def test_images_of_odd_sizes_end_nothing(feed: Feed, make_image, size) -> None:
    width, height = size
    image = make_image(2.0)
    image.width, image.height, image.step = width, height, 3 * width
    image.data = array("B", bytes(3 * width * height))
    feed.on_image(image)
    content, _ = opened(feed.wait(0, 0.0)[1])
    assert content["people"] is None


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_joints_that_are_no_numbers_end_nothing(make_image, standing, value) -> None:
    message = people(make_image(1.0), standing)
    message.persons[0].joints[0].x = value
    assert pinhole_of(message.persons, [64, 48]) is not None
    for joint in message.persons[0].joints:
        joint.x = value
    assert pinhole_of(message.persons, [64, 48]) is None


@pytest.mark.parametrize("names", [{"watched": "/my-robot/d3pose"}, {"image": "/a b"}])
def test_names_that_ros_does_not_take_are_refused_at_once(names) -> None:
    with pytest.raises(InputError, match="no topic's full name"):
        run_view(ViewOptions(**names))


@pytest.fixture
def server(feed: Feed) -> Iterator[ViewServer]:
    server = ViewServer(feed, "127.0.0.1", 0)
    yield server
    server.close()


def get(server: ViewServer, path: str, host: str | None = None) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    connection.request("GET", path, headers={"Host": host} if host else {})
    return connection.getresponse()


def test_the_page_and_the_packets_are_served(
    server: ViewServer, feed: Feed, make_image, standing
) -> None:
    page = get(server, "/")
    assert page.status == 200
    html = page.read().decode()
    assert "class Scene" in html
    assert "@" not in html.partition("<script")[0].replace("@media", "")
    assert len(get(server, "/body").read()) > 100_000
    feed.on_people(people(make_image(1.0), standing))
    answer = get(server, "/next?after=0")
    assert (answer.status, answer.headers["X-Packet-Number"]) == (200, "1")
    assert len(opened(answer.read())[0]["people"]) == 1
    assert get(server, "/next?after=x").status == 400
    assert get(server, "/etc/passwd").status == 404


def test_other_sites_names_are_refused(server: ViewServer) -> None:
    """A web page elsewhere can have its name point to 127.0.0.1 and would read the camera."""
    assert get(server, "/", "evil.example:80").status == 403
    assert get(server, "/", f"localhost:{server.port}").status == 200


def test_loopback_names() -> None:
    assert all(map(is_loopback, ("localhost", "127.0.0.1", "127.9.9.9", "::1", "[::1]")))
    assert not any(map(is_loopback, ("0.0.0.0", "192.168.1.2", "robot", "")))


def test_a_port_that_is_taken(server: ViewServer, feed: Feed) -> None:
    with pytest.raises(InputError, match="give another --port"):
        ViewServer(feed, "127.0.0.1", server.port)


@pytest.fixture
def view() -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`d3pose view` as a process, and its address."""
    environment = dict(os.environ)
    environment.pop("_ROS_WHEELS_BOOTSTRAP_COMPLETE", None)
    command = [sys.executable, "-m", "d3pose_core.cli.main", "view", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True)
    assert process.stdout is not None
    line = next(line for line in process.stdout if line.startswith("open "))
    yield process, line.split()[1]
    process.kill()
    process.communicate()


def publish_until(graph, make_image, standing, done, timeout_s: float = 60.0) -> None:
    """Images and their people, as the d3pose node publishes them, until `done()`."""
    images = graph.node.create_publisher(Image, "/camera/image_raw", 5)
    publisher = graph.node.create_publisher(SmplPersonArray, "/d3pose/people", 5)
    started = time.time()

    def send() -> None:
        image = make_image(time.time() - started + 1)
        images.publish(image)
        publisher.publish(people(image, standing))

    graph.wait_until(done, "the page", timeout_s, between=send)


def test_from_the_topics_to_the_page(graph, make_image, standing, view) -> None:
    """Through DDS and HTTP: people and nothing lost of their shape; it ends when it is told."""
    process, url = view
    port = int(url.rstrip("/").rpartition(":")[2])
    received: list[dict] = []

    def ask() -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        connection.request("GET", "/next?after=0")
        answer = connection.getresponse()
        if answer.status == 200:
            received.append(opened(answer.read())[0])
        return any(content["people"] for content in received)

    # The first question makes it subscribe; it answers when there is something, or after a while.
    publish_until(graph, make_image, standing, ask)
    (person,) = received[-1]["people"]
    np.testing.assert_allclose(person["betas"], standing.betas)
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0


def browser() -> str | None:
    return next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
    )


def test_in_a_real_browser(graph, make_image, standing, view, tmp_path: Path) -> None:
    """The body is drawn, over the picture and in space, and the numbers are there."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="BROWSER TEST SKIPPED: pip install playwright"
    )
    program = browser()
    if program is None:
        pytest.skip("BROWSER TEST SKIPPED: no chromium (apt-get install chromium)")
    _, url = view
    software = ("--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")
    with playwright.sync_playwright() as driver:
        page = driver.chromium.launch(executable_path=program, args=software).new_page()
        problems: list[str] = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto(url, timeout=60_000)
        publish_until(
            graph,
            make_image,
            standing,
            lambda: page.evaluate("document.body.dataset.state") == "people",
            120.0,
        )
        # The scene's own arithmetic against Python's.
        joints, vertices = page.evaluate(
            """() => { const p = shown.packet.people[0], b = body.posed(p.pose, p.betas, p.transl);
                return [Array.from(b.joints), Array.from(b.positions)]; }"""
        )
        np.testing.assert_allclose(np.reshape(joints, (24, 3)), standing.joints, atol=1e-3)
        expected = load_body("free-low").vertices(standing)
        np.testing.assert_allclose(np.reshape(vertices, (-1, 3)), expected, atol=2e-3)
        shot = tmp_path / "view.png"
        page.locator("#space").screenshot(path=shot)
        assert problems == []
    picture = cv2.imread(str(shot)).astype(int)
    colored = (np.ptp(picture, axis=-1) > 40).mean()  # floor and background are grey
    assert 0.01 < colored < 0.5, "a body in its track's colour is in the picture"
