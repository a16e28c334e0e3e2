"""The policy for ROS 2's security: in the form that sros2 takes, and exactly what our nodes need.

What they need is asked of the nodes themselves, so that a new topic without a permission is a failure here
and not on somebody's robot.
"""

from __future__ import annotations

import os
import re
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from rclpy.node import Node
from rclpy.parameter import Parameter

from d3pose_core.camera import Intrinsics
from d3pose_core.recovery import MeshRecovery
from d3pose_ros.bag import PEOPLE_TYPE, BagWriter
from d3pose_ros.bodies import BodyTopics
from d3pose_ros.demo.camera import ClipCamera
from d3pose_ros.node import D3PoseNode
from d3pose_ros.recorder import RecorderNode
from d3pose_ros.view.node import ViewNode, ViewOptions
from test.helpers.graph import Graph
from test.helpers.stub_observer import StubObserver

ROOT = Path(__file__).resolve().parents[2]
POLICY = ROOT / "config" / "sros2" / "d3pose.policy.xml"
SCRIPT = ROOT / "scripts" / "sros2_keystore.sh"

# As sros2's schema has it: element -> its attributes (True: needed), and what it may hold.
FORM: dict[str, tuple[dict[str, bool], set[str]]] = {
    "policy": ({"version": True}, {"enclaves"}),
    "enclaves": ({}, {"enclave"}),
    "enclave": ({"path": True}, {"profiles"}),
    "profiles": ({"type": False}, {"profile"}),
    "profile": ({"ns": True, "node": True}, {"topics", "services", "actions"}),
    "topics": ({"publish": False, "subscribe": False}, {"topic"}),
    "services": ({"reply": False, "request": False}, {"service"}),
    "topic": ({}, set()),
    "service": ({}, set()),
}
# Subscribed to with use_sim_time only, or with another image_transport.
NOT_ALWAYS = {"/clock", "/camera/image_raw/compressed", "/front/image_raw/compressed"}


def wrong(element: ET.Element, within: str = "") -> list[str]:
    """What of an element is not as the schema has it."""
    where = f"{within}/{element.tag}"
    if element.tag not in FORM:
        return [f"{where} is unknown"]
    attributes, parts = FORM[element.tag]
    found = [
        f"{where} has no {name}"
        for name, need in attributes.items()
        if need and name not in element.attrib
    ]
    found += [f"{where} has {name}" for name in element.attrib.keys() - attributes.keys()]
    if element.tag in ("topics", "services"):
        found += [
            f"{where}: {value}"
            for value in element.attrib.values()
            if value not in ("ALLOW", "DENY")
        ]
        found += [] if element.attrib else [f"{where} says nothing"]
    if parts and not len(element):
        found.append(f"{where} is empty")
    if not parts and not re.fullmatch(r"(~?/)?[A-Za-z0-9_/*]+", element.text or ""):
        found.append(f"{where}: {element.text!r} is no name")
    for part in element:
        found += wrong(part, where) if part.tag in parts else [f"{where} holds {part.tag}"]
    return found


def allowed(path: Path, enclave: str, kind: str, rule: str, node: str = "") -> set[str]:
    """Full names that an enclave may use; `node` in it, or all."""
    names = set()
    for profile in (
        ET.parse(path).getroot().iterfind(f".//enclave[@path='{enclave}']/profiles/profile")
    ):
        base = profile.attrib["ns"].rstrip("/")
        if node and f"{base}/{profile.attrib['node']}" != node:
            continue
        for element in profile.iterfind(f"{kind}s[@{rule}='ALLOW']/{kind}"):
            name = element.text or ""
            if name.startswith("~"):
                names.add(f"{base}/{profile.attrib['node']}{name[1:]}")
            else:
                names.add(name if name.startswith("/") else f"{base}/{name}")
    return names


def used(graph: Graph, node: Node) -> dict[tuple[str, str], set[str]]:
    """What the graph says of a node, once it says something."""
    name, namespace = node.get_name(), node.get_namespace()
    asks: dict[tuple[str, str], Callable] = {
        ("topic", "publish"): graph.node.get_publisher_names_and_types_by_node,
        ("topic", "subscribe"): graph.node.get_subscriber_names_and_types_by_node,
        ("service", "reply"): graph.node.get_service_names_and_types_by_node,
        ("service", "request"): graph.node.get_client_names_and_types_by_node,
    }
    mine = {publisher.topic_name for publisher in node.publishers}
    mine |= {subscription.topic_name for subscription in node.subscriptions}

    def known() -> set[str]:
        publish, subscribe = (
            {topic for topic, _ in asks["topic", rule](name, namespace)}
            for rule in ("publish", "subscribe")
        )
        return publish | subscribe

    graph.wait_until(lambda: mine <= known(), f"all topics of {name}")
    return {key: {found for found, _ in ask(name, namespace)} for key, ask in asks.items()}


