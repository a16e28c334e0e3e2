"""Settings of every test, made before ROS or torch is imported; child processes inherit them."""

import gc
import os
from pathlib import Path

import pytest

# A wrong field type is silently sent as 0.0 unless rclpy checks it.
os.environ["ROS_PYTHON_CHECK_FIELDS"] = "1"
# A graph of our own: other ROS processes, and test runs beside this one, are not seen. Domains up to 101 keep
# out of Linux' ephemeral ports.
os.environ["ROS_DOMAIN_ID"] = str(1 + os.getpid() % 101)
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
# Without it images larger than 512 KB are lost between processes.
os.environ.setdefault(
    "FASTDDS_DEFAULT_PROFILES_FILE",
    str(Path(__file__).resolve().parents[1] / "config" / "fastdds.xml"),
)
# Two threads that wait for each other on a busy machine are many times slower than one.
os.environ["OMP_NUM_THREADS"] = "1"


@pytest.fixture(scope="session", autouse=True)
def modules_are_no_garbage() -> None:
    """Else each of the many collections (`helpers.graph`) looks through all of torch again."""
    gc.freeze()
