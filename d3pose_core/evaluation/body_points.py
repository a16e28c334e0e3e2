"""Points of many posed bodies that a protocol compares: SMPL's joints, or joints regressed from the mesh."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from d3pose_core.body import FREE_BODIES, BodyModel
from d3pose_core.body.load import free_body_arrays, keypoint_matrix
from d3pose_core.errors import InputError
from d3pose_core.evaluation.dataset_protocols import H36M_TO_LSP14, LSP14, DatasetProtocol

_CHUNK = 256  # bodies posed at a time


def load_regressor(path: Path | None, protocol: DatasetProtocol) -> np.ndarray | None:
    """J_regressor_h36m as an .npy of [17, V], or None where the protocol needs none.

    Raises:
        InputError: it is needed and not given, or is no such file.
    """
    if not protocol.regressor:
        return None
    if path is None:
        raise InputError(
            f"protocol {protocol.name} compares joints of {protocol.regressor}. That file belongs to SMPL "
            "and can't be shipped here: take J_regressor_h36m.npy from the data of SPIN or VIBE, "
            "under SMPL's licence, and name it with --regressor"
        )
    try:
        matrix = np.load(path, allow_pickle=False)
    except Exception as error:  # numpy's parser of headers raises whatever it comes upon
        raise InputError(f"{path} is no .npy file with a regressor: {error}") from error
    if not isinstance(matrix, np.ndarray) or matrix.dtype.kind not in "fiu":
        raise InputError(f"{path} is no .npy file with a regressor, but another one")
    if matrix.ndim != 2 or len(matrix) != 17:
        raise InputError(f"{path}: a regressor must be [17, V], got {list(matrix.shape)}")
    return matrix.astype(np.float32)


@torch.inference_mode()
def posed(
    body: BodyModel,
    pose: np.ndarray,
    betas: np.ndarray,
    transl: np.ndarray,
    regressor: np.ndarray | None = None,
    joints_of: tuple[str, ...] | None = None,
) -> np.ndarray:
    """The protocol's joints [N, J, 3], m, of bodies with pose [N, 24, 3], betas [N, 10], transl [N, 3].

    `joints_of` None: SMPL's 24. Else those names, by `regressor` from the mesh; a free body has other
    vertices and uses its own keypoints of the same names.
    """
    parts = [np.empty((0, 24 if joints_of is None else len(joints_of), 3), np.float32)]
    for tensors in _chunks(pose, betas, transl):
        if joints_of is None:
            parts.append(body.joints(*tensors).numpy())
        elif regressor is not None and regressor.shape[1] == body.num_vertices:
            points = torch.from_numpy(regressor) @ body(*tensors).vertices
            parts.append(points[:, _rows(joints_of)].numpy())
        elif body.name in FREE_BODIES:
            wanted = [LSP14.index(name) for name in joints_of]
            parts.append(_with_lsp_keypoints(body.name).landmarks(*tensors)[:, wanted].numpy())
        else:
            raise InputError(
                f"the regressor is for {0 if regressor is None else regressor.shape[1]} vertices, "
                f"{body.name} has {body.num_vertices}: give the regressor of this body"
            )
    return np.concatenate(parts)


@torch.inference_mode()
def vertices(
    body: BodyModel, pose: np.ndarray, betas: np.ndarray, transl: np.ndarray
) -> Iterator[Tensor]:
    """Meshes [n, V, 3] of consecutive parts of N bodies, m."""
    for tensors in _chunks(pose, betas, transl):
        yield body(*tensors).vertices


def _chunks(*arrays: np.ndarray) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
    for first in range(0, len(arrays[0]), _CHUNK):
        pose, betas, transl = (
            torch.from_numpy(np.ascontiguousarray(a[first : first + _CHUNK], dtype=np.float32))
            for a in arrays
        )
        yield pose[:, 0], pose[:, 1:], betas, transl


def _rows(names: tuple[str, ...]) -> list[int]:
    """Rows of J_regressor_h36m for these names."""
    by_name = dict(zip(LSP14, H36M_TO_LSP14, strict=True))
    return [by_name[name] for name in names]


@lru_cache(maxsize=len(FREE_BODIES))
def _with_lsp_keypoints(name: str) -> BodyModel:
    """A free body whose landmarks are the 14 of LSP."""
    return BodyModel(free_body_arrays(name), keypoint_matrix("lsp14"), name)
