"""Segments of processes that were killed, and memory that is full."""

from __future__ import annotations

import fcntl
import os

import pytest

from d3pose_ros import shared_memory
from d3pose_ros.transport import PROFILE_VARIABLE

SIZE = 2**20


@pytest.fixture
def make_segment(tmp_path):
    """A segment as Fast DDS makes it, some time ago."""

    def make(name: str, age_s: float = 1000.0):
        segment, lock = tmp_path / f"fastdds_{name}", tmp_path / f"fastdds_{name}_el"
        segment.write_bytes(os.urandom(SIZE))
        lock.touch()
        then = lock.stat().st_mtime - age_s
        os.utime(lock, (then, then))
        return segment, lock

    return make


def test_only_what_nobody_holds_is_removed(make_segment, tmp_path):
    dead = make_segment("dead")
    living = make_segment("living")
    new = make_segment("new", age_s=1.0)
    port = make_segment("port7412")
    (tmp_path / "sem.fastdds_port7412_mutex").touch()
    (tmp_path / "somebody_elses").write_bytes(b"x")
    with living[1].open("r+b") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert shared_memory.reclaim(tmp_path) == pytest.approx(SIZE, rel=0.1)
        assert not any(path.exists() for path in dead)
        assert all(path.exists() for path in (*living, *new, *port))
        assert len(list(tmp_path.iterdir())) == 8
    assert shared_memory.reclaim(tmp_path) > 0, "once its process is gone"
    assert not living[0].exists()


def test_what_was_freed_is_said(make_segment, tmp_path):
    make_segment("dead")
    (remark,) = shared_memory.prepare({}, tmp_path)
    assert "freed 1 MiB of shared memory" in remark
    assert shared_memory.prepare({}, tmp_path) == []


@pytest.mark.parametrize(
    ("left", "profile", "needed"),
    [(1000, "", 1), (30 * 2**20, "", 0), (30 * 2**20, "fastdds.xml", 36)],
)
def test_too_little_memory_is_said(monkeypatch, tmp_path, left, profile, needed):
    monkeypatch.setattr(shared_memory, "room", lambda folder: left)
    remarks = shared_memory.prepare({PROFILE_VARIABLE: profile}, tmp_path)
    assert len(remarks) == bool(needed)
    assert all(f"of {needed} that Fast DDS needs" in remark for remark in remarks)


def test_without_the_folder_there_is_nothing_to_do(tmp_path):
    assert shared_memory.prepare({}, tmp_path / "missing") == []
