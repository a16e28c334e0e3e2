"""What the tests of the engines give them to do; a module, so that other processes can import it.

python -m test.helpers.engine_tasks FOLDER     # two workers that wait for ever, their numbers in files
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from d3pose_core.engine import Report, run_tasks
from d3pose_core.errors import InputError


def square(number: int, report: Report) -> int:
    """Steps: as many as the number."""
    for _ in range(number):
        report(1)
    return number * number


def fail_at_two(number: int, report: Report) -> int:
    if number == 2:
        raise InputError("two will not do")
    if number == 3:
        raise KeyError("three")
    return number


def threads(_: int, report: Report) -> str:
    return os.environ["OMP_NUM_THREADS"]


def die(how: tuple[str, Path], report: Report) -> str:
    """ "kill" and "exit" end the process, "kill once" only where the file is not there yet."""
    what, file = how
    report(3)
    time.sleep(0.25)  # longer than steps are held back
    report(2)
    if what == "kill" or (what == "kill once" and not file.exists()):
        file.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "exit":
        os._exit(3)
    return what


def wait_for_ever(file: Path, report: Report) -> None:
    partial = file.with_suffix(".partial")
    partial.write_text(str(os.getpid()))
    partial.rename(file)
    while True:
        time.sleep(60)


def first_waits(file: Path, report: Report) -> int:
    """All but the task "wait" are done at once."""
    if file.name == "wait":
        wait_for_ever(file, report)
    return os.getpid()


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    list(run_tasks(wait_for_ever, [folder / "a", folder / "b"], workers=2))
