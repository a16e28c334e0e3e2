"""Official datasets, one of whose files is damaged."""

from __future__ import annotations

import shutil
from functools import lru_cache
from pathlib import Path

from d3pose_core.body import load_body
from d3pose_core.data.datasets import human36m, open_dataset
from fuzz.folder import folder
from fuzz.target import MOST_BYTES, Target
from test.helpers import dataset_fixtures as fixtures

_LARGEST = MOST_BYTES - 2


_SPLITS = {"3dpw": "test", "human36m": "test", "mpi-inf-3dhp": "train"}


@lru_cache(maxsize=1)
def _datasets() -> list[tuple[str, Path, list[Path]]]:
    """Name, folder and files of small ones."""
    found = []
    for name in ("3dpw", "human36m", "emdb", "amass", "mpi-inf-3dhp", "aist", "bedlam"):
        root = folder() / name
        shutil.rmtree(root, ignore_errors=True)
        if name == "amass":
            fixtures.write_amass(root / "CMU" / "01" / "01_01_poses.npz")
        else:
            write = {"mpi-inf-3dhp": "write_3dhp"}.get(name, f"write_{name}")
            getattr(fixtures, write)(root)
        files = [each for each in sorted(root.rglob("*")) if each.is_file()]
        found.append((name, root, [each for each in files if each.stat().st_size < _LARGEST]))
    return found


def seeds() -> list[bytes]:
    """The number of the dataset, that of its file, and the file."""
    return [
        bytes([number, index]) + file.read_bytes()
        for number, (_, _, files) in enumerate(_datasets())
        for index, file in enumerate(files)
    ]


def run(data: bytes) -> None:
    number, index = data[:2].ljust(2, b"\0")
    name, root, files = _datasets()[number % len(_datasets())]
    file = files[index % len(files)]
    sound = file.read_bytes()
    human36m._read.cache_clear()
    try:
        file.write_bytes(data[2:])
        split = _SPLITS.get(name, "all")
        dataset = open_dataset(name, root, split, _bodies)
        for sequence in list(dataset.names)[:2]:
            dataset.load(sequence)
    finally:
        file.write_bytes(sound)


def _bodies(gender: str):
    return load_body("free-low")


TARGET = Target(
    seeds,
    run,
    (
        *(b"null", b"[]", b"{}", b"1e999", b"-1", b'"x"', b"../../../etc/passwd", b"/etc/passwd"),
        *(b"NaN", b"cos\nsystem\n", b"cnumpy\nndarray\n", b"PK\3\4", b"\x93NUMPY", b"'|O'"),
    ),
    max_length=MOST_BYTES,
)
