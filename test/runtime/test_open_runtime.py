"""Which runtime is taken, and what happens where one can't run."""

import builtins
import logging

import pytest
import torch

from d3pose_core.errors import InputError
from d3pose_core.runtime import CUDA_GRAPH, ONNX, TORCH
from d3pose_core.runtime import onnx_step as onnx_module
from d3pose_core.runtime.choice import open_runtime
from test.helpers.networks import random_network


@pytest.fixture(scope="module")
def model():
    return random_network()


@pytest.fixture
def no_onnxruntime(monkeypatch):
    def refuse(name, *args, **kwargs):
        if name.split(".")[0] == "onnxruntime":
            raise ImportError("No module named 'onnxruntime'")
        return real(name, *args, **kwargs)

    real = builtins.__import__
    monkeypatch.setattr(builtins, "__import__", refuse)


def test_on_the_cpu_it_is_onnx_runtime(model, caplog):
    assert open_runtime(model).runtime == ONNX
    assert open_runtime(model, "onnx").runtime == ONNX
    assert open_runtime(model, "torch").runtime == TORCH
    assert not caplog.records


def test_without_onnx_runtime_auto_takes_torch_and_says_so(model, no_onnxruntime, caplog):
    with caplog.at_level(logging.WARNING):
        assert open_runtime(model).runtime == TORCH
    (record,) = caplog.records
    assert "pip install onnxruntime" in record.getMessage()
    with pytest.raises(InputError, match="needs ONNX Runtime"):
        open_runtime(model, "onnx")


@pytest.mark.parametrize("kind", ["wrong numbers", "cut short", "a function that nobody knows"])
def test_a_graph_that_is_wrong_is_not_used(model, monkeypatch, caplog, kind):
    right = onnx_module.step_as_onnx
    other = random_network(std=0.09)

    def wrong(given):
        if kind == "wrong numbers":
            return right(other)
        if kind == "cut short":
            return right(given)[:-1000]
        raise NotImplementedError("no ONNX operator is known for torch's 'frobnicate'")

    monkeypatch.setattr(onnx_module, "step_as_onnx", wrong)
    with caplog.at_level(logging.WARNING):
        assert open_runtime(model).runtime == TORCH
    assert len(caplog.records) == 1
    with pytest.raises(InputError, match=r"other numbers than torch|can't be opened|frobnicate"):
        open_runtime(model, "onnx")


def test_what_cannot_be_is_refused(model):
    with pytest.raises(InputError, match="runtime must be one of auto, torch, onnx, cuda-graph"):
        open_runtime(model, "tensorflow")
    with pytest.raises(InputError, match="needs an NVIDIA GPU, the network is on 'cpu'"):
        open_runtime(model, CUDA_GRAPH)
    meta = random_network().to("meta")
    with pytest.raises(InputError, match="for the CPU, the network is on 'meta'"):
        open_runtime(meta, ONNX)


def test_a_gpus_network_runs_as_a_cuda_graph():
    if not torch.cuda.is_available():
        pytest.skip("NO NVIDIA GPU HERE: the choice of the runtime on a GPU is not tested")
    assert open_runtime(random_network().cuda()).runtime == CUDA_GRAPH
