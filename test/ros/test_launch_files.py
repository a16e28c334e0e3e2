"""The launch files against what the node and the other configuration files offer.

Here they run on a stand-in for `launch`, which comes with a ROS 2 installation only; where that is there, it
loads them too, and test/launch/ runs them.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest
import yaml

from d3pose_core.errors import InputError
from d3pose_ros import input_topics, recorder
from d3pose_ros.launch_arguments import given_parameters
from d3pose_ros.message_class import message_class
from d3pose_ros.parameters import FIELDS, NodeParameters
from d3pose_ros.replay import play
from d3pose_ros.transport import PROFILE_VARIABLE, fastdds_profile, with_shared_memory
from test.helpers import launch_stand_in
from test.helpers.launch_stand_in import Node, arguments, start

ROOT = Path(__file__).resolve().parents[2]
FILES = ("d3pose.launch.py", "replay.launch.py")

try:
    # Not `import launch`: our folder of that name is an empty package to Python.
    from launch import LaunchDescription
except ImportError:
    LaunchDescription = None


@pytest.fixture
def d3pose(monkeypatch):
    monkeypatch.delenv(PROFILE_VARIABLE, raising=False)
    return launch_stand_in.load(monkeypatch, "d3pose.launch.py")


@pytest.fixture
def replay(monkeypatch):
    return launch_stand_in.load(monkeypatch, "replay.launch.py")


def nodes(actions) -> dict[str, dict]:
    return {each.given["executable"]: each.given for each in actions if isinstance(each, Node)}


def remapped(node: dict) -> dict[str, str]:
    return dict(node["remappings"])


@pytest.mark.parametrize("name", FILES)
def test_every_parameter_is_a_described_argument(monkeypatch, name):
    module = launch_stand_in.load(monkeypatch, name)
    declared = arguments(module.generate_launch_description())
    assert FIELDS.keys() <= declared.keys()
    assert all(each["description"].endswith(".") for each in declared.values())
    for parameter in FIELDS:
        assert FIELDS[parameter].metadata["description"] in declared[parameter]["description"]


def test_what_is_not_given_is_left_to_the_file(d3pose):
    node = nodes(start(d3pose))["d3pose_node"]
    file, overrides = node["parameters"]
    assert Path(file) == ROOT / "config" / "d3pose.yaml"
    assert overrides == {}, "neither does the clock win over the file or an including launch file"
    assert remapped(node) == {
        input_topics.IMAGE: "/camera/image_raw",
        input_topics.CAMERA_INFO: "/camera/camera_info",
        input_topics.DEPTH: "/camera/aligned_depth_to_color/image_raw",
    }
    assert (node["respawn"], node["name"], node["namespace"]) == (False, "d3pose", "")


def test_what_is_given_reaches_the_node_with_its_type(d3pose):
    given = {"max_people": "2", "rep155": "true", "target_frame": "odom", "hfov_deg": "70"}
    actions = start(
        d3pose, camera="/front", image="/other", respawn="true", use_sim_time="true", **given
    )
    node = nodes(actions)["d3pose_node"]
    values = node["parameters"][1]
    assert values.pop("use_sim_time") is True
    assert values == {"max_people": 2, "rep155": True, "target_frame": "odom", "hfov_deg": 70.0}
    NodeParameters(**values)  # of the types that it demands
    assert remapped(node)["image"] == "/other"
    assert remapped(node)["camera_info"] == "/front/camera_info"
    assert (node["respawn"], node["respawn_delay"]) == (True, 2.0)


def test_a_delay_that_is_none_is_refused(d3pose):
    said = "respawn_delay_s must be a number of seconds, got 'soon'"
    with pytest.raises(InputError, match=said):
        start(d3pose, respawn_delay_s="soon")


@pytest.mark.parametrize("camera", ["/", "/front/"])
def test_a_slash_at_the_end_of_the_camera_is_not_doubled(d3pose, camera):
    node = nodes(start(d3pose, camera=camera))["d3pose_node"]
    assert remapped(node)["image"] == camera.rstrip("/") + "/image_raw"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"max_people": "99"}, "max_people must lie in 1..20, got 99"),
        ({"max_people": "many"}, "max_people must be a int, got 'many'"),
        ({"lazy": "perhaps"}, "lazy must be true or false, got 'perhaps'"),
        ({"mesh": "huge"}, "mesh must be one of"),
    ],
)
def test_wrong_values_are_refused_at_launch(given, said):
    with pytest.raises(InputError, match=said):
        given_parameters(given)


@pytest.mark.parametrize(
    ("pushed", "namespace", "expected"),
    [
        ("", "", ["/front", "/back"]),
        ("/robot", "", ["/robot/front", "/robot/back"]),
        ("/robot", "eyes", ["/robot/eyes/front", "/robot/eyes/back"]),
        ("/robot", "/eyes", ["/eyes/front", "/eyes/back"]),
    ],
)
def test_several_cameras(d3pose, pushed, namespace, expected):
    actions = start(
        d3pose, cameras="front back", namespace=namespace, ros_namespace=pushed, rviz="true"
    )
    node = nodes(actions)["d3pose_cameras"]
    assert node["arguments"] == expected
    # A remapping of name or namespace would be for all nodes of the process.
    assert "name" not in node
    assert "namespace" not in node
    assert actions[1].args == ("ros_namespace",)
    assert not any(topic.startswith("/") for topic in remapped(node).values())
    rviz = remapped(nodes(actions)["rviz2"])
    assert rviz["/camera/image_raw"] == f"{expected[0]}/image_raw"
    assert rviz["/d3pose/mesh"] == f"{expected[0]}/d3pose/mesh"


def test_rviz_shows_the_topics_that_are_remapped(d3pose):
    rviz = nodes(start(d3pose, rviz="true", namespace="robot", image="image"))["rviz2"]
    content = yaml.safe_load((ROOT / "config" / "d3pose.rviz").read_text())
    displays = content["Visualization Manager"]["Displays"]
    shown = {display["Topic"]["Value"] for display in displays if "Topic" in display}
    assert shown == remapped(rviz).keys()
    assert remapped(rviz) == {
        "/camera/image_raw": "/robot/image",
        "/d3pose/mesh": "/robot/d3pose/mesh",
        "/d3pose/skeleton": "/robot/d3pose/skeleton",
    }


@pytest.mark.parametrize(
    ("given", "frame"),
    [
        ({}, "camera_optical_frame"),
        ({"target_frame": "odom"}, "odom"),
        ({"target_frame": "odom", "fixed_frame": "map"}, "map"),
    ],
)
def test_fixed_frame(d3pose, given, frame):
    rviz = nodes(start(d3pose, rviz="true", **given))["rviz2"]
    assert rviz["arguments"][-2:] == ["-f", frame]


def test_the_recorder_takes_its_arguments(d3pose):
    (process,) = of_type(start(d3pose, record="p.mcap", namespace="robot"), "ExecuteProcess")
    command = process.given["cmd"]
    assert command[:3] == [sys.executable, "-m", recorder.__name__]
    file, topics = recorder._parse(command[3:])
    assert file == Path("p.mcap")
    assert topics.keys() == {"/robot/d3pose/people", "/diagnostics"}
    assert all(message_class(message_type) for message_type in topics.values())


def test_the_profile_is_set_where_there_is_none(d3pose):
    (variable,) = of_type(start(d3pose), "SetEnvironmentVariable")
    assert variable.args == (PROFILE_VARIABLE, str(fastdds_profile()))
    assert not of_type(start(d3pose, {PROFILE_VARIABLE: "mine.xml"}), "SetEnvironmentVariable")
    assert not of_type(start(d3pose, fastdds_profile=""), "SetEnvironmentVariable")


def of_type(actions, name: str) -> list:
    return [each for each in actions if type(each).__name__ == name]


@pytest.fixture
def bag(tmp_path) -> Path:
    """One black compressed image and its camera_info."""
    import cv2
    import numpy as np
    from rosbags.rosbag2 import StoragePlugin, Writer

    from d3pose_ros.bag import typestore
    from d3pose_ros.replay.topics import COMPRESSED_TYPE, INFO_TYPE

    types = typestore().types
    header = types["std_msgs/msg/Header"](types["builtin_interfaces/msg/Time"](5, 0), "eye")
    jpeg = cv2.imencode(".jpg", np.zeros((48, 64, 3), np.uint8))[1].reshape(-1)
    image = types[COMPRESSED_TYPE](header, "jpeg", jpeg)
    region = types["sensor_msgs/msg/RegionOfInterest"](0, 0, 0, 0, False)
    numbers = (np.zeros(0), np.eye(3).reshape(-1), np.eye(3).reshape(-1), np.zeros(12), 0, 0)
    info = types[INFO_TYPE](header, 48, 64, "plumb_bob", *numbers, region)
    path = tmp_path / "bag"
    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        for topic, message in (("/eye/image/compressed", image), ("/eye/camera_info", info)):
            kind = message.__msgtype__
            connection = writer.add_connection(topic, kind, typestore=typestore())
            writer.write(connection, 5 * 10**9, typestore().serialize_cdr(message, kind))
    return path


def test_replay_finds_topics_and_frame_in_the_bag(replay, bag):
    actions = start(replay, bag=str(bag), shutdown="true")
    (include,) = of_type(actions, "IncludeLaunchDescription")
    given = dict(include.given["launch_arguments"])
    assert given == {
        "use_sim_time": "true",
        "image": "/eye/image",
        "camera_info": "/eye/camera_info",
        "image_transport": "compressed",
        "fixed_frame": "eye",
        "rviz": "true",
    }
    assert Path(include.args[0].args[0]) == ROOT / "launch" / "d3pose.launch.py"
    assert of_type(actions, "RegisterEventHandler")
    with pytest.raises(InputError, match="no topic '/nothing'"):
        start(replay, bag=str(bag), image="/nothing")


def test_what_replay_passes_on_is_declared_by_the_other(d3pose, monkeypatch, bag):
    declared = arguments(d3pose.generate_launch_description())
    replay = launch_stand_in.load(monkeypatch, "replay.launch.py")
    (include,) = of_type(start(replay, bag=str(bag)), "IncludeLaunchDescription")
    assert dict(include.given["launch_arguments"]).keys() <= declared.keys()


@pytest.mark.parametrize("loop", ["true", "false"])
def test_our_player_takes_its_arguments(replay, bag, loop):
    actions = start(replay, bag=str(bag), player="d3pose", rate="0.5", loop=loop)
    (process,) = of_type(actions, "ExecuteProcess")
    command = process.given["cmd"]
    assert command[:3] == [sys.executable, "-m", play.__name__]
    taken = play._parse(command[3:])
    assert (taken.bag, taken.rate, taken.loop) == (bag, 0.5, 0 if loop == "true" else 1)
    assert taken.wait > 0
    (process,) = of_type(start(replay, bag=str(bag), player="ros2bag"), "ExecuteProcess")
    assert process.given["cmd"][:5] == ["ros2", "bag", "play", str(bag), "--clock"]


def test_shared_memory_profile():
    profile = fastdds_profile()
    assert profile.read_text().count("<segment_size>33554432</segment_size>") == 1
    assert with_shared_memory({"A": "1"}) == {"A": "1", PROFILE_VARIABLE: str(profile)}
    assert with_shared_memory({PROFILE_VARIABLE: "mine.xml"}) == {PROFILE_VARIABLE: "mine.xml"}


@pytest.mark.skipif(
    LaunchDescription is None,
    reason="`launch` comes with a ROS 2 installation only; a stand-in takes its place",
)
@pytest.mark.parametrize("name", FILES)
def test_loads_with_the_real_launch(name):
    spec = importlib.util.spec_from_file_location("launch_file", ROOT / "launch" / name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert isinstance(module.generate_launch_description(), LaunchDescription)
