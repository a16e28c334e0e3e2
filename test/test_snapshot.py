"""Values in a file and back; and what a file can't make us do."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from d3pose_core.errors import InputError
from d3pose_core.model.d3pose import D3Pose
from d3pose_core.model.timeline import Timeline
from d3pose_core.observe.observation import Roi
from d3pose_core.smoothing import OneEuroFilter
from d3pose_core.snapshot import NotKept, load_snapshot, save_snapshot
from test.helpers.networks import SMALL


def kept(tmp_path: Path, value: Any) -> Any:
    save_snapshot(tmp_path / "value.npz", value)
    return load_snapshot(tmp_path / "value.npz")


@pytest.mark.parametrize(
    "value",
    [
        *(None, True, 3, -(10**30), 0.1, math.inf, "text \N{SNOWMAN}", [], (), {}, {1, 2}),
        {"a": [1, (2.5, None)], 7: {"b": "c"}, (1, 2): 3},
    ],
)
def test_plain_values(tmp_path: Path, value: Any) -> None:
    back = kept(tmp_path, value)
    assert back == value
    assert type(back) is type(value)


def test_arrays_and_tensors_to_the_last_bit(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    values = [
        rng.normal(size=(3, 2)),
        rng.normal(size=5).astype(np.float32)[::2],
        np.array([True, False]),
        np.zeros((0, 4), np.int16),
        np.float32(0.1),
        np.array(["a", "bc"]),
    ]
    for value, back in zip(values, kept(tmp_path, values), strict=True):
        assert back.dtype == value.dtype
        np.testing.assert_array_equal(back, value)
    tensor = torch.randn(2, 3)
    back = kept(tmp_path, {"x": tensor, "nan": math.nan})
    assert torch.equal(back["x"], tensor)
    assert math.isnan(back["nan"])


def test_objects_of_ours(tmp_path: Path) -> None:
    smooth = OneEuroFilter(1.0, 4.0)
    for step in range(5):
        smooth(step**2, step / 30)
    roi = Roi(np.array([1.0, 2.0]), 30.0, 0.1)  # frozen
    timeline = Timeline.empty(1, 3, 2, torch.device("cpu"))
    back_filter, back_roi, back_timeline = kept(tmp_path, (smooth, roi, timeline))
    assert back_filter(1.0, 1.0) == smooth(1.0, 1.0)
    assert (back_roi.size, back_roi.center.tolist()) == (30.0, [1.0, 2.0])
    assert torch.equal(back_timeline.seen, timeline.seen)


def test_one_object_in_two_places_stays_one(tmp_path: Path) -> None:
    roi = Roi(np.zeros(2), 1.0, 0.0)
    back = kept(tmp_path, {"a": [roi], "b": {3: roi}})
    assert back["a"][0] is back["b"][3]


@pytest.mark.parametrize("value", [torch.nn.Linear(1, 1), lambda: None, Path("x"), object, 1j])
def test_what_can_not_be_kept(tmp_path: Path, value: Any) -> None:
    with pytest.raises(NotKept, match="can't be kept in a file"):
        save_snapshot(tmp_path / "value.npz", {"x": [value]})
    assert not (tmp_path / "value.npz").exists()


def write(path: Path, nodes: list, value: Any = [0]) -> None:  # noqa: B006
    text = json.dumps({"value": value, "nodes": nodes})
    np.savez(path, structure=np.frombuffer(text.encode(), np.uint8))


@pytest.mark.parametrize(
    "name",
    [
        "subprocess:Popen",
        "builtins:list",
        "d3pose_core.model_files:subprocess",
        "d3pose_core.recovery:MeshRecovery",
        "d3pose_core.recording:np",
        "d3pose_core_evil:X",
        "d3pose_core.nothing:X",
    ],
)
def test_a_file_makes_no_other_objects(tmp_path: Path, name: str) -> None:
    write(tmp_path / "bad.npz", [["object", name, {}]])
    with pytest.raises((InputError, ImportError)):
        load_snapshot(tmp_path / "bad.npz")


@pytest.mark.parametrize(
    "nodes", [[], [["array", 3]], [["what", []]], [["tuple", [[0]]]], [["dict", [[[0], 1]]]], [[]]]
)
def test_a_damaged_file_is_refused(tmp_path: Path, nodes: list) -> None:
    write(tmp_path / "bad.npz", nodes)
    with pytest.raises(InputError, match=r"bad\.npz is damaged"):
        load_snapshot(tmp_path / "bad.npz")


def test_a_state_of_another_version_is_refused(tmp_path: Path) -> None:
    """Such as one from before the network carried corrections."""
    state = D3Pose(SMALL).initial_state(1)
    del state.carried
    save_snapshot(tmp_path / "old.npz", state)
    with pytest.raises(InputError, match=r"another version.*carried"):
        load_snapshot(tmp_path / "old.npz")
