"""Pickles of datasets, read without running what they hold.

Unpickling calls whatever functions a file names. Here a file may name only those that rebuild numpy arrays
and plain containers; with anything else it is refused.
"""

from __future__ import annotations

import codecs
import collections
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from d3pose_core.errors import InputError

try:
    from numpy._core import multiarray, numeric  # numpy 2
except ImportError:  # pragma: no cover - numpy 1
    from numpy.core import multiarray, numeric  # type: ignore[no-redef]


def _encode(text: str, encoding: str = "latin1") -> bytes:
    """How pickles of protocol 2 write bytes; other codecs could do more than that."""
    if encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"codec {encoding!r} in a pickle")
    return codecs.encode(text, "latin1")


_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): _encode,
    ("collections", "OrderedDict"): collections.OrderedDict,
}
for _kind in (bool, int, float, complex, str, bytes, bytearray, list, tuple, dict, set, frozenset):
    _ALLOWED["builtins", _kind.__name__] = _kind
for _package in ("numpy.core", "numpy._core"):
    _ALLOWED[f"{_package}.multiarray", "_reconstruct"] = multiarray._reconstruct
    _ALLOWED[f"{_package}.multiarray", "scalar"] = multiarray.scalar
    _ALLOWED[f"{_package}.numeric", "_frombuffer"] = numeric._frombuffer  # type: ignore[attr-defined]


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}") from None


def load_arrays(path: Path) -> Any:
    """Numpy arrays, numbers, strings and containers of them; written by Python 2 or 3.

    Raises:
        InputError: not a pickle, a damaged one, or one that asks for anything else.
    """
    try:
        with path.open("rb") as file:
            return _Unpickler(file, encoding="latin1").load()
    except (pickle.UnpicklingError, EOFError, AttributeError, ImportError) as error:
        raise InputError(
            f"{path} is refused: {error}. Only pickles of numpy arrays and plain containers are read, "
            "because a pickle can run any code; download the file again from the dataset's own site"
        ) from error
    except (ValueError, TypeError, IndexError, KeyError, OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path} can't be read: {error!r}; download the file again from the dataset's own site"
        ) from error
