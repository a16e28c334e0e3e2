"""Shared memory that is missing or full, and folders that a process may not write to.

Each needs a machine of its own as far as mounts go, which Linux gives to a process that may `unshare`.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest

from test.helpers.fault_node import FaultNode

OWN_MOUNTS = ("unshare", "--map-root-user", "--mount", "sh", "-c")


def in_own_mounts(script: str) -> tuple[str, ...]:
    """The beginning of a command whose process sees what `script` mounts."""
    return (*OWN_MOUNTS, f'{script} && exec "$@"', "sh")


@pytest.fixture(scope="session")
def may_mount() -> None:
    try:
        probe = [*in_own_mounts("mount -t tmpfs tmpfs /dev/shm"), "true"]
        refused = subprocess.run(probe, capture_output=True, text=True, check=False).stderr
    except OSError as error:
        refused = str(error)
    if refused:
        pytest.skip(f"THIS MACHINE LETS NOBODY MOUNT: full shared memory is NOT tested ({refused})")


@pytest.fixture(scope="module")
def nodes(start_node: Callable[..., FaultNode], may_mount) -> dict[str, FaultNode]:
    """They start side by side."""
    scripts = {
        "missing": "mount -t tmpfs -o ro tmpfs /dev/shm",
        "full": "mount -t tmpfs -o size=64k tmpfs /dev/shm && head -c 60k /dev/zero > /dev/shm/fill",
    }
    return {
        name: start_node(namespace=f"shm_{name}", prefix=in_own_mounts(script))
        for name, script in scripts.items()
    }


@pytest.mark.parametrize("name", ["missing", "full"])
def test_without_shared_memory_images_come_another_way(nodes, name):
    """Fast DDS says that it cannot, and takes UDP: slower, and large images need a reliable camera."""
    node = nodes[name]
    node.wait_until_active()
    node.begin()
    assert len(node.answer(count=1, first=3, width=640, height=480).persons) == 1
    assert node.stop() == 0