def check(graph: Graph, node: Node, enclave: str, more: set[str] = frozenset()) -> None:
    """The policy allows what the node uses, and nothing that it does not."""
    full_name = node.get_fully_qualified_name()
    for (kind, rule), names in used(graph, node).items():
        may = allowed(POLICY, enclave, kind, rule, full_name)
        missing = {name for name in names if not any(fnmatchcase(name, each) for each in may)}
        assert not missing, f"{enclave} does not allow {full_name} to {rule} {sorted(missing)}"
        idle = may - names - NOT_ALWAYS - more
        assert not idle, (
            f"{enclave} allows {full_name} to {rule} {sorted(idle)}, which it does not use"
        )


@pytest.fixture
def make_node(graph: Graph) -> Callable[..., D3PoseNode]:
    """An active node with every output and input on."""

    def make(namespace: str = "/", **remapped: str) -> D3PoseNode:
        values = {
            "autostart": False,
            "use_depth": True,
            "publish_tf": "joints",
            "publish_joint_states": True,
            "target_frame": "odom",
        }
        rules = [each for old, new in remapped.items() for each in ("-r", f"{old}:={new}")]
        node = D3PoseNode(
            lambda values: MeshRecovery.from_pretrained(observer=StubObserver()),
            namespace=namespace,
            parameter_overrides=[Parameter(name, value=value) for name, value in values.items()],
            cli_args=["--ros-args", *rules] if rules else None,
        )
        graph.add(node)
        node.autostart()
        return node

    return make


def test_the_form_is_that_of_sros2() -> None:
    root = ET.parse(POLICY).getroot()
    assert root.tag == "policy"
    assert wrong(root) == []
    paths = [enclave.attrib["path"] for enclave in root.iter("enclave")]
    assert len(set(paths)) == len(paths)
    assert all(re.fullmatch(r"(/[a-z0-9_]+)+", path) for path in paths)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("<policy><enclaves/></policy>", "has no version"),
        ('<policy version="0.2.0"><profiles/></policy>', "holds profiles"),
        ('<topics publish="YES"><topic>x</topic></topics>', "YES"),
        ('<services publish="ALLOW"><service>x</service></services>', "has publish"),
        ('<topics publish="ALLOW"><topic>a b</topic></topics>', "is no name"),
    ],
)
def test_the_form_is_checked(text: str, what: str) -> None:
    assert any(what in each for each in wrong(ET.fromstring(text)))


def test_the_node_may_do_what_it_does(graph: Graph, make_node) -> None:
    remapped = {"image": "/camera/image_raw", "camera_info": "/camera/camera_info"}
    node = make_node(**remapped, depth="/camera/depth/image_raw")
    check(graph, node, "/d3pose/node", more={"/humans/bodies/*"})


def test_bodies_come_and_go_below_what_is_allowed() -> None:
    """Publishers of people who are seen, which no node has at its start."""
    made: list[str] = []

    class Messages:
        IdsList = NormalizedRegionOfInterest2D = object

    topics = BodyTopics(lambda kind, topic: made.append(topic), lambda publisher: None, Messages)
    topics._appear(7)
    assert len(made) >= 2
    may = allowed(POLICY, "/d3pose/node", "topic", "publish")
    assert all(any(fnmatchcase(topic, each) for each in may) for topic in made), made


def test_cameras_may_do_what_they_do(graph: Graph, make_node) -> None:
    node = make_node("/front", image="image_raw")
    check(graph, node, "/d3pose/cameras", more={"/humans/bodies/*"})


def test_the_recorder_may_do_what_it_does(graph: Graph, tmp_path: Path) -> None:
    topics = {
        "/d3pose/people": PEOPLE_TYPE,
        "/diagnostics": "diagnostic_msgs/msg/DiagnosticArray",
        "/camera/camera_info": "sensor_msgs/msg/CameraInfo",
    }
    with BagWriter(tmp_path / "people.mcap") as bag:
        node = RecorderNode(bag, topics)
        graph.add(node)
        check(graph, node, "/d3pose/recorder")


