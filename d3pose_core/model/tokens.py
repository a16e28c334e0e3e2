"""From a person's observed landmarks to the numbers that the network reads.

Each frame is seen through a view camera (`view.py`), so that where in the image a person stands
does not matter.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from d3pose_core.model.view import ViewCamera, look_at_rotation, view_rays
from d3pose_core.skeleton import LANDMARK_MIRROR, LANDMARK_NAMES, MIRRORED_POINT, RIVALS

# The order of the first stage's slots. Neighbours merge, windows of six are one part of the body.
FRAME_SLOT, FILLER_SLOT = "frame", "filler"
SLOT_ORDER: tuple[str, ...] = (
    *(FRAME_SLOT, "nose", "left_eye_inner", "left_eye", "left_eye_outer", "left_ear"),
    *("right_eye_inner", "right_eye", "right_eye_outer", "right_ear", "mouth_left", "mouth_right"),
    *("left_shoulder", "left_elbow", "left_wrist", "left_index", "left_pinky", "left_thumb"),
    *("right_shoulder", "right_elbow", "right_wrist", "right_index", "right_pinky", "right_thumb"),
    *("left_hip", "left_knee", "left_ankle", "left_heel", "left_foot_index", FILLER_SLOT),
    *("right_hip", "right_knee", "right_ankle", "right_heel", "right_foot_index", FILLER_SLOT),
)
# Position 2, depth hint 1, metric landmark 3, visibility 1, presence 1, certainty 1; of each rival, how far
# from the landmark it is, 2, and its certainty 1.
LANDMARK_FEATURES = 9 + 3 * RIVALS
CERTAINTY = 8  # the feature's place
FRAME_FEATURES = 4  # direction of the person 2, log size 1, log time step 1

# The landmarks that say where a person is and how large: limb joints and the nose.
_CORE_PARTS = ("nose", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")
CORE_LANDMARKS = [i for i, name in enumerate(LANDMARK_NAMES) if name.split("_")[-1] in _CORE_PARTS]


# The arrays of an `ObservationBatch` whose third axis is the landmarks.
_OF_LANDMARKS = (
    *("rays", "depth_hint", "landmarks", "visibility", "presence", "certainty"),
    *("rival_rays", "rival_certainty"),
)


@dataclass
class ObservationBatch:
    """Observations of B people over T frames, in the network's units.

    Landmark arrays of an unseen frame (`seen` False) are never read.
    """

    rays: Tensor  # [B, T, 33, 2] viewing rays (x/z, y/z) in the camera's optical frame
    depth_hint: Tensor  # [B, T, 33] relative depth over focal length, hips near 0
    landmarks: Tensor  # [B, T, 33, 3] m, mid-hip origin, axes of a camera facing the person
    visibility: Tensor  # [B, T, 33] 0..1
    presence: Tensor  # [B, T, 33] 0..1
    certainty: Tensor  # [B, T, 33] 0..1
    rival_rays: Tensor  # [B, T, 33, RIVALS, 2] where else it may be, see `blazepose.rivals`
    rival_certainty: Tensor  # [B, T, 33, RIVALS] 0..1; 0: there is none, its ray is never read
    seen: Tensor  # [B, T] bool
    step_s: Tensor  # [B, T] seconds since the frame before (any value at a track's first frame)

    def __getitem__(self, index) -> ObservationBatch:
        """Index or slice every array alike, e.g. `batch[:, 10:20]`."""
        return ObservationBatch(**{f.name: getattr(self, f.name)[index] for f in fields(self)})

    def replaced(self, other: ObservationBatch, where: Tensor) -> ObservationBatch:
        """`other` of the people `where` [B] is True, or in the frames where [B, T] is; else this."""

        def pick(name: str) -> Tensor:
            ours, theirs = getattr(self, name), getattr(other, name)
            return torch.where(
                where.view(*where.shape, *[1] * (ours.ndim - where.ndim)), theirs, ours
            )

        return ObservationBatch(**{f.name: pick(f.name) for f in fields(self)})

    def exchanged(self) -> ObservationBatch:
        """Left landmarks called right, and right ones left; all of them where they are."""
        order = list(LANDMARK_MIRROR)
        return replace(self, **{name: getattr(self, name)[:, :, order] for name in _OF_LANDMARKS})

    def mirrored(self) -> ObservationBatch:
        """The same people as a mirrored image shows them: left and right exchanged, x turned round."""
        other, x_turned = self.exchanged(), self.rays.new_tensor(MIRRORED_POINT)
        return replace(
            other,
            rays=other.rays * x_turned[:2],
            rival_rays=other.rival_rays * x_turned[:2],
            landmarks=other.landmarks * x_turned,
        )

    def to(self, device: torch.device) -> ObservationBatch:
        return ObservationBatch(**{f.name: getattr(self, f.name).to(device) for f in fields(self)})


@dataclass
class Tokens:
    landmark_features: Tensor  # [B, T, 33, LANDMARK_FEATURES]
    frame_features: Tensor  # [B, T, FRAME_FEATURES]
    visible: Tensor  # [B, T, 33] bool: landmark may be attended to
    view: ViewCamera


def tokenize(batch: ObservationBatch, min_presence: float) -> Tokens:
    """Scale-free features of each landmark and frame; see `ObservationBatch` for shapes and units."""
    seen = batch.seen[..., None]
    # A hidden landmark still says roughly where the person is, so it keeps a small weight; the
    # weights change smoothly with visibility, so that the view does not jump.
    weight = batch.visibility[..., CORE_LANDMARKS].clamp(0.1, 1.0)[..., None]
    weight = weight / weight.sum(-2, keepdim=True)
    center = (batch.rays[..., CORE_LANDMARKS, :] * weight).sum(-2)
    center = center.where(seen, 0.0)
    rotation = look_at_rotation(center)
    rays = view_rays(batch.rays, rotation)
    spread = (rays[..., CORE_LANDMARKS, :].square().sum(-1, keepdim=True) * weight).sum((-2, -1))
    size = spread.where(batch.seen, 1.0).sqrt().clamp_min(1e-4)

    is_rival = batch.rival_certainty > 0
    apart = view_rays(batch.rival_rays.flatten(2, 3), rotation).unflatten(2, is_rival.shape[2:])
    apart = (apart - rays[..., None, :]) / size[..., None, None, None]
    rivals = torch.cat([apart, batch.rival_certainty[..., None]], -1).where(
        is_rival[..., None], 0.0
    )
    landmark_features = torch.cat(
        [
            rays / size[..., None, None],
            (batch.depth_hint / size[..., None])[..., None],
            batch.landmarks * 2.0,  # metres to about unit variance
            batch.visibility[..., None] * 2 - 1,
            batch.presence[..., None] * 2 - 1,
            batch.certainty[..., None] * 2 - 1,
            rivals.flatten(-2),
        ],
        -1,
    )
    # Wild landmarks (an arm behind a wide-angle camera's edge) must not blow up the activations.
    landmark_features = landmark_features.clamp(-5, 5).where(seen[..., None], 0.0)
    log_step = torch.log(batch.step_s.clamp(1e-3, 10.0) * 30)
    frame_features = torch.cat([center, size.log()[..., None], log_step[..., None]], -1)
    visible = seen & (batch.presence >= min_presence)
    return Tokens(landmark_features, frame_features, visible, ViewCamera(rotation, size))


def slot_index() -> Tensor:
    """[36] where each slot's features lie in (33 landmarks, frame, filler) stacked along one axis."""
    source = (*LANDMARK_NAMES, FRAME_SLOT, FILLER_SLOT)
    return torch.tensor([source.index(name) for name in SLOT_ORDER])
