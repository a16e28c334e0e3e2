"""Configurations out of YAML files: whatever is wrong with a file is an InputError that names the entry."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from pathlib import Path
from typing import Any, TypeVar

import yaml

from d3pose_core.errors import InputError

T = TypeVar("T")

# A configuration has a few kB; PyYAML takes seconds for each MB.
MOST_BYTES = 1 << 20
_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}


def read_mapping(path: str | Path) -> dict[str, Any]:
    """The top level of a YAML file, by name.

    Raises:
        InputError: a file that can't be read, is no YAML, or holds no mapping of names.
    """
    path = Path(path)
    try:
        if path.stat().st_size > MOST_BYTES:
            raise InputError(f"{path} is no configuration: it has more than {MOST_BYTES} bytes")
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, ValueError, RecursionError, OverflowError) as error:
        if isinstance(error, InputError):
            raise
        reason = " ".join(str(error).split())
        raise InputError(f"{path} is not a YAML file that can be read: {reason}") from error
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        raise InputError(
            f"{path} must hold `name: value` lines, got {type(values).__name__} {str(values)[:60]!r}"
        )
    return values


def options(cls: type[T], values: Any, where: object, what: str = "options") -> T:
    """A configuration class made of a parsed mapping; nested classes may be made already.

    Args:
        cls: a dataclass that checks its values itself; here only their types are, by its annotations.
            Lists become tuples, and whole numbers floats, where those are asked for.
        where: the file, for messages.

    Raises:
        InputError: unknown names, missing ones, or values of another type.
    """
    if not isinstance(values, dict):
        raise InputError(f"{where}: {what} must be `name: value` lines, got {values!r}")
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    unknown = sorted(str(name) for name in values.keys() - fields.keys())
    if unknown:
        raise InputError(f"{where}: unknown {what} {unknown}; known are {sorted(fields)}")
    nothing = dataclasses.MISSING
    missing = [
        f"'{name}'"
        for name, field in fields.items()
        if name not in values and field.default is nothing and field.default_factory is nothing
    ]
    if missing:
        raise InputError(f"{where}: missing {len(missing)} required {what}: {', '.join(missing)}")
    hints = typing.get_type_hints(cls)
    given = {
        name: converted(value, hints[name], f"{where}: {name}") for name, value in values.items()
    }
    try:
        return cls(**given)
    except (TypeError, ArithmeticError) as error:
        raise InputError(f"{where}: {what} that do not go together: {error}") from error


def converted(value: Any, hint: Any, name: str) -> Any:
    """`value` as the annotation `hint` has it. Raises InputError, which says `name`."""
    if hint is float and isinstance(value, str):
        value = _number(value)  # YAML takes 1e-3 for a text
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        value = _number(value)
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in inner:
            return None
        return converted(value, next(each for each in inner if each is not type(None)), name)
    if origin is tuple and isinstance(value, list | tuple):
        kinds = [inner[0]] * len(value) if inner[-1] is Ellipsis else inner
        if len(kinds) != len(value):
            raise InputError(f"{name} must have {len(kinds)} entries, got {value!r}")
        return tuple(converted(v, k, f"{name}, each") for v, k in zip(value, kinds, strict=True))
    if origin is dict and isinstance(value, dict):
        return {
            converted(key, inner[0], f"a name in {name}"): converted(v, inner[1], f"{name}.{key}")
            for key, v in value.items()
        }
    if hint is Any or (origin is None and type(value) is hint):
        if isinstance(value, float) and not math.isfinite(value):
            raise InputError(f"{name} must be a finite number, got {value}")
        return value
    expected = _WORDS.get(hint, "a list" if origin is tuple else "`name: value` lines")
    raise InputError(f"{name} must be {expected}, got {str(value)[:60]!r}")


def _number(value: str | int) -> float | str | int:
    """The same as a float, if it is one."""
    try:
        return float(value)
    except (ValueError, OverflowError):
        return value
