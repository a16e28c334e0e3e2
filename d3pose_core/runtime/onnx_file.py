"""The few messages of the ONNX file format that a graph needs, written without the package onnx.

An ONNX file is one protocol buffer: fields with a number, each an integer, a float, or bytes with their
length. Field numbers are those of onnx.proto.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

IR_VERSION = 9  # with OPSET, what ONNX Runtime 1.17 and later read
OPSET = 20
_TYPES = {"float32": 1, "int64": 7, "bool": 9}
_FLOAT, _INT, _INTS = 1, 2, 7  # AttributeProto.AttributeType

Attribute = int | float | Sequence[int]


@dataclass(frozen=True)
class Value:
    """An input or output of a graph."""

    name: str
    dtype: str  # of numpy
    shape: tuple[int | str, ...]  # a name stands for a size that is known when the graph runs

    def message(self) -> bytes:
        sizes = [
            _bytes(1, _text(2, size) if isinstance(size, str) else _integer(1, size))
            for size in self.shape
        ]
        tensor = _integer(1, _TYPES[self.dtype]) + _bytes(2, b"".join(sizes))
        return _text(1, self.name) + _bytes(2, _bytes(1, tensor))


@dataclass(frozen=True)
class Operator:
    """One node of a graph."""

    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Attribute]

    def message(self) -> bytes:
        return b"".join(
            [
                *(_text(1, name) for name in self.inputs),
                *(_text(2, name) for name in self.outputs),
                _text(3, self.outputs[0]),
                _text(4, self.kind),
                *(_bytes(5, _attribute(name, v)) for name, v in self.attributes.items()),
            ]
        )


def model_bytes(
    operators: Iterable[Operator],
    constants: dict[str, np.ndarray],
    inputs: Iterable[Value],
    outputs: Iterable[Value],
    metadata: dict[str, str],
) -> bytes:
    """A whole ONNX file; operators in an order in which they can run."""
    graph = b"".join(
        [
            *(_bytes(1, operator.message()) for operator in operators),
            _text(2, "d3pose"),
            *(_bytes(5, _tensor(name, array)) for name, array in constants.items()),
            *(_bytes(11, value.message()) for value in inputs),
            *(_bytes(12, value.message()) for value in outputs),
        ]
    )
    entries = (_text(1, key) + _text(2, value) for key, value in metadata.items())
    return b"".join(
        [
            _integer(1, IR_VERSION),
            _text(2, "d3pose"),
            _bytes(7, graph),
            _bytes(8, _text(1, "") + _integer(2, OPSET)),
            *(_bytes(14, entry) for entry in entries),
        ]
    )


def _tensor(name: str, array: np.ndarray) -> bytes:
    sizes = b"".join(_integer(1, size) for size in array.shape)
    data = np.ascontiguousarray(array).tobytes()
    return sizes + _integer(2, _TYPES[array.dtype.name]) + _text(8, name) + _bytes(9, data)


def _attribute(name: str, value: Attribute) -> bytes:
    if isinstance(value, int):
        return _text(1, name) + _integer(3, value) + _integer(20, _INT)
    if isinstance(value, float):
        return _text(1, name) + _key(2, 5) + struct.pack("<f", value) + _integer(20, _FLOAT)
    return _text(1, name) + b"".join(_integer(8, item) for item in value) + _integer(20, _INTS)


def _text(field: int, text: str) -> bytes:
    return _bytes(field, text.encode())


def _bytes(field: int, content: bytes) -> bytes:
    return _key(field, 2) + _varint(len(content)) + content


def _integer(field: int, value: int) -> bytes:
    return _key(field, 0) + _varint(value & (1 << 64) - 1)


def _key(field: int, wire_type: int) -> bytes:
    return _varint(field << 3 | wire_type)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)
