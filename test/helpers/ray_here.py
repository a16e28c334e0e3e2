"""Whether a real Ray can be tested here."""

from __future__ import annotations

import functools
from types import ModuleType

import pytest


def need_ray() -> None:
    """Skips the test where Ray is not installed, or does not even start by itself; else it runs now.

    It goes on running for the tests that follow, and ends with the process.
    """
    ray = pytest.importorskip(
        "ray", reason="RAY IS NOT TESTED: it is not installed, pip install ray"
    )
    if problem := _start(ray):
        pytest.skip(f"RAY IS NOT TESTED: it does not start here: {problem}")


@functools.cache
def _start(ray: ModuleType) -> str:
    """What is wrong, if anything. Once: where it does not start, it takes long to say so."""
    try:
        ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    except Exception as error:  # of many types
        return f"{type(error).__name__}: {error}"
    return ""
