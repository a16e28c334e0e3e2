"""AMASS-style .npz: SMPL parameters at an even rate, as motion tools and data pipelines read them.

The keys are those of AMASS (Mahmood et al. 2019): `poses`, `trans`, `betas`, `dmpls`, `gender`,
`mocap_framerate`; besides, `body_model` names the body that `betas` belong to, since a shape means
something else for every body.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from d3pose_core.body.model import BodyModel
from d3pose_core.errors import InputError
from d3pose_core.export.track import MotionTrack
from d3pose_core.recording import atomic_path

# Layout -> (joints in `poses`, how many of SMPL's 24 lead them, betas). SMPL-H has fingers in place of
# SMPL's two hand joints; they are left at rest.
LAYOUTS = {"smplh": (52, 22, 16), "smpl": (24, 24, 10)}
_SOFT_TISSUE = 8  # `dmpls`, not estimated: zeros


def write_amass(
    track: MotionTrack, body: BodyModel, rate_hz: float, path: Path, layout: str = "smplh"
) -> None:
    """Write the motion at an even rate; the frame is the track's (AMASS itself has z up).

    Args:
        layout: "smplh": `poses` [T, 156], `betas` [16] (padded with zeros); "smpl": [T, 72] and [10].

    Raises:
        InputError: unknown layout, or the file can't be written.
    """
    if layout not in LAYOUTS:
        raise InputError(f"layout must be one of {', '.join(LAYOUTS)}, got {layout!r}")
    joints, shared, num_betas = LAYOUTS[layout]
    even = track.resampled(rate_hz)
    frames = len(even.time_s)
    poses = np.zeros((frames, joints, 3))
    poses[:, :shared] = even.rotvecs()[:, :shared]
    betas = np.zeros(max(num_betas, len(track.betas)))
    betas[: len(track.betas)] = track.betas
    with atomic_path(path) as partial, open(partial, "wb") as file:
        np.savez_compressed(
            file,
            poses=poses.reshape(frames, -1),
            trans=even.pelvis - track.rest_joints(body)[0],  # smplx's transl
            betas=betas,
            dmpls=np.zeros((frames, _SOFT_TISSUE)),
            gender=np.array(body.gender),
            mocap_framerate=np.array(rate_hz),
            body_model=np.array(body.name),
        )
