"""Tasks in processes and on Ray: each has one outcome, whatever becomes of its process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from d3pose_core.engine import ENGINES, Outcome, Step, run_tasks
from d3pose_core.errors import InputError
from test.helpers import engine_tasks as do
from test.helpers.ray_here import need_ray

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(params=["here", *ENGINES])
def run(request: pytest.FixtureRequest) -> Callable[..., list]:
    """`run_tasks` in this process, in two others, and on a Ray that starts for it."""
    if request.param == "ray":
        need_ray()
    engine = "ray" if request.param == "ray" else "local"
    workers = 0 if request.param == "here" else 2
    return lambda function, tasks: list(run_tasks(function, tasks, engine, workers))


def outcomes(events: list) -> dict:
    """By task; every task has exactly one."""
    found = [event for event in events if isinstance(event, Outcome)]
    assert max(Counter(outcome.task for outcome in found).values()) == 1
    return {outcome.task: outcome for outcome in found}


def steps(events: list) -> int:
    return sum(event.amount for event in events if isinstance(event, Step))


def test_every_task_has_its_result(run):
    events = run(do.square, list(range(7)))
    assert {task: each.result for task, each in outcomes(events).items()} == {
        number: number**2 for number in range(7)
    }
    assert steps(events) == sum(range(7))


def test_a_task_that_fails_says_why_and_the_others_go_on(run):
    done = outcomes(run(do.fail_at_two, [1, 2, 3, 4]))
    assert {task: each.result for task, each in done.items()} == {1: 1, 2: None, 3: None, 4: 4}
    assert (done[2].error, done[2].details) == ("two will not do", "")
    assert done[3].error == "KeyError: 'three'"
    assert "fail_at_two" in done[3].details  # the place of a mistake of ours
    assert (done[1].error, done[1].details) == ("", "")


def test_other_processes_have_one_thread_each(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    done = outcomes(list(run_tasks(do.threads, [0, 1], "local", 2)))
    assert {each.result for each in done.values()} == {"1"}
    assert f":{os.getpid()}" not in {
        each.worker[each.worker.rfind(":") :] for each in done.values()
    }
    assert os.environ["OMP_NUM_THREADS"] == "4"


@pytest.mark.parametrize("engine", ENGINES)
def test_a_process_that_is_killed_costs_its_task_an_attempt(engine, tmp_path: Path):
    """The system's way to make room in memory is SIGKILL."""
    if engine == "ray":
        need_ray()
    once, always = ("kill once", tmp_path / "once"), ("kill", tmp_path / "always")
    leaves, fine = ("exit", tmp_path / "x"), [("", tmp_path / str(index)) for index in range(3)]
    events = list(run_tasks(do.die, [always, once, leaves, *fine], engine, 2))
    done = outcomes(events)
    assert len(done) == 6
    for task in (once, *fine):
        assert (done[task].result, done[task].error) == (task[0], "")
    for task, said in ((always, "killed by SIGKILL, 2 times"), (leaves, "status 3, 2 times")):
        assert done[task].result is None
        assert (said if engine == "local" else "its process was lost") in done[task].error
    assert steps(events) == 5 * 4  # those of the lost attempts are taken back


def test_who_stops_listening_leaves_no_process_behind(tmp_path: Path):
    waits = tmp_path / "wait"
    events = run_tasks(do.first_waits, [waits, tmp_path / "b"], workers=2)
    next(event for event in events if isinstance(event, Outcome))
    _wait_until(waits.exists)
    pid = int(waits.read_text())
    assert Path(f"/proc/{pid}").exists()
    events.close()
    assert not Path(f"/proc/{pid}").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux to end processes with their parent")
def test_the_processes_of_a_parent_that_is_killed_end(tmp_path: Path):
    command = [sys.executable, "-m", do.__name__, str(tmp_path)]
    parent = subprocess.Popen(command, cwd=ROOT)
    files = [tmp_path / "a", tmp_path / "b"]
    _wait_until(lambda: all(file.exists() for file in files))
    pids = [int(file.read_text()) for file in files]
    parent.send_signal(signal.SIGKILL)
    parent.wait(20)
    _wait_until(lambda: not any(_runs(pid) for pid in pids))


def _runs(pid: int) -> bool:
    """A process without a parent that waits for it may stay a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _wait_until(condition: Callable[[], bool], timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def test_no_tasks_are_no_work(run):
    assert run(do.square, []) == []


def test_arguments_are_checked():
    with pytest.raises(InputError, match="local, ray, got 'slurm'"):
        list(run_tasks(do.square, [1], "slurm"))
    with pytest.raises(InputError, match="not be negative, got -1"):
        list(run_tasks(do.square, [1], "local", -1))
