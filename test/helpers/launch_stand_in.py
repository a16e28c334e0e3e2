"""As much of `launch` and `launch_ros` as our launch files use, for machines without them.

Actions only remember their arguments. What the real ones do with those is tested by test/launch/, where ROS
provides them.
"""

from __future__ import annotations

import importlib.util
import sys
import types
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
ACTIONS = (
    "ExecuteProcess",
    "IncludeLaunchDescription",
    "RegisterEventHandler",
    "Shutdown",
    "SetEnvironmentVariable",
    "UnsetLaunchConfiguration",
    "DeclareLaunchArgument",
)


class Action:
    """Remembers `args` and the keyword arguments in `given`."""

    def __init__(self, *args: Any, **given: Any) -> None:
        self.args, self.given = args, given


class OpaqueFunction(Action):
    pass


class Node(Action):
    pass


class GroupAction(Action):
    pass


class LaunchDescription:
    def __init__(self, entities: list) -> None:
        self.entities = entities


@dataclass
class Context:
    launch_configurations: dict[str, str]
    environment: dict[str, str] = field(default_factory=dict)


def load(monkeypatch, name: str) -> types.ModuleType:
    """The launch file `name` as a module that sees the stand-ins."""
    actions = {each: type(each, (Action,), {}) for each in ACTIONS}
    modules = {
        "launch": {
            "LaunchDescription": LaunchDescription,
            "LaunchContext": Context,
            "LaunchDescriptionEntity": object,
        },
        "launch.actions": {
            **actions,
            "OpaqueFunction": OpaqueFunction,
            "GroupAction": GroupAction,
        },
        "launch.event_handlers": {"OnProcessExit": type("OnProcessExit", (Action,), {})},
        "launch.launch_description_sources": {
            "PythonLaunchDescriptionSource": type("PythonLaunchDescriptionSource", (Action,), {})
        },
        "launch_ros": {},
        "launch_ros.actions": {"Node": Node},
        "ament_index_python": {},
        "ament_index_python.packages": {"get_package_share_directory": lambda package: str(ROOT)},
    }
    for module_name, content in modules.items():
        module = types.ModuleType(module_name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, module_name, module)
    path = ROOT / "launch" / name
    spec = importlib.util.spec_from_file_location(path.name.replace(".", "_"), path)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def arguments(description: LaunchDescription) -> dict[str, dict[str, Any]]:
    """What is declared: name -> the other keyword arguments."""
    found = {}
    for entity in description.entities:
        if type(entity).__name__ == "DeclareLaunchArgument":
            given = dict(entity.given)
            name = entity.args[0] if entity.args else given.pop("name")
            assert name not in found, f"{name} is declared twice"
            found[name] = given
    return found


def start(module: types.ModuleType, environment: dict | None = None, **given: str) -> list[Action]:
    """The actions after `ros2 launch FILE name:=value ...`, those within groups included."""
    description = module.generate_launch_description()
    declared = arguments(description)
    # `ros_namespace` is what PushRosNamespace sets.
    assert given.keys() <= declared.keys() | {"ros_namespace"}
    configurations = {
        name: each["default_value"] for name, each in declared.items() if "default_value" in each
    }
    configurations.update(given)
    for name, value in configurations.items():
        choices = declared.get(name, {}).get("choices")
        assert not choices or value in choices, f"{name}:={value}"
    (function,) = [each for each in description.entities if isinstance(each, OpaqueFunction)]
    started = function.given["function"](Context(configurations, environment or {}))
    return [
        each
        for action in started
        for each in (action.args[0] if isinstance(action, GroupAction) else [action])
    ]
