"""Which landmark network runs: by name, and the best that is there."""

import numpy as np
import pytest

from d3pose_core import model_files
from d3pose_core.cli.main import main
from d3pose_core.errors import InputError, ModelFileMissing
from d3pose_core.landmark_models import (
    BEST,
    BOTH_WAYS,
    FULL,
    HEAVY,
    LANDMARK_FILES,
    LANDMARKS,
    landmark_file,
    looks_both_ways,
    resolve,
)
from d3pose_core.observe.blazepose import BlazePoseLandmarker
from d3pose_core.observe.observation import Roi
from d3pose_core.recovery import MeshRecovery
from d3pose_core.video import ClipReader
from test.helpers.model_cache import link_needed_files


def test_best_is_heavy_only_where_it_is_whole(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("D3POSE_CACHE", str(tmp_path))
    assert resolve(BEST) == FULL + BOTH_WAYS
    assert not caplog.records
    (tmp_path / LANDMARK_FILES[HEAVY]).write_bytes(b"cut off")
    assert resolve(BEST) == FULL + BOTH_WAYS
    assert "damaged" in caplog.text
    monkeypatch.setattr(model_files, "state", lambda entry: "ok")
    assert resolve(BEST) == HEAVY + BOTH_WAYS
    assert all(resolve(name) == name for name in LANDMARKS)


def test_names_say_which_file_and_how_often_it_looks(tmp_path):
    assert LANDMARKS == ("full", "full-both-ways", "heavy", "heavy-both-ways")
    for name in LANDMARKS:
        assert landmark_file(name) == LANDMARK_FILES[HEAVY if "heavy" in name else FULL]
        assert looks_both_ways(name) == ("both" in name)
    own = tmp_path / "lite-both-ways.tflite"
    assert landmark_file(own) == own
    assert not looks_both_ways(own)


def test_other_names_are_told_the_known_ones():
    with pytest.raises(InputError, match=r"full, full-both-ways, heavy, .* got 'lite'"):
        landmark_file("lite")
    with pytest.raises(InputError, match=r"full, full-both-ways, heavy, .* got 'lite'"):
        MeshRecovery.from_pretrained(landmarks="lite")


def test_heavy_that_was_not_fetched_names_the_command(tmp_path, monkeypatch):
    monkeypatch.setenv("D3POSE_CACHE", str(link_needed_files(tmp_path / "cache")))
    with pytest.raises(ModelFileMissing, match=r"d3pose models fetch pose_landmark_heavy\.tflite"):
        MeshRecovery.from_pretrained(landmarks=HEAVY)


@pytest.mark.parametrize("command", ["video", "process"])
def test_commands_say_so_and_record_nothing(tmp_path, monkeypatch, capsys, command):
    clip = model_files.model_path("demo.mp4")
    monkeypatch.setenv("D3POSE_CACHE", str(link_needed_files(tmp_path / "cache")))
    out = tmp_path / "out"
    arguments = [command, str(clip), "--out", str(out), "--landmarks", HEAVY, "--max-frames", "1"]
    assert main(arguments) == 2
    assert "d3pose models fetch pose_landmark_heavy.tflite" in capsys.readouterr().err
    assert not [path for path in out.rglob("*") if path.is_file()]


@pytest.fixture
def needs_heavy():
    if model_files.state(model_files.find(LANDMARK_FILES[HEAVY])) != "ok":
        pytest.skip("NOT TESTED: the heavy landmark network could not be fetched (it needs npm)")


def test_both_networks_see_the_same_man(needs_heavy):
    """Same outputs, same meaning: the image's points agree to 3 % of his height, the metric ones to 15 cm."""
    clip = ClipReader(model_files.model_path("demo.mp4"), max_frames=21)
    image = [frame.image for frame in clip][20]
    roi = Roi(np.array([639.0, 269.0], np.float32), 540.0, 0.0)
    full, heavy = (BlazePoseLandmarker(name)(image, roi) for name in (FULL, HEAVY))
    assert heavy.score > 0.9
    apart = np.linalg.norm(full.keypoints - heavy.keypoints, axis=1)
    assert 0 < np.median(apart) < 0.03 * np.ptp(full.keypoints[:, 1])
    apart = np.linalg.norm(full.landmarks - heavy.landmarks, axis=1)
    assert 0 < np.median(apart) < 0.15


def test_the_pipeline_runs_the_network_that_was_asked_for(needs_heavy):
    quick, exact = (MeshRecovery.from_pretrained(landmarks=name) for name in (FULL, HEAVY))
    sizes = [len(recovery.observer._landmarker.content) for recovery in (quick, exact)]
    assert sizes[1] > 3 * sizes[0]
