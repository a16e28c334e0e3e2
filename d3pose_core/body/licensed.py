"""Your own licensed SMPL, SMPL-H or SMPL-X file, loaded through the `smplx` package.

The files are read here and handed to `smplx` as arrays, because smplx itself opens files with
pickling allowed, and unpickling runs whatever code a file holds.

SMPL-H and SMPL-X become bodies of our 24 joints. Joints 0..21 are shared. The fingers, which bend
on their own there, become one rigid piece: joints 22 and 23 sit at the first knuckle of the middle
finger, where SMPL has its hand joints, and carry all the fingers' weights. Jaw and eyes move with
the head. As long as fingers, jaw and eyes keep their (flat) rest pose this is exact.
"""

from __future__ import annotations

import contextlib
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from os.path import isfile  # False for names that the system refuses, too
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from d3pose_core.array_file import read_arrays
from d3pose_core.body.arrays import NUM_POSE_FEATURES, BodyArrays
from d3pose_core.errors import InputError
from d3pose_core.recording import atomic_path
from d3pose_core.skeleton import JOINT_NAMES, JOINT_PARENTS, NUM_JOINTS

NUM_BETAS = 10

WHERE_TO_GET = (
    "Register and download at https://smpl.is.tue.mpg.de (SMPL), https://mano.is.tue.mpg.de (SMPL-H) "
    "or https://smpl-x.is.tue.mpg.de (SMPL-X), or use a free body: free-low, free-mid, free-full."
)
# What is read of a file: each array's name, and how many dimensions it has.
_DIMENSIONS = {
    "v_template": 2,
    "shapedirs": 3,
    "posedirs": 3,
    "weights": 2,
    "J_regressor": 2,
    "f": 2,
}
ARRAY_NAMES = tuple(_DIMENSIONS)


@dataclass(frozen=True)
class _Family:
    """A kind of SMPL file, told apart by its number of joints."""

    name: str
    extra_joints: dict[int, int]  # joint beyond the 22 shared ones -> joint of ours it moves with
    hands: tuple[int, int]  # the joints whose rest positions are our left and right hand
    marker_table: str  # name of smplx's table of landmark vertices


_HEAD, _LEFT_HAND, _RIGHT_HAND = (
    JOINT_NAMES.index(name) for name in ("head", "left_hand", "right_hand")
)


def _fingers(first: int) -> dict[int, int]:
    """15 left and 15 right finger joints from `first` on: index, middle, little, ring, thumb."""
    left = dict.fromkeys(range(first, first + 15), _LEFT_HAND)
    return left | dict.fromkeys(range(first + 15, first + 30), _RIGHT_HAND)


_MIDDLE_FINGER = 3  # the second of the fingers, three joints each
_FAMILIES = {
    24: _Family("SMPL", {22: _LEFT_HAND, 23: _RIGHT_HAND}, (22, 23), "smplh"),
    52: _Family("SMPL-H", _fingers(22), (22 + _MIDDLE_FINGER, 37 + _MIDDLE_FINGER), "smplh"),
    55: _Family(
        "SMPL-X",
        dict.fromkeys((22, 23, 24), _HEAD) | _fingers(25),  # jaw and eyes, then the fingers
        (25 + _MIDDLE_FINGER, 40 + _MIDDLE_FINGER),
        "smplx",
    ),
}


