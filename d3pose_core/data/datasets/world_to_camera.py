"""SMPL parameters from the world into the camera.

SMPL turns the body about its pelvis joint, which lies at J0(betas) before `transl` is added, and not about
the origin. A vertex v of the body turned by R is therefore R (v - J0) + J0 + transl, and in a camera
(A, t) it is A R (v - J0) + A (J0 + transl) + t. So the root becomes A R, and transl A (J0 + transl) + t - J0.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import roma
import torch

from d3pose_core.body import BodyModel, load_body
from d3pose_core.body.licensed import gender_of_file
from d3pose_core.errors import InputError

# gender ("neutral", "female", "male") -> the body whose betas a dataset has
Bodies = Callable[[str], BodyModel]

WHY_BODIES = (
    "its files give SMPL's translation but not where SMPL's pelvis lies for these betas, which only "
    "the body model knows: give your SMPL files (`bodies=bodies_in(FOLDER)`, on the command line "
    "--smpl FOLDER)"
)


def rotation_matrices(axis_angle: np.ndarray) -> np.ndarray:
    """[..., 3] rad -> [..., 3, 3] float64."""
    vectors = torch.from_numpy(np.ascontiguousarray(axis_angle, dtype=np.float64))
    return roma.rotvec_to_rotmat(vectors).numpy()


def axis_angles(matrices: np.ndarray) -> np.ndarray:
    """[..., 3, 3] -> [..., 3] rad, float64."""
    tensor = torch.from_numpy(np.ascontiguousarray(matrices, dtype=np.float64))
    return roma.rotmat_to_rotvec(tensor).numpy()


def smpl_into_camera(
    global_orient: np.ndarray,
    transl: np.ndarray,
    rest_pelvis: np.ndarray,
    rotation: np.ndarray,
    translation: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """`global_orient` and `transl` of the same body, seen by the camera.

    Args:
        global_orient: [F, 3] axis-angle, rad, in the world.
        transl: [F, 3] m, in the world.
        rest_pelvis: [F, 3] or [3], m: J0, the pelvis joint of the unposed body of these betas.
        rotation, translation: [F, 3, 3] and [F, 3], world -> camera.
    """
    orient = axis_angles(rotation @ rotation_matrices(global_orient))
    pelvis = np.einsum("fij,fj->fi", rotation, transl + rest_pelvis) + translation
    return orient, pelvis - rest_pelvis


def rest_pelvis(bodies: Bodies, gender: str, betas: np.ndarray) -> np.ndarray:
    """[F, 3] m: where the pelvis joint of the unposed body is, for betas [F, 10]."""
    with torch.inference_mode():
        joints = bodies(gender).joints_rest(torch.from_numpy(betas.astype(np.float32)))
    return joints[:, 0].numpy().astype(np.float64)


def bodies_in(folder: str | Path) -> Bodies:
    """SMPL files of a folder by gender, e.g. SMPL_NEUTRAL.npz, SMPL_MALE.npz; or one body for everybody.

    Args:
        folder: of your licensed files, or whatever `load_body` takes (then it serves every gender).

    Raises:
        InputError: when asked for a gender without a file, or with several.
    """
    path = Path(folder).expanduser()
    if not path.is_dir():
        body = load_body(folder)
        return lambda gender: body
    loaded: dict[str, BodyModel] = {}

    def body_of(gender: str) -> BodyModel:
        if gender not in loaded:
            files = [f for f in sorted(path.glob("*.npz")) if gender_of_file(f) == gender]
            if len(files) != 1:
                found = ", ".join(f.name for f in files) or "none"
                raise InputError(
                    f"need exactly one {gender} SMPL file (.npz) in {path}, found {found}; name it like "
                    f"SMPL_{gender.upper()}.npz (`d3pose body convert` makes an .npz of a .pkl)"
                )
            loaded[gender] = load_body(files[0])
        return loaded[gender]

    return body_of
