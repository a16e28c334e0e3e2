"""Bodies by name or path."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from d3pose_core.array_file import read_arrays
from d3pose_core.body.arrays import BodyArrays, read_compact
from d3pose_core.body.licensed import gender_of_file, load_licensed_arrays
from d3pose_core.body.model import BodyModel
from d3pose_core.errors import InputError

# About 12 500, 7 200 and 1 500 vertices.
FREE_BODIES = ("free-full", "free-mid", "free-low")
_ASSETS = Path(__file__).parent / "assets"


def load_body(
    name_or_path: str | Path = "free-low", device: str = "cpu", allow_pickle: bool = False
) -> BodyModel:
    """Loads a body: a free one by name, or your own SMPL, SMPL-H or SMPL-X file by path.

    Betas mean something else for every body: keep them together with `BodyModel.name`.

    Args:
        name_or_path: one of `FREE_BODIES`, or the path of an .npz file.
        device: a torch device.
        allow_pickle: also open .pkl files. They may run any code: see `licensed`.

    Raises:
        InputError: unknown name, or a file that is missing or of another kind, or smplx is needed.
    """
    name = str(name_or_path)
    if name in FREE_BODIES:
        return BodyModel(free_body_arrays(name), keypoint_matrix(), name).to(device)
    path = Path(os.path.expanduser(name))  # which leaves the home of an unknown user as it is
    if not path.suffix and not os.path.exists(path):  # False for names that the system refuses, too
        free = ", ".join(FREE_BODIES)
        raise InputError(
            f"no body called {name!r}: give one of {free}, or the path of an SMPL .npz file"
        )
    arrays = load_licensed_arrays(path, allow_pickle)
    # SMPL-H comes as male/model.npz.
    name = f"{path.parent.name}_model" if path.stem == "model" else path.stem
    body = BodyModel(arrays, keypoint_matrix(), name, gender_of_file(path))
    return body.to(device)


def free_body_arrays(name: str) -> BodyArrays:
    """The dense SMPL-format arrays of one of `FREE_BODIES`."""
    return read_compact(_ASSETS / f"{name.replace('-', '_')}.npz")


def keypoint_matrix(convention: str = "blazepose33") -> np.ndarray:
    """Keypoints [K, 45] as affine combinations of 24 joints and 21 marker vertices.

    Conventions: "blazepose33", "coco17", "h36m17", "lsp14"; their names and order are in
    `tools/build_free_body/keypoints.py`. Rows sum to 1.
    """
    return read_arrays(_ASSETS / "keypoint_matrices.npz", (convention,))[convention]
