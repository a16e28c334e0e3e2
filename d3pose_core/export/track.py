"""One person's motion, cut out of a `people.npz`: what all motion formats are written from."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import roma
import torch

from d3pose_core.body.model import BodyModel
from d3pose_core.errors import InputError
from d3pose_core.recording import PeopleTable

# How the camera's optical frame (x right, y down, z forward) turns into a frame that tools expect. Up is
# the camera's up: a camera that looks down tilts the person by as much.
AXES: dict[str, np.ndarray] = {
    "optical": np.eye(3),
    "y-up": np.array([[1.0, 0, 0], [0, -1, 0], [0, 0, -1]]),
    "z-up": np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]]),
}


MOST_FRAMES = 1_000_000  # nine hours at 30 Hz


@dataclass(frozen=True)
class MotionTrack:
    """T frames of one person, one shape throughout."""

    track_id: int
    time_s: np.ndarray  # [T] float64, increasing, from the start of the clip
    rotations: np.ndarray  # [T, 24, 3, 3] SMPL's; the first turns the body into the frame
    pelvis: np.ndarray  # [T, 3] m, position of the pelvis joint in that frame
    betas: np.ndarray  # [10]

    def turned(self, axes: str) -> MotionTrack:
        """From the optical frame into one of `AXES`.

        Raises:
            InputError: no such frame.
        """
        if axes not in AXES:
            raise InputError(f"axes must be one of {', '.join(AXES)}, got {axes!r}")
        rotations = self.rotations.copy()
        rotations[:, 0] = AXES[axes] @ rotations[:, 0]
        return replace(self, rotations=rotations, pelvis=self.pelvis @ AXES[axes].T)

    def usual_rate_hz(self) -> float:
        """Frames a second where the track has no gaps; 30 for a single frame."""
        return 30.0 if len(self.time_s) < 2 else 1 / float(np.median(np.diff(self.time_s)))

    def resampled(self, rate_hz: float) -> MotionTrack:
        """At an even rate from the first frame on; joints turn evenly across gaps.

        Raises:
            InputError: the rate is not a positive number.
        """
        if not 0 < rate_hz < np.inf:
            raise InputError(
                f"the rate must be a positive number of frames a second, got {rate_hz}"
            )
        # A grid point that rounding puts just behind the last frame is that frame.
        steps = np.floor((self.time_s[-1] - self.time_s[0]) * rate_hz + 1e-3)
        if not steps < MOST_FRAMES:
            raise InputError(
                f"track {self.track_id} lasts {self.time_s[-1] - self.time_s[0]:g} s, which at {rate_hz:g} "
                f"frames a second is more than {MOST_FRAMES} frames: give a lower rate"
            )
        count = 1 + int(steps)
        time_s = self.time_s[0] + np.arange(count) / rate_hz
        place = np.interp(time_s, self.time_s, np.arange(len(self.time_s)))
        before = np.floor(place).astype(int)
        after = np.minimum(before + 1, len(self.time_s) - 1)
        blend = place - before
        pelvis = self.pelvis[before] + blend[:, None] * (self.pelvis[after] - self.pelvis[before])

        start, end = (torch.from_numpy(self.rotations[index]) for index in (before, after))
        way = roma.rotmat_to_rotvec(start.mT @ end) * torch.from_numpy(blend)[:, None, None]
        rotations = (start @ roma.rotvec_to_rotmat(way)).numpy()
        return replace(self, time_s=time_s, rotations=rotations, pelvis=pelvis)

    def rotvecs(self) -> np.ndarray:
        """[T, 24, 3] axis-angle, rad."""
        return roma.rotmat_to_rotvec(torch.from_numpy(self.rotations)).numpy()

    def rest_joints(self, body: BodyModel) -> np.ndarray:
        """[24, 3] m: the joints of this person's unposed body."""
        return body.joints_rest(self._betas(body))[0].double().cpu().numpy()

    def rest_vertices(self, body: BodyModel) -> np.ndarray:
        """[V, 3] m: the skin of this person's unposed body."""
        still = torch.zeros(1, 3), torch.zeros(1, 23, 3)
        return body(*still, self._betas(body), torch.zeros(1, 3)).vertices[0].double().numpy()

    def _betas(self, body: BodyModel) -> torch.Tensor:
        if len(self.betas) != body.num_betas:
            raise InputError(
                f"the track has {len(self.betas)} betas, body {body.name} takes {body.num_betas}; "
                "give the body that it was recovered with"
            )
        return torch.tensor(self.betas[None], dtype=torch.float32)


def tracks_of(table: PeopleTable, track_id: int | None = None) -> list[MotionTrack]:
    """All tracks, or one, in the camera's optical frame.

    The shape is the track's last: the estimate settles as a person is seen for longer. The pelvis stays
    where it was recovered.

    Raises:
        InputError: nobody was recorded, or no such track.
    """
    known = np.unique(table.track_id).tolist()
    if not known:
        raise InputError("the recording holds nobody: there is nothing to export")
    if track_id is not None and track_id not in known:
        raise InputError(f"no track {track_id} in the recording; it holds {known}")
    return [_track(table, one) for one in (known if track_id is None else [track_id])]


def _track(table: PeopleTable, track_id: int) -> MotionTrack:
    rows = np.flatnonzero(table.track_id == track_id)
    time_s, first = np.unique(table.time[rows], return_index=True)
    rows = rows[first]
    pose = np.concatenate([table.global_orient[rows][:, None], table.body_pose[rows]], 1)
    numbers = (time_s, pose, table.joints[rows, 0], table.betas[rows[-1]])
    if not all(np.isfinite(array).all() for array in numbers):
        raise InputError(f"track {track_id} of the recording holds numbers that are nan or inf")
    return MotionTrack(
        track_id=track_id,
        time_s=time_s,
        rotations=roma.rotvec_to_rotmat(torch.from_numpy(pose.astype(np.float64))).numpy(),
        pelvis=table.joints[rows, 0].astype(np.float64),
        betas=table.betas[rows[-1]].astype(np.float64),
    )
