"""Bodies by name or path."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import numpy as np

from d3pose_core.body.arrays import BodyArrays, read_compact
from d3pose_core.body.model import BodyModel
from d3pose_core.errors import InputError

# Number of vertices: about 12 500, 7 200 and 1 500.
FREE_BODIES = ("free-full", "free-mid", "free-low")
_ASSETS = Path(str(resources.files("d3pose_core.body"))) / "assets"


def load_body(name_or_path: str | Path = "free-low", device: str = "cpu") -> BodyModel:
    """Loads a body: a free one by name, or your own SMPL, SMPL-H or SMPL-X file by path.

    Args:
        name_or_path: one of `FREE_BODIES`, or a path.
        device: a torch device.

    Raises:
        InputError: unknown name.
    """
    name = str(name_or_path)
    if name not in FREE_BODIES:
        raise InputError(f"no body called {name!r}; the free bodies are {', '.join(FREE_BODIES)}")
    return BodyModel(free_body_arrays(name), keypoint_matrix(), name).to(device)


def free_body_arrays(name: str) -> BodyArrays:
    """The dense SMPL-format arrays of one of `FREE_BODIES`."""
    return read_compact(_ASSETS / f"{name.replace('-', '_')}.npz")


def keypoint_matrix(convention: str = "blazepose33") -> np.ndarray:
    """Keypoints [K, 45] as affine combinations of 24 joints and 21 marker vertices.

    Conventions: "blazepose33", "coco17", "h36m17", "lsp14"; rows sum to 1.
    """
    with np.load(_ASSETS / "keypoint_matrices.npz", allow_pickle=False) as file:
        return file[convention]