def test_the_page_may_do_what_it_does(graph: Graph, make_node) -> None:
    make_node(image="/camera/image_raw", camera_info="/camera/camera_info")
    node = ViewNode(ViewOptions(image="/camera/image_raw"))
    graph.add(node)
    node.feed.wait(0, 0.0)  # somebody looks

    def listens() -> bool:
        node.feed.wait(0, 0.0)
        node.check()
        return any(each.topic_name == "/camera/image_raw" for each in node.subscriptions)

    graph.wait_until(listens, "the images' topic")
    check(graph, node, "/d3pose/view")


def test_the_source_of_images_may_do_what_it_does(graph: Graph) -> None:
    node = ClipCamera([], Intrinsics.from_hfov(60, 64, 48), "d3pose")
    graph.add(node)
    names = used(graph, node)
    for rule in ("publish", "subscribe"):
        assert names["topic", rule] <= allowed(POLICY, "/d3pose/player", "topic", rule)


def test_the_operator_can_ask_for_all_that_the_node_answers() -> None:
    answered = allowed(POLICY, "/d3pose/node", "service", "reply")
    assert allowed(POLICY, "/d3pose/operator", "service", "request") == answered
    seen = allowed(POLICY, "/d3pose/operator", "topic", "subscribe")
    assert {name for name in seen if name.startswith("/d3pose/")} == {
        name
        for name in allowed(POLICY, "/d3pose/node", "topic", "publish")
        if name.startswith("/d3pose/")
    }


def run_script(
    tmp_path: Path, *arguments: str, ros2: bool = True
) -> subprocess.CompletedProcess[str]:
    """The script, with a `ros2` that writes down how it was called."""
    tools = tmp_path / "bin"
    tools.mkdir(exist_ok=True)
    if ros2:
        (tools / "ros2").write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\n')
        (tools / "ros2").chmod(0o755)
    environment = {**os.environ, "PATH": f"{tools}:/usr/bin:/bin"}
    return subprocess.run(
        ["bash", str(SCRIPT), *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_keys_are_made_of_the_policy_with_the_users_topics(tmp_path: Path) -> None:
    keys = tmp_path / "my keys"
    result = run_script(
        tmp_path, str(keys), "--image", "/front/rgb/image", "--camera-info", "/front/info"
    )
    assert result.returncode == 0, result.stderr
    mine = keys / "d3pose.policy.xml"
    assert (tmp_path / "calls").read_text().splitlines() == [
        "security --help",
        f"security create_keystore {keys}",
        f"security generate_artifacts -k {keys} -p {mine}",
    ]
    heard = allowed(mine, "/d3pose/node", "topic", "subscribe")
    assert {"/front/rgb/image", "/front/rgb/image/compressed", "/front/info"} <= heard
    assert "/camera/depth/image_raw" in heard
    assert not [name for name in heard if name.startswith(("/camera/image", "/camera/camera_info"))]
    assert wrong(ET.parse(mine).getroot()) == []
    assert keys.stat().st_mode & 0o077 == 0
    assert f"ROS_SECURITY_KEYSTORE={keys}" in result.stdout


def test_a_keystore_that_is_there_is_kept(tmp_path: Path) -> None:
    (tmp_path / "keys" / "enclaves").mkdir(parents=True)
    assert run_script(tmp_path, str(tmp_path / "keys")).returncode == 0
    assert "create_keystore" not in (tmp_path / "calls").read_text()


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        ([], 2, "usage"),
        (["keys", "--image", "no/slash"], 2, "no full topic name"),
        (["keys", "--image", "/a</topic><topic>*"], 2, "no full topic name"),
        (["keys", "--image"], 2, "usage"),
        (["keys", "--policy", "/nothing.xml"], 2, "no policy at"),
        (["keys"], 1, "ROS wheels from PyPI come without it"),
    ],
)
def test_the_script_says_what_is_wrong(
    tmp_path: Path, arguments: list[str], status: int, said: str
) -> None:
    arguments = [str(tmp_path / each) if each == "keys" else each for each in arguments]
    result = run_script(tmp_path, *arguments, ros2=False)
    assert (result.returncode, said in result.stderr) == (status, True), result.stderr
    assert not (tmp_path / "keys").exists()
