"""The command before its subcommand runs."""

from __future__ import annotations

import subprocess
import sys

import pytest

from d3pose_core.cli import video
from d3pose_core.cli.main import main


def test_ctrl_c_while_a_subcommand_is_imported(monkeypatch, capsys: pytest.CaptureFixture[str]):
    def interrupted(subparsers: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(video, "add_parser", interrupted)
    assert main(["video", "clip.mp4"]) == 130
    assert capsys.readouterr().err == "d3pose: interrupted\n"


def test_nothing_large_is_imported_before_ctrl_c_is_answered():
    code = "import sys, d3pose_core.cli.main; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
