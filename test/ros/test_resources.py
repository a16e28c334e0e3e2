"""Memory and device as the diagnostics show them."""

import numpy as np
import pytest

from d3pose_core import machine
from d3pose_ros import resources
from d3pose_ros.resources import NO_CUDA, usage


def test_memory_is_this_process():
    before = int(usage("cpu")["memory MiB"])
    held = np.ones(64 * 2**20, np.uint8)
    after = int(usage("cpu")["memory MiB"])
    assert 50 < after - before < 200
    assert held[0]


def test_the_processor_has_a_name():
    assert usage("cpu")["device name"]
    assert "GPU memory MiB" not in usage("cpu")


def test_other_platforms_say_nothing(monkeypatch, tmp_path):
    monkeypatch.setattr(resources, "_STATM", tmp_path / "missing")
    monkeypatch.setattr(machine, "_CPUINFO", tmp_path / "missing")
    resources.device_name.cache_clear()
    try:
        values = usage("cpu")
    finally:
        resources.device_name.cache_clear()
    assert values["memory MiB"] == ""
    assert values["device name"]


def test_a_gpu_that_is_not_there():
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        assert float(usage("cuda:0")["GPU memory MiB"]) >= 0
        assert usage("cuda:0")["device name"] != NO_CUDA
    assert usage("cuda:99")["device name"] == NO_CUDA


def test_a_gpu_with_too_high_a_number(monkeypatch):
    """As torch says it where there are fewer: diagnostics must go on to say what is wrong."""
    torch = pytest.importorskip("torch")

    def refuse(device):
        raise AssertionError("Invalid device id")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for name in ("get_device_name", "memory_reserved"):
        monkeypatch.setattr(torch.cuda, name, refuse)
    resources.device_name.cache_clear()
    values = usage("cuda:3")
    resources.device_name.cache_clear()
    assert values["device name"] == NO_CUDA
    assert int(values["memory MiB"]) > 0
