"""Pickles: arrays come through, anything that could run code does not."""

import os
import pickle
import resource
from collections import OrderedDict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

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


TYPES = ("?", "i1", ">i2", "<u4", "i8", "f2", ">f4", "f8", "c16", "S3", "U4")


@settings(derandomize=True, database=None, deadline=None)
@given(
    arrays(
        st.sampled_from([*map(np.dtype, TYPES), np.dtype([("a", "<i4"), ("b", ">f8", (2, 3))])]),
        array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3),
    ),
    st.integers(0, pickle.HIGHEST_PROTOCOL),
    st.booleans(),
)
def test_arrays_of_all_kinds_come_through(tmp_path_factory, array, protocol, is_fortran):
    path = tmp_path_factory.getbasetemp() / "array.pkl"
    sent = np.asfortranarray(array) if is_fortran else array
    path.write_bytes(pickle.dumps(sent, protocol))
    read = np.asarray(load_arrays(path))
    numpys = np.asarray(pickle.loads(path.read_bytes()))
    assert (read.dtype, read.shape) == (numpys.dtype, numpys.shape)
    if read.size:  # how an empty array would lie in memory, releases of numpy see differently
        assert read.strides == numpys.strides
    assert read.tobytes() == numpys.tobytes()
    path.write_bytes(pickle.dumps(array.ravel()[:1].tolist(), protocol))
    load_arrays(path)


@pytest.mark.parametrize(
    "pickled",
    [
        b"\x80\x02Nr\xff\xff\xff\x7f.",  # remembers something as object 2147483647
        b"cbuiltins\nbytearray\n(I99999999999\ntR.",
        b"cnumpy\nndarray\n((I99999999\nI99999\nttR.",
        b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7f.",  # 2^63 bytes to come
        b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\xff.",  # in a frame of 2^64
    ],
)
def test_a_few_bytes_do_not_take_all_memory(tmp_path, pickled):
    (tmp_path / "x.pkl").write_bytes(pickled)
    peak_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError):
        load_arrays(tmp_path / "x.pkl")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak_kb < 100_000


class Stated:
    """Pickles as a call and a state, of any kind."""

    def __init__(self, function, arguments, state):
        self.parts = function, arguments, state

    def __reduce__(self):
        return self.parts


EMPTY = np.zeros(0).__reduce__()[0]  # the function that pickles of arrays call


def array_of(kind, shape=(1,), data=bytes(8), is_fortran=False):
    return Stated(EMPTY, (np.ndarray, (0,), b"b"), (1, shape, kind, is_fortran, data))


def kind_of(state, code="f8"):
    return Stated(np.dtype, (code, False, True), state)


SOUND = (3, "<", None, None, None, -1, -1, 0)


@pytest.mark.parametrize(
    "state",
    [
        (),
        (3, "<"),
        (3, b"<<", None, None, None, -1, -1, 0),
        (3, "<", None, ("a",), None, 8, 1, 16),  # names without fields
        (3, "<", None, ("a", "b"), {"a": (kind_of(SOUND), 0)}, 8, 1, 16),
        (3, "<", None, ("a",), {"a": (kind_of(SOUND), 1 << 40)}, 8, 1, 16),  # outside
        (3, "<", None, ("a",), {"a": (kind_of(SOUND), -8)}, 8, 1, 16),
        (3, "<", None, ("a",), {"a": (3, 0)}, 8, 1, 16),
        (3, "<", None, ("a",), {"a": (kind_of(SOUND, "O8"), 0)}, 8, 1, 27),  # bytes as objects
        (3, "<", (kind_of(SOUND, "O8"), (1,)), None, None, 8, 1, 16),
        (3, "<", (3, 4), None, None, 8, 1, 16),
        (3, "<", None, ("a",), {"a": (kind_of(SOUND), 0)}, 1 << 60, 1, 16),
    ],
)
def test_types_that_numpy_would_trust(tmp_path, state):
    """numpy's own unpickling ends the process with some of these."""
    write_pickle(tmp_path / "x.pkl", array_of(kind_of(state)))
    with pytest.raises(InputError):
        load_arrays(tmp_path / "x.pkl")


@pytest.mark.parametrize(
    "array",
    [
        array_of(kind_of(SOUND), shape=(2,)),  # more than there is
        array_of(kind_of(SOUND), shape=(-1,)),
        array_of(kind_of(SOUND), shape=(1 << 62, 4)),
        array_of(kind_of(SOUND), shape=3),
        array_of(kind_of((3, "|", None, None, None, -1, -1, 63), "O8")),  # bytes as objects
        array_of(kind_of((3, "|", None, None, None, -1, -1, 63), "O8"), data=[1, 2]),
        array_of(3),
    ],
)
def test_arrays_that_are_none(tmp_path, array):
    write_pickle(tmp_path / "x.pkl", array)
    with pytest.raises(InputError):
        load_arrays(tmp_path / "x.pkl")


@pytest.mark.parametrize("name", [b"cnumpy\ndtype\n", b"cbuiltins\nlist\n", b"c_codecs\nencode\n"])
def test_what_is_called_can_not_be_changed(tmp_path, name):
    """The last step sets an attribute of the function itself, for whoever reads the next file."""
    changes = b"(N}(S'_make'\nI1\nS'__call__'\nI1\nut"  # no __dict__, these attributes
    (tmp_path / "x.pkl").write_bytes(name + changes + b"b.")
    with pytest.raises(InputError):
        load_arrays(tmp_path / "x.pkl")
    write_pickle(tmp_path / "sound.pkl", CONTENT)
    check(load_arrays(tmp_path / "sound.pkl"))