def load_licensed_arrays(path: Path, allow_pickle: bool = False) -> BodyArrays:
    """Reads an SMPL, SMPL-H or SMPL-X model file.

    Args:
        path: an .npz file, or, with `allow_pickle`, a .pkl file.
        allow_pickle: unpickle .pkl files. Unpickling runs code that the file may hold: only for
            files from the makers' own sites.

    Raises:
        InputError: smplx is not installed, or the file is missing, of another kind, or damaged.
    """
    smplx = _import_smplx()
    family, arrays = _with_24_joints(path, _read(path, allow_pickle))
    markers = smplx.vertex_ids.vertex_ids[family.marker_table]
    if max(markers.values()) >= len(arrays["v_template"]):
        raise InputError(
            f"{path} is no {family.name} file: it has {len(arrays['v_template'])} vertices, "
            f"but {family.name}'s landmarks include vertex {max(markers.values())}"
        )
    with contextlib.redirect_stdout(None):  # smplx remarks on files that hold only 10 betas
        body = smplx.SMPL(
            model_path="",
            data_struct=smplx.utils.Struct(**arrays),
            num_betas=NUM_BETAS,
            vertex_ids=markers,
        )
    num_vertices = len(body.v_template)
    return BodyArrays(
        v_template=body.v_template.numpy(),
        shapedirs=body.shapedirs.numpy(),
        posedirs=body.posedirs.numpy().T.reshape(num_vertices, 3, NUM_POSE_FEATURES),
        weights=body.lbs_weights.numpy(),
        joint_regressor=body.J_regressor.numpy(),
        faces=body.faces_tensor.numpy(),
        marker_vertices=body.vertex_joint_selector.extra_joints_idxs.numpy(),
    )


def convert_pickle(path: Path, out: Path) -> None:
    """Writes the arrays of a trusted .pkl model file to an .npz, which loads without unpickling.

    Raises:
        InputError: as `load_licensed_arrays`, or `out` is not an .npz or cannot be written.
    """
    if out.suffix != ".npz":
        raise InputError(f"the converted file must end in .npz, got {out}")
    arrays: dict[str, Any] = dict(_read(path, allow_pickle=True))
    try:
        with atomic_path(out) as partial, open(partial, "wb") as file:
            np.savez(file, **arrays)
    except OSError as error:
        raise InputError(f"cannot write {out}: {error}") from error


def gender_of_file(path: Path) -> str:
    """The gender in names like SMPLX_FEMALE.npz, basicModel_f_lbs_10_207_0_v1.0.0.pkl; else "neutral"."""
    for name in (path.stem, path.parent.name):  # AMASS' layout of SMPL-H is male/model.npz
        words = name.lower().replace("-", "_").split("_")
        for gender in ("female", "male"):
            if gender in words or gender[0] in words:
                return gender
        if "neutral" in words:
            break
    return "neutral"


def _import_smplx() -> ModuleType:
    try:
        import smplx
        import smplx.utils
        import smplx.vertex_ids
    except ImportError as error:
        raise InputError(
            "loading your own SMPL file needs the smplx package: pip install smplx. "
            "Its code and the SMPL files are licensed for non-commercial research only "
            "(https://smpl-x.is.tue.mpg.de/modellicense); the free bodies need neither."
        ) from error
    return smplx


def _read(path: Path, allow_pickle: bool) -> dict[str, np.ndarray]:
    """The arrays that make a body, by their names in the file."""
    if not isfile(path):
        raise InputError(f"no body model file at {path}. {WHERE_TO_GET}")
    if path.suffix == ".pkl" and not allow_pickle:
        raise InputError(
            f"{path} is a pickle, and unpickling runs any code that a file holds. If it comes from the "
            f"makers' own site, convert it once: d3pose body convert --trust {path} (in Python: "
            "load_body(..., allow_pickle=True))."
        )
    if path.suffix not in (".npz", ".pkl"):
        raise InputError(f"a body model file ends in .npz or .pkl, got {path}. {WHERE_TO_GET}")
    try:
        # Only the arrays that we ask for are read, so that objects elsewhere in the file do no harm.
        file = _unpickle(path) if path.suffix == ".pkl" else read_arrays(path, ARRAY_NAMES)
    except (InputError, OSError, EOFError, ValueError, TypeError, pickle.UnpicklingError) as error:
        raise InputError(f"cannot read {path} as a body model: {error}. {WHERE_TO_GET}") from error
    return _select(path, file)


