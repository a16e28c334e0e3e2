"""Just enough of the glTF 2.0 binary container: typed arrays in one buffer, described by JSON."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np

from d3pose_core.recording import atomic_path

_COMPONENT_TYPES = {"uint8": 5121, "uint16": 5123, "uint32": 5125, "float32": 5126}
_SHAPES: dict[tuple[int, ...], str] = {
    (): "SCALAR",
    (3,): "VEC3",
    (4,): "VEC4",
    (4, 4): "MAT4",
}
VERTEX_DATA, INDEX_DATA = 34962, 34963  # bufferView targets


class GltfDocument:
    """The JSON of an asset, and its one buffer, filled accessor by accessor."""

    def __init__(self, generator: str) -> None:
        self.json: dict[str, Any] = {
            "asset": {"version": "2.0", "generator": generator},
            "accessors": [],
            "bufferViews": [],
        }
        self._buffer = bytearray()

    def accessor(self, values: np.ndarray, target: int | None = None) -> int:
        """Store [N, ...] values (matrices row by row, as numpy has them); returns the accessor's index."""
        if values.shape[1:] == (4, 4):
            values = values.swapaxes(1, 2)  # glTF stores columns
        return self._describe(values, {"bufferView": self._view(values, target)})

    def sparse_accessor(self, values: np.ndarray) -> int:
        """Store only the rows of [N, 3] float32 that are not zero."""
        rows = np.flatnonzero(values.any(1)).astype(np.uint32)
        if not len(rows):  # the format asks for at least one
            rows = np.zeros(1, np.uint32)
        sparse = {
            "count": len(rows),
            "indices": {
                "bufferView": self._view(rows, None),
                "componentType": _COMPONENT_TYPES["uint32"],
            },
            "values": {"bufferView": self._view(values[rows], None)},
        }
        return self._describe(values, {"sparse": sparse})

    def save(self, path: Path) -> None:
        """Write a .glb; InputError if that can't be done."""
        self.json["buffers"] = [{"byteLength": len(self._buffer)}]
        text = json.dumps(self.json, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 4)
        binary = bytes(self._buffer)  # every view is padded to four bytes
        length = 12 + 8 + len(text) + 8 + len(binary)
        with atomic_path(path) as partial, open(partial, "wb") as file:
            file.write(struct.pack("<4sII", b"glTF", 2, length))
            file.write(struct.pack("<I4s", len(text), b"JSON") + text)
            file.write(struct.pack("<I4s", len(binary), b"BIN\0") + binary)

    def _view(self, values: np.ndarray, target: int | None) -> int:
        data = np.ascontiguousarray(values).tobytes()
        view = {"buffer": 0, "byteOffset": len(self._buffer), "byteLength": len(data)}
        if target is not None:
            view["target"] = target
        self._buffer += data + b"\0" * (-len(data) % 4)
        self.json["bufferViews"].append(view)
        return len(self.json["bufferViews"]) - 1

    def _describe(self, values: np.ndarray, where: dict[str, Any]) -> int:
        accessor = where | {
            "componentType": _COMPONENT_TYPES[values.dtype.name],
            "count": len(values),
            "type": _SHAPES[values.shape[1:]],
        }
        # Asked for where values are positions or times, and harmless elsewhere.
        if values.dtype == np.float32 and values.shape[1:] in ((), (3,)):
            flat = values.reshape(len(values), -1)
            accessor |= {"min": flat.min(0).tolist(), "max": flat.max(0).tolist()}
        self.json["accessors"].append(accessor)
        return len(self.json["accessors"]) - 1
