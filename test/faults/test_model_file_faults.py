"""Model files that are damaged, weights and bodies that are none: said, and mended without a restart."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.parameter import Parameter
from safetensors.torch import save_file

from d3pose_core import model_files
from d3pose_core.model.checkpoint import weights_path
from test.helpers.fault_node import FaultNode

LANDMARKS = "pose_landmark_full.tflite"


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    """A cache of our own, whose files may be spoiled."""
    folder = tmp_path_factory.mktemp("cache")
    for entry in model_files.needed():
        if entry.kind == "model":
            shutil.copy(model_files.model_path(entry.name), folder / entry.name)
    return folder


@pytest.fixture(scope="module")
def managed(start_node, cache) -> FaultNode:
    """The real node, which waits to be configured."""
    return start_node(
        "autostart:=false",
        module="d3pose_ros.node",
        namespace="managed",
        D3POSE_CACHE=str(cache),
    )


@pytest.fixture
def unconfigured(managed) -> Iterator[FaultNode]:
    """After whatever was done to it, it can be configured with what it should have."""
    yield managed
    for name, value in (("weights", "d3pose-landmarks"), ("body", "free-low"), ("device", "cpu")):
        set_parameter(managed, name, value)
    assert managed.transition(label="configure").success
    managed.wait_until(
        lambda: managed.status().message == "inactive", "the failure to be withdrawn"
    )
    assert managed.transition(label="cleanup").success
    assert "Traceback" not in managed.log.read_text()


def set_parameter(node: FaultNode, name: str, value: str) -> None:
    assert node.set(name, Parameter(name, value=value).get_parameter_value()) == ""


def refuses(node: FaultNode, *words: str) -> None:
    """To be configured, with an error that says why and what to do."""
    node.wait_until(node.status, "diagnostics")
    assert not node.transition(label="configure").success
    assert node.state() == "unconfigured"
    node.wait_until(lambda: words[0] in node.status().message, f"diagnostics of {words[0]!r}")
    assert node.status().level == DiagnosticStatus.ERROR
    for word in words:
        assert word in node.status().message
        assert word in node.log.read_text()


def cut_off(data: bytes) -> bytes:
    return data[: len(data) // 2]


def one_bit_other(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


@pytest.mark.parametrize(
    ("spoil", "words"), [(cut_off, "bytes instead of"), (one_bit_other, "SHA-256")]
)
def test_a_damaged_model_file(unconfigured, cache, spoil, words):
    path = cache / LANDMARKS
    whole = path.read_bytes()
    path.write_bytes(spoil(whole))
    try:
        refuses(unconfigured, words, LANDMARKS, model_files.FETCH_COMMAND)
    finally:
        path.write_bytes(whole)


def test_a_missing_model_file(unconfigured, cache):
    os.rename(cache / LANDMARKS, cache / "elsewhere")
    try:
        refuses(unconfigured, f"{LANDMARKS} (BlazePose landmarks (full)) is not in the cache")
    finally:
        os.rename(cache / "elsewhere", cache / LANDMARKS)


def test_weights_that_are_none(unconfigured, tmp_path):
    shipped = weights_path("d3pose-landmarks").read_bytes()
    (tmp_path / "cut_off.safetensors").write_bytes(shipped[: len(shipped) // 2])
    (tmp_path / "empty.safetensors").write_bytes(b"")
    (tmp_path / "pickle.safetensors").write_bytes(b"\x80\x04cos\nsystem\n(S'touch hacked'\ntR.")
    save_file({"weight": torch.zeros(3)}, tmp_path / "other.safetensors")
    save_file(
        {"weight": torch.zeros(3)},
        tmp_path / "no_config.safetensors",
        {"format": "d3pose-1"},
    )
    for name, words in (
        ("", "no weights at"),  # the folder itself
        ("missing.safetensors", "no weights at"),
        ("cut_off.safetensors", "is damaged"),
        ("empty.safetensors", "is damaged"),
        ("pickle.safetensors", "is damaged"),
        ("other.safetensors", "is not a d3pose-1 checkpoint"),
        ("no_config.safetensors", "no_config.safetensors"),
    ):
        set_parameter(unconfigured, "weights", str(tmp_path / name))
        refuses(unconfigured, words, "cannot be configured")
    assert not list(Path.cwd().glob("hacked"))


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("body", "/no/such/body.npz", "/no/such/body.npz"),
        ("body", "/dev/null", "/dev/null"),
        ("body", "free-tall", "free-tall"),
        ("device", "cuda:99", "try 'cpu'"),
        ("device", "toaster", "try 'cpu'"),
    ],
)
def test_a_body_or_device_that_is_none(unconfigured, name, value, words):
    set_parameter(unconfigured, name, value)
    refuses(unconfigured, words)
