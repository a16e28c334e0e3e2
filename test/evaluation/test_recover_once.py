"""An evaluation that was interrupted asks only for the sequences that are missing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from d3pose_core.camera import Intrinsics
from d3pose_core.data.datasets.sequence import DatasetSequence
from d3pose_core.errors import InputError
from d3pose_core.evaluation.recover_dataset import RecoverOnce
from d3pose_core.recording import COLUMNS, PeopleTable

NAMES = ("P0/09_walk", "../../escaped", "/etc/escaped", "a" * 300, "\N{SNOWMAN}")
SETTINGS = {"weights": "w", "people": 3}


def sequence(name: str) -> DatasetSequence:
    return DatasetSequence(
        dataset="made up",
        name=name,
        split="test",
        subject="",
        frame_ids=np.arange(2),
        times_s=np.arange(2) / 30,
        rotation=np.zeros((2, 3, 3)),
        translation=np.zeros((2, 3)),
        people=(),
    )


class Source:
    """Answers with as many rows as the name has letters, until it is interrupted."""

    def __init__(self, answers: int) -> None:
        self.answers, self.asked = answers, []

    def __call__(self, sequence: DatasetSequence) -> PeopleTable:
        if len(self.asked) == self.answers:
            raise KeyboardInterrupt
        self.asked.append(sequence.name)
        rows = len(sequence.name)
        columns = {n: np.full((rows, *s), rows, dtype) for n, (s, dtype) in COLUMNS.items()}
        return PeopleTable(**columns, intrinsics=Intrinsics.from_hfov(60, 64, 48))


def test_goes_on_with_the_next(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    first = Source(answers=3)
    once = RecoverOnce(first, out, SETTINGS, resume=True)
    with pytest.raises(KeyboardInterrupt):
        [once(sequence(name)) for name in NAMES]
    second, seen = Source(answers=9), []
    once = RecoverOnce(second, out, SETTINGS, resume=True, progress=seen.append)
    tables = [once(sequence(name)) for name in NAMES]
    assert (first.asked, second.asked) == (list(NAMES[:3]), list(NAMES[3:]))
    assert [len(table) for table in tables] == [len(name) for name in NAMES]
    assert seen == [2, 2, 2]
    # Nothing was written anywhere else, whatever sequences are called.
    assert {path.parent for path in tmp_path.rglob("*") if path.is_file()} == {out / ".resume"}
    once.forget()
    assert list(out.iterdir()) == []


def test_starts_anew_unless_told(tmp_path: Path) -> None:
    RecoverOnce(Source(9), tmp_path, SETTINGS, resume=False)(sequence("x"))
    source = Source(9)
    RecoverOnce(source, tmp_path, SETTINGS, resume=False)(sequence("x"))
    assert source.asked == ["x"]


def test_other_settings_are_not_mixed(tmp_path: Path) -> None:
    RecoverOnce(Source(9), tmp_path, SETTINGS, resume=True)
    with pytest.raises(InputError, match="interrupted run with other settings"):
        RecoverOnce(Source(9), tmp_path, {**SETTINGS, "people": 4}, resume=True)
