"""What pickles of numpy arrays call, without numpy's own: it trusts what a pickle says and can crash by it.

A pickle makes an empty array or type first and then gives it a state. Each part of a state is checked here
before numpy sees it, and types are put together by numpy's public constructor.
"""

from __future__ import annotations

import math
import pickle
import re
from typing import Any, cast

import numpy as np

_CODE = re.compile(r"[biufc?]\d{0,2}|[SUV]\d{1,6}|O\d?")
_ORDERS = ("<", ">", "|", "=")
_MOST_FIELDS = 1000


def _refuse(what: str) -> pickle.UnpicklingError:
    return pickle.UnpicklingError(f"{what} of no array that numpy writes")


class PickledType:
    """Stands for `numpy.dtype`: called as pickles call it, then given its state."""

    def __init__(self, code: Any, *_: Any) -> None:
        if not isinstance(code, str) or _CODE.fullmatch(code) is None:
            raise _refuse(f"the type {code!r}")
        self.dtype = np.dtype(code)

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) < 8:
            raise _refuse("the state of a type")
        _, order, inner, names, fields, size = state[:6]
        if order not in _ORDERS:
            raise _refuse(f"the byte order {order!r}")
        if inner is not None:
            base, shape = inner if isinstance(inner, tuple) and len(inner) == 2 else (None, None)
            self.dtype = np.dtype(
                (_plain(base), _shape(shape if isinstance(shape, tuple) else (shape,)))
            )
        elif names is not None:
            self.dtype = _record(names, fields, size)
        elif self.dtype != object:
            self.dtype = self.dtype.newbyteorder(order)


def _plain(kind: Any) -> np.dtype:
    """The type of values that are no objects."""
    if not isinstance(kind, PickledType) or kind.dtype.hasobject:
        raise _refuse("the type of values")
    return kind.dtype


def _record(names: Any, fields: Any, size: Any) -> np.dtype:
    """A type with named fields."""
    if not (isinstance(names, tuple) and isinstance(fields, dict) and len(names) < _MOST_FIELDS):
        raise _refuse("the fields of a type")
    formats, offsets = [], []
    for name in names:
        entry = fields.get(name)
        if not (isinstance(name, str) and isinstance(entry, tuple) and len(entry) >= 2):
            raise _refuse(f"the field {name!r}")
        if type(entry[1]) is not int:
            raise _refuse(f"the place of the field {name!r}")
        formats.append(_plain(entry[0]))
        offsets.append(entry[1])
    if type(size) is not int or not 0 <= size < 1 << 20:
        raise _refuse(f"the size {size!r} of a type")
    return np.dtype(
        {"names": list(names), "formats": formats, "offsets": offsets, "itemsize": size}
    )


def _shape(shape: Any) -> tuple[int, ...]:
    whole = isinstance(shape, tuple) and all(type(n) is int and n >= 0 for n in shape)
    if not whole or len(shape) > 16 or math.prod(max(n, 1) for n in shape) >= 1 << 40:
        raise _refuse(f"the shape {shape!r}")
    return shape


def _from_bytes(data: Any, dtype: np.dtype, shape: Any, is_fortran: bool) -> np.ndarray:
    """A copy, which can be written to. Raises UnpicklingError unless there are as many bytes as it takes."""
    if isinstance(data, str):
        data = data.encode("latin1")  # as Python 2 wrote bytes
    if isinstance(data, pickle.PickleBuffer):
        data = bytes(data)
    if not isinstance(data, bytes | bytearray):
        raise _refuse("the values")
    if len(data) != math.prod(_shape(shape)) * dtype.itemsize:
        raise _refuse(f"{len(data)} bytes of {dtype} in the shape {shape}")
    if dtype.itemsize == 0:
        return np.zeros(shape, dtype)
    values = np.frombuffer(bytes(data), dtype)
    return values.reshape(shape, order="F" if is_fortran else "C").copy("K")


class PickledArray(np.ndarray):
    """Stands for `numpy.ndarray`, empty until it is given its state."""

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) != 5:
            raise _refuse("the state")
        _, shape, kind, is_fortran, data = state
        if not isinstance(kind, PickledType):
            raise _refuse("the type")
        is_fortran = bool(is_fortran)
        if kind.dtype == object:
            values = _objects(data, shape, is_fortran)
        else:
            values = _from_bytes(data, _plain(kind), shape, is_fortran)
        # A sound array's own state.
        super().__setstate__(cast(Any, values.__reduce__()[2]))


def _objects(data: Any, shape: Any, is_fortran: bool) -> np.ndarray:
    if not isinstance(data, list) or len(data) != math.prod(_shape(shape)):
        raise _refuse("the objects")
    values = np.empty(len(data), object)
    for index, each in enumerate(data):
        values[index] = each
    return values.reshape(shape, order="F" if is_fortran else "C")


# What the name `numpy.ndarray` means in a pickle: nothing that can be called, or changed.
ARRAY_NAME = object()


def reconstruct(kind: Any, shape: Any, code: Any) -> PickledArray:
    """As `numpy.core.multiarray._reconstruct`, of which pickles begin with one empty array."""
    if kind is not ARRAY_NAME or tuple(shape) != (0,):
        raise _refuse(f"the beginning {shape!r}")
    return np.empty(0).view(PickledArray)


def scalar(kind: Any, data: Any) -> Any:
    """As `numpy.core.multiarray.scalar`: one value."""
    return _from_bytes(data, _plain(kind), (), False)[()]


def from_buffer(data: Any, kind: Any, shape: Any, order: Any, *_: Any) -> np.ndarray:
    """As `numpy.core.numeric._frombuffer`: how protocol 5 holds arrays."""
    return _from_bytes(data, _plain(kind), shape, order == "F")
