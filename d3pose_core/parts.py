"""A long work done piece by piece, each on the disk, so that an interrupted one goes on with the next."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from d3pose_core.errors import InputError
from d3pose_core.output_names import file_name, own_folder, remove_folder
from d3pose_core.recording import atomic_path, package_version


class Parts:
    """A folder of pieces by name, and what they depend on. Pieces have to be written atomically."""

    def __init__(self, folder: Path, settings: Mapping[str, Any], resume: bool) -> None:
        """Without `resume`, what an earlier work left is removed.

        Args:
            settings: JSON values that the pieces depend on.

        Raises:
            InputError: the earlier work had other settings.
        """
        self.folder = folder
        if not resume:
            self.forget()
        own_folder(folder)
        index = folder / "settings.json"
        wanted = json.loads(json.dumps({**settings, "version": package_version()}))
        if not index.is_file():
            with atomic_path(index) as partial:
                partial.write_text(json.dumps(wanted, indent=2) + "\n", encoding="utf-8")
            return
        try:
            there = json.loads(index.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"{index} is damaged ({error}): remove {folder}") from error
        if there != wanted:
            raise InputError(
                f"{folder} is of an interrupted run with other settings: {there}, not {wanted}. Give the "
                "same as then, or remove that folder"
            )

    def path(self, name: str) -> Path:
        """Of the piece of that name, whether it is there or not; an .npz."""
        return self.folder / file_name(name, ".npz")

    def forget(self) -> None:
        """The work is complete, or starts anew."""
        remove_folder(self.folder)
