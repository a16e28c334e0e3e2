"""The class of a message type that a bag or a command line names."""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from pathlib import Path
from typing import Any

from d3pose_core.errors import InputError

_NAME = re.compile(r"([a-z][a-z0-9_]*)/msg/([A-Z][A-Za-z0-9]*)")


def message_class(message_type: str) -> Any:
    """`package/msg/Name` -> the generated class.

    Importing a module runs it, and a bag may name any: only packages that have messages are imported.

    Raises:
        InputError: no such name, or not installed.
    """
    named = _NAME.fullmatch(message_type)
    if named is None:
        raise InputError(f"{message_type!r} is no message type: expected package/msg/Name")
    package, name = named.groups()
    if not any((Path(folder) / "msg" / "__init__.py").is_file() for folder in _folders(package)):
        raise InputError(f"message type {message_type!r} is not installed")
    try:
        return getattr(importlib.import_module(f"{package}.msg"), name)
    except (ImportError, AttributeError) as error:
        raise InputError(f"message type {message_type!r} is not installed: {error}") from error


def _folders(package: str) -> list[str]:
    """Where the package's modules lie; found without running any of them."""
    loaded = sys.modules.get(package)
    if loaded is not None:
        return list(getattr(loaded, "__path__", ()))
    spec = importlib.util.find_spec(package)
    return [] if spec is None else list(spec.submodule_search_locations or ())
