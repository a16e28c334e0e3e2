"""Metric distance from an aligned depth image: one camera sees direction well and distance badly.

A depth camera sees skin, the body model has joints. Between the skin of the trunk and the pelvis lie 6 cm
from behind and 16 cm from the front, so that no constant would do. Instead, the skin of the recovered body
is compared with the measured skin at the same pixels: what remains is the error of the distance.

Only the distance is corrected: the body moves along the ray of its pelvis, its pose and its size (betas)
stay. Where the size was wrong too (a child taken for an adult further away), the moved body covers more or
less of the image than the person does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

import numpy as np
import torch

from d3pose_core.body import BodyModel
from d3pose_core.camera import Intrinsics
from d3pose_core.errors import InputError
from d3pose_core.recovery import RecoveredPerson
from d3pose_core.skeleton import JOINT_NAMES
from d3pose_core.smoothing import OneEuroFilter

MAX_CORRECTION = 0.5
# Two sizes show the same picture when their scales agree to this.
ASPECT_TOLERANCE = 0.02
# Skin at a flat angle to the ray is near the outline, where a pixel may show the wall behind.
_FACING = 0.5
# Less of the torso than this, or depths that scatter more (quartiles, m), say nothing about it: it is
# half outside the image, behind something, or the depth camera fails on its clothes.
_LEAST_SHARE, _MOST_SCATTER_M = 0.25, 0.25
# Depth cameras are steady and the body's pose is not, so the correction is smoothed a little.
_CUTOFF_HZ, _SPEED_GAIN = 2.0, 4.0
_MEMORY_S = 10.0


class DepthOutcome(Enum):
    """What a depth image said about one person."""

    USED = "used"
    NO_IMAGE = "no_image"
    TOO_FEW_PIXELS = "too_few_pixels"
    SCATTERED = "scattered"
    DISAGREES = "disagrees"


@dataclass(frozen=True, eq=False)
class DepthImage:
    """Depth (z, not range) of every pixel of the colour image's view, perhaps at another resolution.

    Raises:
        InputError: not a single-channel image.
    """

    values: np.ndarray  # [H, W] any number type; 0, nan and inf mean unknown
    unit_m: float = 1.0  # what a value of 1 means, m; 0.001 for millimetres

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or 0 in self.values.shape:
            raise InputError(f"a depth image must be [H, W], got {list(self.values.shape)}")

    def fits(self, intrinsics: Intrinsics) -> bool:
        """Whether it can show the same picture: by its aspect ratio."""
        height, width = self.values.shape
        ratio = width / height * intrinsics.height / intrinsics.width
        return abs(ratio - 1) <= ASPECT_TOLERANCE

    def at(self, pixels: np.ndarray, intrinsics: Intrinsics) -> np.ndarray:
        """Depth at pixels [N, 2] of the colour image: [N] m; nan outside and where it is unknown."""
        height, width = self.values.shape
        scale = np.array([width / intrinsics.width, height / intrinsics.height])
        position = (pixels + 0.5) * scale - 0.5  # pixel centres are at whole numbers
        with np.errstate(invalid="ignore"):
            inside = np.all((position > -0.5) & (position < (width - 0.5, height - 0.5)), axis=-1)
        column, row = np.where(inside[:, None], position, 0).round().astype(int).T
        depth = self.values[row, column].astype(np.float64) * self.unit_m
        return np.where(inside & np.isfinite(depth) & (depth > 0), depth, np.nan)


@dataclass
class _Track:
    """What depth has told about one person."""

    filter: OneEuroFilter = field(default_factory=lambda: OneEuroFilter(_CUTOFF_HZ, _SPEED_GAIN))
    log_ratio: float = 0.0  # true over recovered distance
    seen_s: float = -math.inf


class DepthCorrection:
    """Corrects the distances of people, frame by frame.

    Where a depth image says nothing of a person, what it said before goes on: a recovered distance is
    mostly wrong by a factor that stays, because it comes of the person's size.
    """

    def __init__(self, body: BodyModel) -> None:
        self._body = body
        self._torso = _torso_faces(body)
        self._tracks: dict[int, _Track] = {}

    def reset(self) -> None:
        """Forget everybody."""
        self._tracks.clear()

    def __call__(
        self,
        people: Sequence[RecoveredPerson],
        depth: DepthImage | None,
        stamp_s: float,
        intrinsics: Intrinsics,
        max_correction: float = MAX_CORRECTION,
    ) -> tuple[list[RecoveredPerson], list[DepthOutcome]]:
        """The people of one frame, moved, and what the depth image said about each.

        Args:
            depth: of the same moment and view; None: there is none.
            stamp_s: of the frame, s.
            intrinsics: of the colour image.
            max_correction: depth that says more than (1 + this) times or less than 1 / (1 + this) of the
                distance sees something else than the person, and is not used.
        """
        moved, outcomes = [], []
        for person in people:
            track = self._tracks.setdefault(person.track_id, _Track())
            track.seen_s = stamp_s
            outcome = DepthOutcome.NO_IMAGE
            if depth is not None:
                outcome, ratio = self._measure(person, depth, intrinsics)
                if outcome is DepthOutcome.USED:
                    log_ratio = math.log(max(ratio, 1e-6))
                    if abs(log_ratio) > math.log1p(max_correction):
                        outcome = DepthOutcome.DISAGREES
                    else:
                        track.log_ratio = track.filter(log_ratio, stamp_s)
            moved.append(_at_distance(person, math.exp(track.log_ratio), intrinsics))
            outcomes.append(outcome)
        self._tracks = {
            track_id: track
            for track_id, track in self._tracks.items()
            if stamp_s - track.seen_s <= _MEMORY_S
        }
        return moved, outcomes

    def _measure(
        self, person: RecoveredPerson, depth: DepthImage, intrinsics: Intrinsics
    ) -> tuple[DepthOutcome, float]:
        """True over recovered distance of one person, if it can be told."""
        corners = self._body.vertices(person)[self._torso].astype(np.float64)  # [F, 3, 3]
        centres = corners.mean(1)
        normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        lengths = np.linalg.norm(normals, axis=-1) * np.linalg.norm(centres, axis=-1)
        facing = -(normals * centres).sum(-1) > _FACING * lengths
        skin = centres[facing]
        difference = depth.at(intrinsics.project(skin), intrinsics) - skin[:, 2]
        difference = difference[np.isfinite(difference)]
        if len(difference) <= _LEAST_SHARE * len(skin):
            return DepthOutcome.TOO_FEW_PIXELS, 1.0
        low, median, high = np.percentile(difference, (25, 50, 75))
        if high - low > _MOST_SCATTER_M:
            return DepthOutcome.SCATTERED, 1.0
        return DepthOutcome.USED, 1 + median / float(person.joints[0, 2])


def _torso_faces(body: BodyModel) -> np.ndarray:
    """Faces [F, 3] of the torso: in T-pose, from the hips to the collar, without the arms."""
    device = body.joint_template.device
    zeros = [torch.zeros(1, *shape, device=device) for shape in ((3,), (23, 3), (10,), (3,))]
    rest = body(*zeros)
    vertices, joints = rest.vertices[0].cpu().numpy(), rest.joints[0].cpu().numpy()
    hip, collar, shoulder = (
        joints[JOINT_NAMES.index(name)] for name in ("left_hip", "left_collar", "left_shoulder")
    )
    is_torso = (
        (vertices[:, 1] > hip[1])
        & (vertices[:, 1] < collar[1])
        & (np.abs(vertices[:, 0]) < abs(shoulder[0]))
    )
    return body.faces[is_torso[body.faces].all(1)]


def _at_distance(person: RecoveredPerson, ratio: float, intrinsics: Intrinsics) -> RecoveredPerson:
    """The same body at `ratio` times the distance, along the ray of its pelvis."""
    shift = ((ratio - 1) * person.joints[0]).astype(np.float32)
    joints = person.joints + shift
    return replace(
        person,
        transl=person.transl + shift,
        joints=joints,
        joints_2d=intrinsics.project(joints).astype(np.float32),
    )
