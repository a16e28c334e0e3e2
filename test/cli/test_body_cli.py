"""A licensed pickle is converted once, on the user's word, and loads without unpickling after that."""

import pickle
from pathlib import Path

import pytest
import torch

from d3pose_core.body import load_body
from d3pose_core.body.load import free_body_arrays
from d3pose_core.cli.main import main
from test.helpers.random_people import random_people


@pytest.fixture
def smpl_pickle(tmp_path: Path) -> Path:
    """The free body in the form that SMPL is handed out in."""
    path = tmp_path / "SMPL_NEUTRAL.pkl"
    path.write_bytes(pickle.dumps(free_body_arrays("free-mid").smpl_file(), protocol=2))
    return path


def test_a_trusted_pickle_becomes_a_body(
    smpl_pickle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["body", "convert", "--trust", str(smpl_pickle)]) == 0
    converted = smpl_pickle.with_suffix(".npz")
    assert str(converted) in capsys.readouterr().out
    people = random_people(2)
    vertices = load_body(converted)(*people).vertices
    torch.testing.assert_close(vertices, load_body("free-mid")(*people).vertices)


def test_what_lies_beside_the_pickle_is_not_replaced(smpl_pickle: Path, capsys) -> None:
    """SMPL-X comes as both, and its .npz holds more."""
    beside = smpl_pickle.with_suffix(".npz")
    beside.write_text("the maker's")
    assert main(["body", "convert", "--trust", str(smpl_pickle)]) == 2
    assert "is there already" in capsys.readouterr().err
    assert beside.read_text() == "the maker's"
    assert main(["body", "convert", "--trust", str(smpl_pickle), "--out", str(beside)]) == 0
    assert load_body(beside).num_vertices > 1000


def test_the_gender_is_in_the_folders_name_where_the_files_says_nothing(
    smpl_pickle: Path, tmp_path: Path
) -> None:
    """AMASS' SMPL-H: female/model.npz."""
    (tmp_path / "female").mkdir()
    path = tmp_path / "female" / "model.npz"
    assert main(["body", "convert", "--trust", str(smpl_pickle), "--out", str(path)]) == 0
    body = load_body(path)
    assert (body.name, body.gender) == ("female_model", "female")


def test_it_stays_shut_without_trust(
    tmp_path: Path, smpl_pickle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["body", "convert", str(smpl_pickle)]) == 2
    assert "--trust" in capsys.readouterr().err
    assert not smpl_pickle.with_suffix(".npz").exists()


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("nobody.pkl", "no body model file"),
        ("odd.pkl", "cannot read"),
        ("number.pkl", "holds a int and not the arrays of a body"),
        ("other.pkl", "nonesuch"),
    ],
)
def test_what_is_no_model_is_said(
    tmp_path: Path, name: str, complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "odd.pkl").write_bytes(b"not a pickle")
    (tmp_path / "number.pkl").write_bytes(pickle.dumps(5))
    (tmp_path / "other.pkl").write_bytes(b"cnumpy\nnonesuch\n.")  # as of another release
    assert main(["body", "convert", "--trust", str(tmp_path / name)]) == 2
    assert complaint in capsys.readouterr().err


def test_the_output_must_be_an_npz(
    tmp_path: Path, smpl_pickle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "body.obj"
    assert main(["body", "convert", "--trust", str(smpl_pickle), "--out", str(out)]) == 2
    assert "must end in .npz" in capsys.readouterr().err
