"""The command before its subcommand runs."""

from __future__ import annotations

import subprocess
import sys

import pytest

from d3pose_core.cli import video
from d3pose_core.cli.main import main
from d3pose_core.cli.report import progress_bar


def test_ctrl_c_while_a_subcommand_is_imported(monkeypatch, capsys: pytest.CaptureFixture[str]):
    def interrupted(subparsers: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(video, "add_parser", interrupted)
    assert main(["video", "clip.mp4"]) == 130
    assert capsys.readouterr().err == "d3pose: interrupted\n"


def test_nothing_large_is_imported_before_ctrl_c_is_answered():
    code = "import sys, d3pose_core.cli.main; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


def test_a_reader_that_has_seen_enough_is_no_error():
    """As `d3pose ... | head -1`: the status is that of a command which the closed pipe ended."""
    command = [sys.executable, "-m", "d3pose_core.cli.main", "doctor"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **pipes) as process:
        process.stdout.close()
        complaints = process.stderr.read().decode()
    assert process.returncode == 141
    assert "Broken pipe" not in complaints


def test_without_stderr_it_works(monkeypatch, tmp_path):
    """Python has none where it was closed, as with `2>&-`; progress bars ask it things."""
    monkeypatch.setattr(sys, "stderr", None)

    def run(args: object) -> int:
        progress_bar(1, "some work").close()
        return 0

    monkeypatch.setattr(video, "run", run)
    assert main(["video", "clip.mp4", "--out", str(tmp_path)]) == 0
