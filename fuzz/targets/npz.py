"""Files of arrays: people, references, observations and motions; the archive mended or as it comes."""

from __future__ import annotations

import io
import struct
import zipfile
from functools import lru_cache

import numpy as np

from d3pose_core.camera import Intrinsics
from d3pose_core.data.motions import MotionLibrary
from d3pose_core.data.observation_cache import ObservationCache
from d3pose_core.evaluation.tracks import load_tracks
from d3pose_core.observe.observation import PersonObservation
from d3pose_core.recording import COLUMNS, PeopleTable
from fuzz.fields import Fields, text
from fuzz.folder import folder, written
from fuzz.target import Target

_MOST_MEMBERS = 40
_MENDED = 128  # a bit of the first byte


def seeds() -> list[bytes]:
    """Each kind twice: as an archive, and as members that are put into one."""
    people = _people()
    inputs = []
    for kind, archive in enumerate((people, people, _observations(), _motions())):
        inputs.append(bytes([kind]) + archive)
        inputs.append(bytes([kind | _MENDED]) + _as_members(archive))
    return inputs


def _people() -> bytes:
    columns = {name: np.zeros((2, *shape), dtype) for name, (shape, dtype) in COLUMNS.items()}
    columns["track_id"] = np.arange(2)
    table = PeopleTable(**columns, intrinsics=Intrinsics.from_hfov(60, 64, 48))
    table.save(folder() / "people.npz")
    return (folder() / "people.npz").read_bytes()


def _observations() -> bytes:
    person = PersonObservation(
        track_id=0,
        keypoints=np.zeros((33, 2), np.float32),
        depth_hint=np.zeros(33, np.float32),
        landmarks=np.zeros((33, 3), np.float32),
        visibility=np.zeros(33, np.float32),
        presence=np.zeros(33, np.float32),
        certainty=np.zeros(33, np.float32),
        score=0.5,
        box=np.zeros(4, np.float32),
    )
    _cache().save("s", [[person], []])
    return _cache().path("s").read_bytes()


def _motions() -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        pose_i16=np.zeros((12, 72), np.int16),
        pose_scale=np.float32(1e-4),
        root=np.zeros((12, 3), np.float32),
        start=np.array([0, 12]),
        name=np.array(["a"]),
        split=np.array(["train"]),
        label=np.array(["walk"]),
        skel_J=np.linspace(0, 1, 72, dtype=np.float32).reshape(24, 3),
    )
    return buffer.getvalue()


def _as_members(archive: bytes) -> bytes:
    parts = []
    with zipfile.ZipFile(io.BytesIO(archive)) as file:
        for name in file.namelist():
            content = file.read(name)[:3000]
            parts.append(text(name) + struct.pack("<H", len(content)) + content)
    return b"".join(parts)


def _archive(fields: Fields) -> bytes:
    """Members as the input has them, with checksums that are right."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for _ in range(_MOST_MEMBERS):
            if not fields.left:
                break
            name = fields.text().replace("\0", "") or "x"
            content = fields.bytes(fields.number("<H"))
            if name not in file.namelist():
                file.writestr(name, content)
    return buffer.getvalue()


@lru_cache(maxsize=1)
def _cache() -> ObservationCache:
    return ObservationCache(folder(), "x", "y", "z")


def run(data: bytes) -> None:
    fields = Fields(data)
    kind = fields.number()
    path = written("file.npz", _archive(fields) if kind & _MENDED else fields.rest())
    if kind % 4 == 0:
        table = PeopleTable.load(path)
        assert set(table.rows_by_frame()) == set(table.frame.tolist())
    elif kind % 4 == 1:
        load_tracks(path)
    elif kind % 4 == 2:
        path.replace(_cache().path("s"))
        _cache().load("s")
    else:
        MotionLibrary([path], "train")


TARGET = Target(
    seeds,
    run,
    (
        *(b"PK\3\4", b"PK\1\2", b"PK\5\6", b"\x93NUMPY\1\0", b"'descr': '|O'", b"'<f8'", b".npy"),
        *(
            b"'shape': (99999999999,)",
            b"(-1,)",
            b"True",
            b"'<U99999999'",
            b"'|V9'",
            b"('a', '<i4')",
        ),
    ),
    weight=2,
)
