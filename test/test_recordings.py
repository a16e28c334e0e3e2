"""Which recordings are to be processed, told from what lies in their folders."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from d3pose_core.errors import InputError
from d3pose_core.recording import atomic_path
from d3pose_core.recordings import (
    DONE,
    FAILED,
    RESULTS,
    STARTED,
    Plan,
    Record,
    Recording,
    assign_folders,
    begin,
    check_not_overwritten,
    fingerprint,
    plan,
)

SETTINGS = {"weights": "w", "max_people": 5}


@pytest.fixture
def bags(tmp_path: Path) -> Path:
    """A folder of bags: a.mcap, and b as a folder of two files."""
    folder = tmp_path / "bags"
    (folder / "b").mkdir(parents=True)
    (folder / "a.mcap").write_bytes(bytes(range(256)) * 12000)  # more than both its sampled ends
    (folder / "b" / "metadata.yaml").write_text("x")
    (folder / "b" / "b_0.db3").write_text("y")
    return folder


def mark(recording: Recording, kind: str, settings=SETTINGS, **entries) -> None:
    record = Record(str(recording.source), fingerprint(recording.source), settings, entries)
    record.save(recording.folder / kind)


def test_folders_are_named_like_their_recordings(bags: Path, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sources = [Path("bags/a.mcap"), bags / "b", Path("clip.v2.mp4"), Path("bags/../bags/b")]
    found = assign_folders(sources, Path("out"))
    assert [(each.source, each.folder) for each in found] == [
        (bags / "a.mcap", tmp_path / "out" / "a"),
        (bags / "b", tmp_path / "out" / "b"),
        (tmp_path / "clip.v2.mp4", tmp_path / "out" / "clip.v2"),
    ]
    assert [each.is_bag for each in found] == [True, True, False]


def test_results_never_go_into_a_bag(bags: Path):
    """As in `d3pose process b --out .`, in the folder of the bags."""
    with pytest.raises(InputError, match=r"would go into the bag .*b: choose another --out"):
        assign_folders([bags / "a.mcap", bags / "b"], bags)
    (recording,) = assign_folders([bags / "b"], bags / "b")  # below it nothing is in the way
    assert recording.folder == bags / "b" / "b"


def test_what_is_read_is_not_written_over(tmp_path: Path):
    for name in RESULTS:
        (tmp_path / name).touch()
    for source in (tmp_path, *(tmp_path / name for name in RESULTS if name.endswith(("4", "p")))):
        with pytest.raises(InputError, match="results would take its place: choose another --out"):
            check_not_overwritten(source, tmp_path)
        check_not_overwritten(source, tmp_path / "out")
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(InputError, match="take its place"):
        check_not_overwritten(tmp_path / "people.mcap", tmp_path / "link")


def test_results_below_a_bag_are_no_part_of_it(bags: Path):
    before = fingerprint(bags / "b")
    (bags / "b" / "out").mkdir()
    (bags / "b" / "out" / "people.mcap").write_text("z")
    (bags / "b" / "log.txt").write_text("z")
    assert fingerprint(bags / "b") == before


def test_recordings_of_one_name_need_a_root(tmp_path: Path):
    sources = [tmp_path / day / "cam.mcap" for day in ("mon", "tue")]
    with pytest.raises(InputError, match=r"would both go to .*cam: give --root"):
        assign_folders(sources, tmp_path / "out")
    found = assign_folders(sources, tmp_path / "out", root=tmp_path)
    assert [each.folder for each in found] == [
        tmp_path / "out" / day / "cam" for day in ("mon", "tue")
    ]
    assert [each.name for each in found] == ["mon/cam", "tue/cam"]
    with pytest.raises(InputError, match="does not lie below --root"):
        assign_folders([tmp_path / "mon" / ".." / ".." / "cam.mcap"], tmp_path / "out", tmp_path)


def test_the_fingerprint_is_the_contents(bags: Path, tmp_path: Path):
    source = bags / "a.mcap"
    first = fingerprint(source)
    moved = tmp_path / "elsewhere" / "a.mcap"
    moved.parent.mkdir()
    shutil.copy(source, moved)
    assert fingerprint(moved) == first
    data = source.read_bytes()
    for changed in (b"!" + data[1:], data[:-1] + b"!", data + b"\0", data[:-1]):
        source.write_bytes(changed)
        assert fingerprint(source) != first
    folder = fingerprint(bags / "b")
    (bags / "b" / "b_1.db3").write_text("")
    assert fingerprint(bags / "b") != folder
    small = tmp_path / "small.mcap"
    small.write_bytes(b"")
    empty = fingerprint(small)
    small.write_bytes(b"1")
    assert fingerprint(small) != empty


def test_what_is_done_or_failed_is_left_alone(bags: Path, tmp_path: Path):
    a, b = recordings = assign_folders([bags / "a.mcap", bags / "b"], tmp_path / "out")
    assert plan(recordings, SETTINGS) == Plan([a, b], [], {})
    mark(a, DONE, frames=3)
    mark(b, FAILED, reason="no images")
    assert plan(recordings, SETTINGS) == Plan([], [a], {b: "no images"})
    assert plan(recordings, SETTINGS, retry_failed=True) == Plan([b], [a], {})
    assert plan(recordings, SETTINGS, redo=True) == Plan([a, b], [], {})


def test_a_changed_recording_is_processed_again(bags: Path, tmp_path: Path):
    a, b = recordings = assign_folders([bags / "a.mcap", bags / "b"], tmp_path / "out")
    mark(a, DONE)
    mark(b, FAILED, reason="cut off")
    a.source.write_bytes(b"another")
    (b.source / "b_0.db3").write_text("mended")
    assert plan(recordings, SETTINGS).to_do == [a, b]


def test_a_recording_that_is_gone_stays_done(bags: Path, tmp_path: Path):
    (a,) = recordings = assign_folders([bags / "a.mcap"], tmp_path / "out")
    mark(a, DONE)
    a.source.unlink()
    assert plan(recordings, SETTINGS).done == [a]


def test_other_settings_do_not_go_into_one_folder(bags: Path, tmp_path: Path):
    (a,) = recordings = assign_folders([bags / "a.mcap"], tmp_path / "out")
    other = {"weights": "w", "max_people": 3}
    mark(a, DONE)
    with pytest.raises(InputError, match="max_people 5, now 3"):
        plan(recordings, other)
    assert plan(recordings, other, redo=True).to_do == [a]
    # What failed leaves no results behind that would not fit.
    (a.folder / DONE).rename(a.folder / FAILED)
    assert plan(recordings, other).to_do == [a]


def test_results_of_another_recording_are_not_overwritten(bags: Path, tmp_path: Path):
    (a,) = assign_folders([bags / "a.mcap"], tmp_path / "out")
    mark(a, DONE)
    (tmp_path / "a.mcap").write_bytes(b"of another day")
    another = assign_folders([tmp_path / "a.mcap"], tmp_path / "out")
    with pytest.raises(InputError, match=r"holds the results of .*bags/a\.mcap"):
        plan(another, SETTINGS, redo=True)
    shutil.copy(a.source, tmp_path / "a.mcap")
    assert plan(another, SETTINGS).done == another  # only moved


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"source": 1}', "\x00"])
def test_a_mark_that_is_none_is_an_error(bags: Path, tmp_path: Path, content: str):
    (a,) = recordings = assign_folders([bags / "a.mcap"], tmp_path / "out")
    a.folder.mkdir(parents=True)
    (a.folder / DONE).write_text(content)
    with pytest.raises(InputError, match=r"done\.json is not what d3pose process writes"):
        plan(recordings, SETTINGS)


def test_an_attempt_begins_with_an_empty_folder(bags: Path, tmp_path: Path):
    (a,) = recordings = assign_folders([bags / "a.mcap"], tmp_path / "out")
    mark(a, DONE)
    (a.folder / "notes.txt").write_text("the user's own")
    for name in RESULTS:
        (a.folder / name).write_text("old")
    killed = atomic_path(a.folder / "people.npz")
    assert killed.__enter__().exists()  # and nothing takes it away
    record = Record(str(a.source), fingerprint(a.source), SETTINGS, {})
    assert not begin(a.folder, record)
    assert {path.name for path in a.folder.iterdir()} == {"notes.txt", STARTED}
    assert plan(recordings, SETTINGS).to_do == [a]
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="can't make room"):
        begin(tmp_path / "file" / "a", record)


def test_an_attempt_goes_on_from_one_like_it(bags: Path, tmp_path: Path, monkeypatch):
    (a,) = assign_folders([bags / "a.mcap"], tmp_path / "out")
    record = Record(str(a.source), fingerprint(a.source), SETTINGS, {})
    assert not begin(a.folder, record)
    (a.folder / "people.mcap").write_text("so far")
    mark(a, FAILED)
    assert begin(a.folder, record)
    assert (a.folder / "people.mcap").exists()
    assert not (a.folder / FAILED).exists()

    others = [replace(record, settings={**SETTINGS, "max_people": 3})]
    others += [replace(record, fingerprint="of what it was before")]
    for other in others:
        assert not begin(a.folder, other)
        assert not (a.folder / "people.mcap").exists()
        assert begin(a.folder, other)
    assert not begin(a.folder, others[-1], anew=True)
    monkeypatch.setattr("d3pose_core.recordings.package_version", lambda: "another")
    assert not begin(a.folder, others[-1])
