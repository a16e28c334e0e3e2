"""Cleanup gives back what configure took: with the real network, on the GPU too where there is one."""

import weakref

import pytest
import torch
from rclpy.parameter import Parameter

from d3pose_ros.node import D3PoseNode, load_recovery
from d3pose_ros.pipeline import FramePipeline
from test.helpers.node_bench import SUCCESS


class Factory:
    """Loads as the node does, and keeps weak references only."""

    def __call__(self, values):
        recovery = load_recovery(values)
        self.model, self.body = weakref.ref(recovery.model), weakref.ref(recovery.body)
        return recovery


def cycle(node) -> FramePipeline:
    """Through all states. The pipeline is returned so that it lives on, as it does when the node empties
    the GPU's cache: it must have let go of everything by itself."""
    assert node.trigger_configure() == SUCCESS
    assert node.trigger_activate() == SUCCESS
    pipeline = node._pipeline
    assert node.trigger_deactivate() == SUCCESS
    assert node.trigger_cleanup() == SUCCESS
    return pipeline


@pytest.mark.parametrize("use_depth", [False, True])
def test_nothing_of_the_model_is_left(graph, use_depth):
    factory = Factory()
    overrides = [Parameter("use_depth", value=use_depth)]
    node = graph.add(D3PoseNode(factory, parameter_overrides=overrides))
    for _ in range(2):
        _pipeline = cycle(node)
        assert factory.model() is None
        assert factory.body() is None


@pytest.mark.skipif(
    not torch.cuda.is_available(),
    reason="NO CUDA DEVICE: that cleanup frees the GPU's memory is NOT tested on this machine",
)
def test_gpu_memory_is_given_back(graph):
    node = graph.add(D3PoseNode(parameter_overrides=[Parameter("device", value="cuda")]))
    cycle(node)  # the first use loads CUDA's own libraries
    before = torch.cuda.memory_reserved()
    assert node.trigger_configure() == SUCCESS
    assert torch.cuda.memory_reserved() > before
    assert node.trigger_activate() == SUCCESS
    assert node.trigger_deactivate() == SUCCESS
    assert node.trigger_cleanup() == SUCCESS
    assert torch.cuda.memory_reserved() == before
