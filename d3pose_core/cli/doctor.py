"""`d3pose doctor`: what is installed, what is missing, and how to mend it."""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

MIN_SHARED_MEMORY = 64 * 2**20  # bytes: two Fast DDS segments of config/fastdds.xml

REQUIRED_MODULES = {
    "numpy": "numpy",
    "cv2": "opencv-python-headless",
    "torch": "torch",
    "onnxruntime": "onnxruntime",
    "flatbuffers": "flatbuffers",
    "lz4": "lz4",
    "platformdirs": "platformdirs",
    "roma": "roma",
    "safetensors": "safetensors",
    "ai_edge_litert": "ai-edge-litert",
    "rosbags": "rosbags",
    "tqdm": "tqdm",
    "yaml": "pyyaml",
}
ROS_MODULES = {
    "rclpy": "ros-rclpy",
    "sensor_msgs.msg": "ros-sensor-msgs",
    "visualization_msgs.msg": "ros-visualization-msgs",
    "diagnostic_msgs.msg": "ros-diagnostic-msgs",
    "std_srvs.srv": "ros-std-srvs",
}
OPTIONAL_MODULES = {
    "smplx": "licensed SMPL, SMPL-H and SMPL-X files: pip install smplx",
    "cv_bridge": "ROS image conversion; without it numpy and OpenCV convert",
    "launch_ros": "`ros2 launch`; comes with a ROS 2 installation, not from PyPI",
    "tf2_ros": "TF; comes with a ROS 2 installation, not from PyPI",
}


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    state: str  # "ok", "note" or "MISSING"
    subject: str
    detail: str


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Registers `doctor` under the `d3pose` command."""
    parser = subparsers.add_parser(
        "doctor",
        help="say what is installed, what is missing and how to mend it",
        description="Checks this installation. Exit status 1 when something needed is missing; "
        "lines marked `note` are optional.",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Prints the findings; exit status 0, or 1 when something needed is missing."""
    missing = 0
    for finding in findings():
        print(f"{finding.state:8}{finding.subject:26} {finding.detail}", flush=True)
        missing += finding.state == "MISSING"
    print(
        f"\n{missing} thing(s) missing: see above" if missing else "\nall that is needed is there"
    )
    return 1 if missing else 0


def findings() -> Iterator[Finding]:
    """Everything that is checked, in order."""
    yield _python()
    for module, package in REQUIRED_MODULES.items():
        yield _import(module, "MISSING", f"pip install {package}")
    yield _torch_device()
    for module, package in ROS_MODULES.items():
        yield _import(module, "MISSING", f"pip install {package}, or source a ROS 2 installation")
    yield _import(
        "d3pose_ros.msg",
        "MISSING",
        "build the messages: pip install -e . (or colcon build) in the checkout",
    )
    for module, use in OPTIONAL_MODULES.items():
        yield _import(module, "note", use)
    yield from _model_files()
    yield _shared_memory()
    yield _transport_profile()


def _python() -> Finding:
    return Finding("ok", "python", f"{platform.python_version()} ({sys.executable})")


def _import(module: str, state_if_absent: str, mend: str) -> Finding:
    """Really imports it: a package that is there may still lack a library that it links to."""
    try:
        loaded = importlib.import_module(module)
    except Exception as error:  # whatever a broken package raises is the finding
        return Finding(state_if_absent, module, f"{_one_line(error)}: {mend}")
    return Finding("ok", module, _version(module, loaded))


def _one_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _version(module: str, loaded: object) -> str:
    distribution = {**REQUIRED_MODULES, **ROS_MODULES}.get(module, module.partition(".")[0])
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return str(getattr(loaded, "__version__", "installed"))


def _torch_device() -> Finding:
    try:
        import torch
    except ImportError:
        return Finding("note", "device", "unknown without torch")
    if torch.cuda.is_available():
        return Finding("ok", "device", f"cuda: {torch.cuda.get_device_name(0)}")
    return Finding("ok", "device", f"cpu, {os.cpu_count()} cores (torch sees no CUDA device)")


def _model_files() -> Iterator[Finding]:
    try:
        from d3pose_core import model_files
    except ImportError:
        return  # what it needs was found missing before
    for entry in model_files.MODEL_FILES:
        state = model_files.state(entry)
        if state == "ok":
            yield Finding("ok", entry.name, entry.purpose)
        else:
            is_needed = entry.kind == "model" and not entry.optional
            absent = "MISSING" if is_needed else "note"
            yield Finding(absent, entry.name, f"{state}: run `{model_files.fetch_command(entry)}`")


def _shared_memory(
    disk_usage: Callable[[str], shutil._ntuple_diskusage] = shutil.disk_usage,
) -> Finding:
    folder = "/dev/shm"
    if not os.path.isdir(folder):
        return Finding("note", folder, "absent: images travel over UDP, which is slower")
    free = disk_usage(folder).free
    detail = f"{free / 2**20:.0f} MB free"
    if free < MIN_SHARED_MEMORY:
        return Finding(
            "note",
            folder,
            f"{detail}, {MIN_SHARED_MEMORY / 2**20:.0f} MB are wanted for images: in a container, "
            "start it with --shm-size=256m",
        )
    return Finding("ok", folder, detail)


def _transport_profile() -> Finding:
    variable = "FASTDDS_DEFAULT_PROFILES_FILE"
    path = os.environ.get(variable)
    if path is None:
        return Finding(
            "note",
            variable,
            "not set: a camera driver that publishes images over 512 KB best-effort loses most of "
            "them; point it to config/fastdds.xml before starting the driver",
        )
    if not os.path.isfile(path):
        return Finding("MISSING", variable, f"{path} does not exist: unset it, or correct the path")
    return Finding("ok", variable, path)
