"""`d3pose export`: where it writes, which body it takes, what it says when it can't."""

import json

import numpy as np
import pytest

from d3pose_core.cli.main import main
from d3pose_core.recording import PeopleTable


def test_the_body_is_the_one_of_the_recording(recording, capsys):
    recording.with_name("summary.json").write_text(json.dumps({"body": "free-low"}))
    out = recording.parent / "new" / "folder"
    assert main(["export", "amass", str(recording), "--out", str(out), "--track", "8"]) == 0
    assert [path.name for path in out.iterdir()] == ["track_8_amass.npz"]
    with np.load(out / "track_8_amass.npz") as file:
        assert str(file["body_model"]) == "free-low"
    assert "track_8_amass.npz (12 frames)" in capsys.readouterr().out


def test_a_summary_that_names_no_body(recording, capsys):
    recording.with_name("summary.json").write_text("{}")
    assert main(["export", "bvh", str(recording)]) == 2
    assert "does not name a body" in capsys.readouterr().err
    assert not list(recording.parent.glob("*.bvh"))


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--track", "5"], "no track 5 in the recording; it holds [3, 8]"),
        (["--rate", "-1"], "must be a positive number"),
        (["--body", "nobody"], "no body called 'nobody'"),
    ],
)
def test_mistakes_are_named(recording, arguments, complaint, capsys):
    assert main(["export", "bvh", str(recording), *arguments]) == 2
    assert complaint in capsys.readouterr().err


def test_a_recording_of_nobody(people: PeopleTable, tmp_path, capsys):
    from d3pose_core.recording import PeopleRecorder

    PeopleRecorder(people.intrinsics).table().save(tmp_path / "people.npz")
    assert main(["export", "glb", str(tmp_path / "people.npz")]) == 2
    assert "holds nobody" in capsys.readouterr().err
