"""Pickles and .npz files of datasets, read without running what they hold.

Unpickling calls whatever functions a file names. Here a file may name only those that rebuild numpy arrays
and plain containers; with anything else it is refused.
"""

from __future__ import annotations

import codecs
import collections
import io
import pickle
import pickletools
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, NoReturn

import numpy as np

from d3pose_core.array_file import check_size
from d3pose_core.data.datasets import pickled_arrays
from d3pose_core.errors import InputError


def _encode(text: str, encoding: str = "latin1") -> bytes:
    """How pickles of protocol 2 write bytes; other codecs could do more than that."""
    if encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"codec {encoding!r} in a pickle")
    return codecs.encode(text, "latin1")


class Maker:
    """What a pickle may call, so that it can do nothing else with it: a pickle can set attributes, too."""

    __slots__ = ("_make",)
    _make: Callable[..., Any]

    def __init__(self, make: Callable[..., Any]) -> None:
        object.__setattr__(self, "_make", make)

    def __call__(self, *given: Any) -> Any:
        return self._make(*given)

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise pickle.UnpicklingError(f"it sets {name} of what it calls")


def _plain(kind: type) -> Maker:
    """`kind` made of what pickles give: a container's contents or a text, never a size to be filled."""

    def make(*given: Any) -> Any:
        if kind in (bytes, bytearray) and any(isinstance(each, int) for each in given):
            raise pickle.UnpicklingError(f"{kind.__name__} of a size")
        return kind(*given)

    return Maker(make)


_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): pickled_arrays.ARRAY_NAME,
    ("numpy", "dtype"): Maker(pickled_arrays.PickledType),
    ("_codecs", "encode"): Maker(_encode),
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("__builtin__", "unicode"): _plain(str),
}
for _kind in (bool, int, float, complex, str, bytes, bytearray, list, tuple, dict, set, frozenset):
    for _module in ("builtins", "__builtin__"):  # the second is what protocols of Python 2 say
        _ALLOWED[_module, _kind.__name__] = _plain(_kind)
for _package in ("numpy.core", "numpy._core"):
    _ALLOWED[f"{_package}.multiarray", "_reconstruct"] = Maker(pickled_arrays.reconstruct)
    _ALLOWED[f"{_package}.multiarray", "scalar"] = Maker(pickled_arrays.scalar)
    _ALLOWED[f"{_package}.numeric", "_frombuffer"] = Maker(pickled_arrays.from_buffer)


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
        return _unpickled(path.read_bytes())
    except (pickle.UnpicklingError, EOFError, AttributeError, ImportError) as error:
        raise InputError(
            f"{path} is refused: {error}. Only pickles of numpy arrays and plain containers are read, "
            "because a pickle can run any code; download the file again from the dataset's own site"
        ) from error
    except Exception as error:  # a damaged one may put anything into numpy's hands
        raise InputError(
            f"{path} can't be read: {error!r}; download the file again from the dataset's own site"
        ) from error


def _unpickled(data: bytes) -> Any:
    """Raises UnpicklingError, or whatever a damaged pickle leads to."""
    # The unpickler's memory is as long as the largest number a pickle gives to an object: ten bytes can ask
    # for 17 GB. Picklers count from 0, once for each object.
    for number, (operation, argument, _) in enumerate(pickletools.genops(data)):
        puts = operation.name in ("PUT", "BINPUT", "LONG_BINPUT")
        if puts and (argument is None or argument > number):
            raise pickle.UnpicklingError(f"it remembers an object as number {argument}")
    return _Unpickler(io.BytesIO(data), encoding="latin1").load()


class Npz(Mapping[str, np.ndarray]):
    """The arrays of an .npz, each read when it is asked for, so that those nobody needs may be anything.

    Object arrays, which numpy writes as pickles, are read with the restrictions of `load_arrays`.

    Raises:
        InputError: not an .npz, or (when an entry is asked for) damaged or more than plain arrays.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            with zipfile.ZipFile(path) as archive:
                self._names = [n.removesuffix(".npy") for n in archive.namelist()]
        except (zipfile.BadZipFile, OSError) as error:
            raise self._damaged(error) from error

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._names:
            raise KeyError(name)
        try:
            with zipfile.ZipFile(self._path) as archive:
                check_size(self._path, archive, [name])
                with archive.open(f"{name}.npy") as file:
                    return _read_npy(file)
        except InputError:
            raise
        except pickle.UnpicklingError as error:
            raise InputError(
                f"{self._path}: {name} is refused: {error}. Only arrays and plain containers are read, "
                "because a pickle can run any code"
            ) from error
        except Exception as error:  # zipfile's, zlib's, numpy's: whatever they come upon
            raise self._damaged(error) from error

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def _damaged(self, error: Exception) -> InputError:
        return InputError(f"{self._path} is no .npz of arrays: {error}; download it again")


def _read_npy(file: IO[bytes]) -> np.ndarray:
    """One array; of objects through the restricted unpickler."""
    content = io.BytesIO(file.read())
    version = np.lib.format.read_magic(content)
    reader = np.lib.format.read_array_header_1_0
    if version != (1, 0):
        reader = np.lib.format.read_array_header_2_0
    shape, _, dtype = reader(content)
    if dtype.hasobject:
        return _unpickled(content.read()).reshape(shape)
    content.seek(0)
    return np.lib.format.read_array(content, allow_pickle=False)
