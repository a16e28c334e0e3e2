"""A cache of model files as on a machine where the optional ones could not be had."""

from pathlib import Path

from d3pose_core import model_files


def link_needed_files(folder: Path) -> Path:
    """`folder`, for D3POSE_CACHE."""
    folder.mkdir(parents=True, exist_ok=True)
    for entry in model_files.needed():
        (folder / entry.name).symlink_to(model_files.model_path(entry.name))
    return folder
