"""Pickles: arrays come through, anything that could run code does not."""

import os
import pickle
from collections import OrderedDict

import numpy as np
import pytest

from d3pose_core.data.datasets.restricted_pickle import load_arrays
from d3pose_core.errors import InputError
from test.helpers.dataset_fixtures import write_pickle, write_python2_pickle

CONTENT = {
    "floats": np.arange(6.0).reshape(2, 3),
    "fortran": np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)),
    "flags": np.array([True, False]),
    "empty": np.zeros((0, 3)),
    "byte_string": b"abc",
    "list": [np.zeros(3), "text", 1, 2.5, None],
    "nested": {"scalar": np.float64(3.5)},
    "objects": np.array([np.zeros(2), "x"], dtype=object),
}


def check(read):
    np.testing.assert_array_equal(read["floats"], CONTENT["floats"])
    np.testing.assert_array_equal(read["fortran"], CONTENT["fortran"])
    np.testing.assert_array_equal(read["flags"], CONTENT["flags"])
    assert read["empty"].shape == (0, 3)
    assert read["byte_string"] in (b"abc", "abc")  # Python 2 has one kind of string
    assert read["list"][1:] == ["text", 1, 2.5, None]
    assert read["nested"]["scalar"] == 3.5
    assert read["objects"][1] == "x"


@pytest.mark.parametrize("protocol", [0, 2, 3, 4, 5])
def test_arrays_and_containers_of_python_3(tmp_path, protocol):
    path = tmp_path / "x.pkl"
    path.write_bytes(pickle.dumps(OrderedDict(CONTENT), protocol=protocol))
    check(load_arrays(path))


def test_arrays_and_containers_of_python_2(tmp_path):
    path = tmp_path / "x.pkl"
    write_python2_pickle(path, CONTENT)
    assert b"numpy.core.multiarray" in path.read_bytes()
    assert b"_codecs" not in path.read_bytes()
    check(load_arrays(path))


class Evil:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    "evil",
    [
        Evil(os.system, "touch pwned"),
        Evil(eval, "1"),
        Evil(getattr, "text", "upper"),
        Evil(np.load, "x.npy"),
        Evil(__import__, "os"),
        Evil(pickle.loads, b"N."),
    ],
)
def test_whatever_calls_functions_is_refused(tmp_path, evil, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "x.pkl"
    write_pickle(path, {"poses": [evil]})
    with pytest.raises(InputError, match="refused"):
        load_arrays(path)
    assert not (tmp_path / "pwned").exists()


def test_damaged_files_are_errors(tmp_path):
    path = tmp_path / "x.pkl"
    write_pickle(path, CONTENT)
    whole = path.read_bytes()
    for damaged in (b"", b"not a pickle", whole[: len(whole) // 2]):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=r"x\.pkl"):
            load_arrays(path)
