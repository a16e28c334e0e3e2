"""Node processes that serve many scenarios: starting one takes longer than a scenario.

They and their graph end with this folder, which is a package for that: the next folder's tests begin theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from test.helpers.fault_node import SCRIPTED, FaultNode
from test.helpers.graph import Graph


@pytest.fixture(scope="package")
def graph() -> Iterator[Graph]:
    graph = Graph()
    yield graph
    graph.close()


@pytest.fixture(scope="package")
def start_node(graph, tmp_path_factory) -> Iterator[Callable[..., FaultNode]]:
    """Starts a node; see NodeProcess. `module` is the scripted node unless it is given."""
    folder = tmp_path_factory.mktemp("nodes")
    started: list[FaultNode] = []

    def start(*parameters: str, module: str = SCRIPTED, **options) -> FaultNode:
        log = folder / f"node{len(started)}.log"
        started.append(FaultNode(graph, log, *parameters, module=module, **options))
        return started[-1]

    yield start
    for node in started:
        if node.process.poll() is None:
            node.stop()


@pytest.fixture(scope="package")
def scripted(start_node) -> FaultNode:
    """The node that most scenarios share."""
    node = start_node(namespace="scripted")
    node.wait_until_active()
    return node


@pytest.fixture
def node(scripted) -> Iterator[FaultNode]:
    """The shared node, which must go on after whatever is done to it."""
    yield scripted.begin()
    scripted.is_well()
