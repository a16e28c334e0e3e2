"""Files of arrays (.npz), from anybody: no pickles, no surprise of another kind, no memory without bound."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from os.path import isfile  # False for names that the system refuses, too
from pathlib import Path

import numpy as np

from d3pose_core.errors import InputError

# Compressed data may unpack to a thousand times its size. What people record shrinks to a half, or to a tenth
# where little happens; small files may be anything.
MOST_UNPACKED, MOST_RATIO = 1 << 26, 50


def read_arrays(path: Path, names: Iterable[str] | None = None) -> dict[str, np.ndarray]:
    """The arrays of an .npz file by name.

    Args:
        names: only these, all of which must be there; None: all there are.

    Raises:
        InputError: no such file, one that is none or is damaged, arrays of objects (which are pickles), or
            far more data than a file of its size may hold.
    """
    if not isfile(path):
        raise InputError(f"no such file: {path}")
    try:
        # A single array, of which np.load makes no mapping, has no file list either.
        with np.load(path, allow_pickle=False) as file:
            wanted = list(file.files if names is None else names)
            missing = [name for name in wanted if name not in file.files]
            if missing:
                raise InputError(
                    f"{path} lacks {', '.join(missing)}; it has {', '.join(file.files)}"
                )
            check_size(path, file.zip, wanted)
            arrays = {name: file[name] for name in wanted}
    except InputError:
        raise
    except Exception as error:  # zipfile's, zlib's, tokenize's, numpy's: whatever they come upon
        raise InputError(
            f"{path} is not an .npz file of arrays, or is damaged: {type(error).__name__}: {error}"
        ) from error
    # Members that do not begin as arrays do come as bytes.
    others = [name for name, array in arrays.items() if not isinstance(array, np.ndarray)]
    if others:
        raise InputError(f"{path} is not an .npz file of arrays: {', '.join(others)} is none")
    return arrays


def check_size(path: Path, archive: zipfile.ZipFile, wanted: list[str]) -> None:
    """By what the archive says; zipfile reads no more than that of any member. Raises InputError."""
    members = {name.removesuffix(".npy") for name in wanted}
    sizes = [i.file_size for i in archive.infolist() if i.filename.removesuffix(".npy") in members]
    most = MOST_UNPACKED + MOST_RATIO * path.stat().st_size
    if sum(sizes) > most:
        raise InputError(
            f"{path} has {path.stat().st_size} bytes and would unpack to {sum(sizes)}: more than the {most} "
            "that a file of its size may; it is damaged, or made to fill the memory"
        )
