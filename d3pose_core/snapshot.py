"""Values out of a running program, in a file, and back: exactly the same; nothing that a file says is run.

A pickle could do it, too, but opening one runs whatever it names. Here a file holds arrays, and a text that
says how lists, dictionaries and this package's dataclasses are made of them; no other class is made.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from d3pose_core.array_file import read_arrays
from d3pose_core.errors import D3PoseError, InputError
from d3pose_core.recording import atomic_path
from d3pose_core.smoothing import OneEuroFilter

_TEXT = "structure"
_PLAIN = (type(None), bool, int, float, str)
_NOT_DATACLASSES = (OneEuroFilter,)


class NotKept(D3PoseError):
    """A value that a file can't hold: a network, a thread, something of another package."""


def save_snapshot(path: Path, value: Any) -> None:
    """Write `value` atomically.

    Args:
        value: numbers, texts, arrays, tensors, dataclasses of this package, and lists, tuples, sets and
            dictionaries of these. Two places that hold one object will do so again.

    Raises:
        NotKept: anything else in it.
        InputError: the file can't be written.
    """
    writer = _Writer()
    text = json.dumps({"value": writer.encode(value), "nodes": writer.nodes})
    arrays = {f"a{index}": array for index, array in enumerate(writer.arrays)}
    arrays[_TEXT] = np.frombuffer(text.encode(), np.uint8)
    with atomic_path(path) as partial, open(partial, "wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def load_snapshot(path: Path) -> Any:
    """What `save_snapshot` was given; tensors come back on the CPU.

    Raises:
        InputError: no such file, or not one of these.
    """
    arrays = read_arrays(path)
    try:
        content = json.loads(arrays[_TEXT].tobytes())
        return _Reader(content["nodes"], arrays).decode(content["value"])
    except (KeyError, ValueError, TypeError, IndexError, AttributeError, RecursionError) as error:
        raise InputError(f"{path} is damaged, or of another version: {error!r}") from error


class _Writer:
    """Plain values stay as they are; everything else becomes a node, and its number stands for it."""

    def __init__(self) -> None:
        self.nodes: list[list[Any]] = []
        self.arrays: list[np.ndarray] = []
        self._numbers: dict[int, int] = {}  # id of an object -> its node
        self._kept: list[Any] = []  # so that no id is used twice

    def encode(self, value: Any) -> Any:
        if type(value) in _PLAIN:
            return value
        number = self._numbers.get(id(value))
        if number is None:
            number = self._numbers[id(value)] = len(self.nodes)
            self._kept.append(value)
            self.nodes.append([])  # its own place, before those of its parts
            self.nodes[number] = self._node(value)
        return [number]

    def _node(self, value: Any) -> list[Any]:
        kind = type(value)
        if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "biufU":
            self.arrays.append(np.asarray(value))
            return ["array" if isinstance(value, np.ndarray) else "number", len(self.arrays) - 1]
        if isinstance(value, Tensor):
            self.arrays.append(value.detach().cpu().numpy())
            return ["tensor", len(self.arrays) - 1]
        if kind in (list, tuple, set):
            return [kind.__name__, [self.encode(each) for each in value]]
        if kind is dict:
            return ["dict", [[self.encode(key), self.encode(each)] for key, each in value.items()]]
        if _may_be_made(kind):
            parts = {name: self.encode(each) for name, each in vars(value).items()}
            return ["object", f"{kind.__module__}:{kind.__qualname__}", parts]
        raise NotKept(f"a {kind.__module__}.{kind.__qualname__} can't be kept in a file")


class _Reader:
    def __init__(self, nodes: list[list[Any]], arrays: dict[str, np.ndarray]) -> None:
        self._nodes, self._arrays = nodes, arrays
        self._made: dict[int, Any] = {}

    def decode(self, code: Any) -> Any:
        if not isinstance(code, list):
            return code
        (number,) = code
        if number not in self._made:
            self._make(number)
        return self._made[number]

    def _make(self, number: int) -> None:
        kind, content, *rest = self._nodes[number]
        if kind in ("array", "number", "tensor"):
            array = self._arrays[f"a{content}"]
            made = {"array": array, "number": array[()], "tensor": array}[kind]
            self._made[number] = torch.from_numpy(array) if kind == "tensor" else made
        elif kind in ("tuple", "set"):
            parts = [self.decode(each) for each in content]
            self._made[number] = tuple(parts) if kind == "tuple" else set(parts)
        elif kind == "list":
            self._made[number] = []  # before its parts, which may hold it
            self._made[number].extend(self.decode(each) for each in content)
        elif kind == "dict":
            self._made[number] = {}
            for key, each in content:
                self._made[number][self.decode(key)] = self.decode(each)
        elif kind == "object":
            made = self._made[number] = _without_init(content)
            if dataclasses.is_dataclass(made):
                _check_fields(type(made), set(rest[0]))
            vars(made).update({name: self.decode(each) for name, each in rest[0].items()})
        else:
            raise ValueError(f"unknown node {kind!r}")


def _may_be_made(kind: type) -> bool:
    """Classes of this package that hold data and nothing else."""
    ours = kind.__module__.split(".")[0] == "d3pose_core"
    return ours and (dataclasses.is_dataclass(kind) or kind in _NOT_DATACLASSES)


def _without_init(name: str) -> Any:
    """An object of the class `module:Class`, empty."""
    module, _, class_name = name.partition(":")
    if module.split(".")[0] != "d3pose_core":
        raise ValueError(f"no class of d3pose: {name!r}")
    kind = getattr(importlib.import_module(module), class_name)
    if not (isinstance(kind, type) and kind.__module__ == module and _may_be_made(kind)):
        raise ValueError(f"no class that holds data: {name!r}")
    return object.__new__(kind)


def _check_fields(kind: type, names: set[str]) -> None:
    """A file of another version may lack what this one keeps."""
    expected = {field.name for field in dataclasses.fields(kind)}
    if names != expected:
        raise ValueError(
            f"{kind.__name__} of another version: it differs in {sorted(names ^ expected)}"
        )
