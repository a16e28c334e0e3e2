"""The arrays of one SMPL-format body, and the compact file that the free body ships in.

An SMPL model file is a handful of arrays (Loper et al., "SMPL: A Skinned Multi-Person Linear
Model", 2015). Most of their numbers are zero, so the compact file stores three of them sparsely and
rounds the displacements to float16 (about 1 um at the sizes that occur here).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from d3pose_core.array_file import read_arrays
from d3pose_core.errors import InputError
from d3pose_core.skeleton import JOINT_PARENTS, NUM_JOINTS

NUM_POSE_FEATURES = 9 * (NUM_JOINTS - 1)
# From newborns to giants; beyond, an array is in another unit. Files store numbers with 3 digits at least.
_LEAST_SIZE_M, _MOST_SIZE_M = 0.3, 3.0
_MOST_SUM_ERROR = 0.01

# The skin vertices that stand for face, feet and finger tips, in the order in which `smplx` appends
# them to its joints. The keypoint matrices take the 24 joints and these 21 points.
MARKER_NAMES: tuple[str, ...] = (
    *("nose", "right_eye", "left_eye", "right_ear", "left_ear"),
    *("left_big_toe", "left_small_toe", "left_heel"),
    *("right_big_toe", "right_small_toe", "right_heel"),
    *("left_thumb", "left_index", "left_middle", "left_ring", "left_pinky"),
    *("right_thumb", "right_index", "right_middle", "right_ring", "right_pinky"),
)


@dataclass(frozen=True)
class BodyArrays:
    """One body in the SMPL file format, dense.

    Rest frame: T-pose, x to the body's left, y up, facing +z, metres.
    """

    v_template: np.ndarray  # [V, 3] float32, m: the mean body
    shapedirs: np.ndarray  # [V, 3, 10] float32, m: displacement per unit of each beta
    posedirs: (
        np.ndarray
    )  # [V, 3, 207] float32, m: displacement per element of (R - I), joints 1..23
    weights: np.ndarray  # [V, 24] float32: skinning weights, rows sum to 1
    joint_regressor: np.ndarray  # [24, V] float32: rest vertices -> rest joints, rows sum to 1
    faces: np.ndarray  # [F, 3] int64: counter-clockwise seen from outside
    marker_vertices: np.ndarray  # [21] int64: vertex of each of MARKER_NAMES

    def __post_init__(self) -> None:
        num_vertices = len(self.v_template)
        expected = {
            "v_template": (num_vertices, 3),
            "shapedirs": (num_vertices, 3, self.shapedirs.shape[-1]),
            "posedirs": (num_vertices, 3, NUM_POSE_FEATURES),
            "weights": (num_vertices, NUM_JOINTS),
            "joint_regressor": (NUM_JOINTS, num_vertices),
            "faces": (len(self.faces), 3),
            "marker_vertices": (len(MARKER_NAMES),),
        }
        for name, shape in expected.items():
            found = getattr(self, name).shape
            if found != shape:
                raise InputError(f"body array {name} must have shape {shape}, got {found}")
        for name in ("v_template", "shapedirs", "posedirs", "weights", "joint_regressor"):
            if not np.isfinite(getattr(self, name)).all():
                raise InputError(f"body array {name} holds numbers that are not finite")
        for name in ("faces", "marker_vertices"):
            least, largest = (int(f(getattr(self, name), initial=0)) for f in (np.min, np.max))
            if least < 0 or largest >= num_vertices:
                raise InputError(
                    f"body array {name} names vertex {largest if least == 0 else least}, but the body has "
                    f"{num_vertices} vertices"
                )
        for name in ("weights", "joint_regressor"):
            sums = getattr(self, name).sum(1, dtype=np.float64)
            if not np.allclose(sums, 1.0, atol=_MOST_SUM_ERROR):
                raise InputError(
                    f"each row of body array {name} must sum to 1, got {sums.min():g} to {sums.max():g}"
                )
        size_m = float(np.ptp(self.v_template, axis=0).max(initial=0.0))
        if not _LEAST_SIZE_M <= size_m <= _MOST_SIZE_M:
            raise InputError(
                f"body array v_template must be a person in metres, got one of {size_m:g} m"
            )

    def smpl_file(self) -> dict[str, np.ndarray]:
        """The arrays under the keys and layouts of an SMPL model file, as `smplx.SMPL` reads them."""
        parents = np.array(JOINT_PARENTS, dtype=np.int64)
        parents[0] = 2**32 - 1  # how SMPL files mark the root
        return {
            "v_template": self.v_template,
            "shapedirs": self.shapedirs,
            "posedirs": self.posedirs,
            "weights": self.weights,
            "J_regressor": self.joint_regressor,
            "f": self.faces.astype(np.uint32),
            "kintree_table": np.stack([parents, np.arange(NUM_JOINTS)]).astype(np.uint32),
        }


def read_compact(path: Path) -> BodyArrays:
    """Reads a file written by `write_compact`.

    Raises:
        InputError: the file is not a compact body file.
    """
    sparse = ("posedirs", "weights", "joint_regressor")
    names = [f"{name}_{part}" for name in sparse for part in ("data", "columns", "counts")]
    file = read_arrays(path, ("v_template", "shapedirs", "faces", "marker_vertices", *names))
    num_vertices = len(file["v_template"])
    return BodyArrays(
        v_template=file["v_template"],
        shapedirs=file["shapedirs"].astype(np.float32),
        posedirs=_dense(file, "posedirs", num_vertices * 3, NUM_POSE_FEATURES).reshape(
            num_vertices, 3, NUM_POSE_FEATURES
        ),
        weights=_dense(file, "weights", num_vertices, NUM_JOINTS),
        joint_regressor=_dense(file, "joint_regressor", NUM_JOINTS, num_vertices),
        faces=file["faces"].astype(np.int64),
        marker_vertices=file["marker_vertices"].astype(np.int64),
    )


def write_compact(path: Path, body: BodyArrays) -> None:
    """Writes `body` as a compressed .npz of about a tenth of the dense size."""
    num_vertices = len(body.v_template)
    posedirs = body.posedirs.reshape(num_vertices * 3, NUM_POSE_FEATURES)
    arrays: dict[str, np.ndarray] = {
        "v_template": body.v_template.astype(np.float32),
        "shapedirs": body.shapedirs.astype(np.float16),
        "faces": body.faces.astype(np.uint16),
        "marker_vertices": body.marker_vertices.astype(np.uint16),
        **_sparse("posedirs", posedirs, np.float16, np.uint8),
        **_sparse("weights", body.weights, np.float32, np.uint8),
        **_sparse("joint_regressor", body.joint_regressor, np.float32, np.uint16),
    }
    np.savez_compressed(path, allow_pickle=False, **arrays)


def _sparse(name: str, dense: np.ndarray, dtype: type, index_dtype: type) -> dict[str, np.ndarray]:
    """Compressed sparse rows: values, their columns, and how many values each row has."""
    rows, columns = np.nonzero(dense)
    return {
        f"{name}_data": dense[rows, columns].astype(dtype),
        f"{name}_columns": columns.astype(index_dtype),
        f"{name}_counts": np.bincount(rows, minlength=len(dense)).astype(np.uint16),
    }


def _dense(file: dict[str, np.ndarray], name: str, rows: int, columns: int) -> np.ndarray:
    dense = np.zeros((rows, columns), np.float32)
    row_of_value = np.repeat(np.arange(rows), file[f"{name}_counts"])
    dense[row_of_value, file[f"{name}_columns"]] = file[f"{name}_data"]
    return dense
