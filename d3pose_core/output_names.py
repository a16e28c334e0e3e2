"""Names in output folders for things that others named, and folders that are really there."""

from __future__ import annotations

import shutil
from hashlib import sha256
from pathlib import Path

from d3pose_core.errors import InputError

_MOST_SHOWN = 100  # characters; file systems allow 255 bytes


def file_name(name: str, suffix: str) -> str:
    """One file's name for any text, the same for the same text: what of it makes a good name, and a hash.

    It leads to no other folder whatever the text is (`../x`, `/etc/passwd`), and two texts never to one file.
    """
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "_" for c in name)
    return f"{plain[:_MOST_SHOWN]}-{sha256(name.encode()).hexdigest()[:8]}{suffix}"


def own_folder(path: Path) -> Path:
    """A folder below an output folder, made if need be.

    Raises:
        InputError: it can't be made, or is a link, which would lead somewhere else.
    """
    if path.is_symlink():
        raise InputError(f"{path} is a link: results would go elsewhere; remove it")
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"can't make the folder {path}: {error}") from error
    return path


def remove_folder(path: Path) -> None:
    """With all that is in it; of a link only the link. It need not be there."""
    if path.is_symlink():
        path.unlink()
    else:
        shutil.rmtree(path, ignore_errors=True)
