"""Shared memory that is full, or that a process may not write to.

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


@pytest.fixture(scope="module")
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
        "read-only": "mount -t tmpfs -o size=64k,ro tmpfs /dev/shm",
        "full": "mount -t tmpfs -o size=64k tmpfs /dev/shm && head -c 40k /dev/zero > /dev/shm/fill",
    }
    return {
        name: start_node(namespace=f"shm_{name[:4]}", prefix=in_own_mounts(script))
        for name, script in scripts.items()
    }


@pytest.mark.parametrize("name", ["read-only", "full"])
def test_without_shared_memory_images_come_another_way(nodes, name):
    """They take UDP, which is slower; Fast DDS says so, and the node what to do."""
    node = nodes[name]
    node.wait_until_active()
    node.begin()
    assert len(node.answer(count=1, first=3, width=640, height=480).persons) == 1
    node.wait_for_log("that Fast DDS needs: images come by UDP")
    assert node.stop() == 0
