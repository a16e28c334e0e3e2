"""Pickles of datasets: read as arrays and containers, or refused; what they name is never called."""

from __future__ import annotations

import pickle
from collections import OrderedDict

import numpy as np

from d3pose_core.data.datasets.pickled_arrays import ARRAY_NAME, PickledType
from d3pose_core.data.datasets.restricted_pickle import Maker, load_arrays
from fuzz.folder import written
from fuzz.target import Target

_PLAIN = (
    *(bool, int, float, complex, str, bytes, bytearray, list, tuple, dict, set, frozenset),
    *(np.ndarray, np.generic, type(None)),
    *(PickledType, Maker),  # named and not used: nobody can do anything with these
)
_NAMES = (ARRAY_NAME, OrderedDict)


def seeds() -> list[bytes]:
    content = OrderedDict(
        poses=[np.zeros((2, 72)), np.ones((2, 72), np.float32)],
        genders=["m", b"f"],
        flag=np.bool_(True),
        count=np.int64(3),
        names=np.array(["a", "bc"]),
        nested={"set": {1, 2}, "frozen": frozenset("x"), "complex": 1j, "array": bytearray(b"x")},
        rows=np.array([(1, 2.0)], [("a", "i4"), ("b", "f8")]),
    )
    seeds = [pickle.dumps(content, protocol) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)]
    objects = np.empty(2, object)
    objects[:] = [np.zeros(3), "x"]
    inner = np.zeros(2, [("a", "i4", (2, 3))])
    fortran = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    return [
        *seeds,
        *(pickle.dumps(each) for each in (objects, inner, fortran, np.datetime64(3, "s"))),
    ]


def run(data: bytes) -> None:
    loaded = load_arrays(written("file.pkl", data))
    seen: set[int] = set()
    waiting = [loaded]
    while waiting and len(seen) < 10_000:
        each = waiting.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        assert isinstance(each, _PLAIN) or each in _NAMES, type(each)
        if isinstance(each, dict):
            waiting += [*each.keys(), *each.values()]
        elif isinstance(each, list | tuple | set | frozenset):
            waiting += list(each)
        elif isinstance(each, np.ndarray) and each.dtype == object and each.size < 1000:
            waiting += each.ravel().tolist()


TARGET = Target(
    seeds,
    run,
    (
        *(b"cos\nsystem\n", b"c__builtin__\neval\n", b"cbuiltins\ngetattr\n"),
        *(b"cbuiltins\nbytearray\n", b"cnumpy\nndarray\n", b"cnumpy\ndtype\n"),
        *(b"cnumpy.core.multiarray\n_reconstruct\n", b"cnumpy._core.multiarray\nscalar\n"),
        *(b"c_codecs\nencode\n", b"R", b"\x81", b"b", b"\x85", b"(", b"t", b".", b"O", b"|O8"),
        *(b"I999999999999\n", b"L99999999999999999999L\n", b"\x8a\x08" + b"\xff" * 7 + b"\x7f"),
    ),
    weight=2,
)