def _unpickle(path: Path) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            content = pickle.load(file, encoding="latin1")
    except ImportError as error:  # SMPL's original pickles hold chumpy objects
        raise InputError(
            f"unpickling {path} needs a package that is not installed ({error}). Convert the file "
            "once, where that package is, to an .npz of plain arrays."
        ) from error
    except (OSError, EOFError, ValueError, TypeError, pickle.UnpicklingError):
        raise
    except Exception as error:  # chumpy fails in many ways with other releases of numpy
        raise InputError(
            f"unpickling {path} failed ({error!r}). Convert the file once, where the packages are that it "
            "was made with, to an .npz of plain arrays."
        ) from error
    if not isinstance(content, Mapping):
        raise InputError(f"{path} holds a {type(content).__name__} and not the arrays of a body")
    return dict(content)


def _select(path: Path, file: Any) -> dict[str, np.ndarray]:
    missing = [name for name in ARRAY_NAMES if name not in file]
    if missing:
        raise InputError(
            f"{path} is no SMPL model file: it lacks {', '.join(missing)}. {WHERE_TO_GET}"
        )
    arrays = {name: file[name] for name in ARRAY_NAMES}
    for name, values in arrays.items():
        if hasattr(values, "toarray"):  # the regressor is a scipy matrix in pickles
            values = values.toarray()
        arrays[name] = _checked(path, name, np.asarray(values))
    return arrays


def _checked(path: Path, name: str, values: np.ndarray) -> np.ndarray:
    """The same. Raises InputError where it cannot be this array, whatever its size."""
    if values.dtype.kind not in "fiu" or values.ndim != _DIMENSIONS[name]:
        raise InputError(
            f"{path} is no SMPL model file: {name} must be numbers in {_DIMENSIONS[name]} dimensions, got "
            f"{values.dtype} of shape {values.shape}. {WHERE_TO_GET}"
        )
    if not np.isfinite(values).all():
        raise InputError(
            f"{path} is damaged: {name} holds numbers that are not finite. {WHERE_TO_GET}"
        )
    return values


def _with_24_joints(
    path: Path, arrays: dict[str, np.ndarray]
) -> tuple[_Family, dict[str, np.ndarray]]:
    """The same body with the joints of SMPL, see the module's docstring."""
    num_joints = arrays["weights"].shape[-1]
    family = _FAMILIES.get(num_joints)
    if family is None:
        known = ", ".join(f"{count} ({kind.name})" for count, kind in _FAMILIES.items())
        raise InputError(f"{path} has {num_joints} joints; known are {known}. {WHERE_TO_GET}")
    num_vertices = len(arrays["v_template"])
    expected = {
        "v_template": (num_vertices, 3),
        "weights": (num_vertices, num_joints),
        "J_regressor": (num_joints, num_vertices),
        "posedirs": (num_vertices, 3, 9 * (num_joints - 1)),
    }
    for name, shape in expected.items():
        if arrays[name].shape != shape:
            raise InputError(
                f"{path} is no {family.name} file: {name} must have shape {shape}, "
                f"got {arrays[name].shape}"
            )

    if arrays["shapedirs"].shape[-1] < NUM_BETAS:
        raise InputError(
            f"{path}: shapedirs must have {NUM_BETAS} shape directions or more, got "
            f"{arrays['shapedirs'].shape[-1]}. {WHERE_TO_GET}"
        )

    shared = range(NUM_JOINTS - 2)
    weights = np.zeros((num_vertices, NUM_JOINTS))
    for joint, ours in ({joint: joint for joint in shared} | family.extra_joints).items():
        weights[:, ours] += arrays["weights"][:, joint]
    posedirs = np.zeros((num_vertices, 3, NUM_POSE_FEATURES))
    kept = NUM_POSE_FEATURES if family.name == "SMPL" else 9 * (len(shared) - 1)
    posedirs[..., :kept] = arrays["posedirs"][..., :kept]
    kinematic_tree = np.stack([np.array(JOINT_PARENTS), np.arange(NUM_JOINTS)])
    return family, {
        "v_template": arrays["v_template"],
        "shapedirs": arrays["shapedirs"][..., :NUM_BETAS],
        "posedirs": posedirs,
        "weights": weights,
        "J_regressor": arrays["J_regressor"][[*shared, *family.hands]],
        "f": arrays["f"],
        "kintree_table": kinematic_tree,
    }
