"""What BlazePose reports of landmarks whose true positions are known: a model of its errors.

The magnitudes are those measured on real footage against a multi-camera reference: image error
about 1 % of the person's height, metric error 28 mm across and 93 mm along the viewing direction,
depth range compressed to about three quarters, whole bodies taken front for back in bursts, limbs
lost. Errors are correlated in time, for a tracked landmark network repeats its mistakes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from d3pose_core.data.cameras import CameraPath
from d3pose_core.model.tokens import ObservationBatch
from d3pose_core.skeleton import LANDMARK_MIRROR, LANDMARK_NAMES, NUM_LANDMARKS

IMAGE_ERROR = 0.008  # of the person's height along each axis; the distance is then about 1 %
METRIC_ERROR_ACROSS_M = 0.024  # along each of the two axes
METRIC_ERROR_DEPTH_M = 0.070
PERSON_HEIGHT_M = 1.7
OUT_OF_SIGHT_FACTOR = 3.0  # how much larger errors are where nothing is seen


def _index(*names: str) -> list[int]:
    return [LANDMARK_NAMES.index(name) for name in names]


_SHOULDERS = _index("left_shoulder", "right_shoulder")
_HIPS = _index("left_hip", "right_hip")
_FACE = list(range(11))
_LIMBS = {
    f"{side}_{limb}": _index(*(f"{side}_{part}" for part in parts))
    for side in ("left", "right")
    for limb, parts in {
        "arm": ("elbow", "wrist", "pinky", "index", "thumb"),
        "leg": ("knee", "ankle", "heel", "foot_index"),
    }.items()
}


def correlated_noise(
    times_s: Tensor, shape: tuple[int, ...], memory_s: Tensor, rng: torch.Generator
) -> Tensor:
    """Unit-variance noise [B, T, *shape] that forgets itself with the time constant `memory_s` [B].

    A first-order autoregressive process sampled at `times_s` [B, T], whatever their spacing.
    """
    batch, frames = times_s.shape
    white = torch.randn(batch, frames, *shape, generator=rng)
    step = torch.diff(times_s, dim=1, prepend=times_s[:, :1])
    keep = torch.exp(-step / memory_s[:, None]).view(batch, frames, *[1] * len(shape))
    fresh = (1 - keep**2).clamp_min(0).sqrt()
    out = [white[:, 0]]
    for t in range(1, frames):
        out.append(keep[:, t] * out[-1] + fresh[:, t] * white[:, t])
    return torch.stack(out, 1)


def bursts(times_s: Tensor, share: float, length_s: float, rng: torch.Generator) -> Tensor:
    """Bool [B, T]: a run of about `length_s` seconds, somewhere, in a `share` of the sequences."""
    batch = len(times_s)
    center = torch.rand(batch, 1, generator=rng) * times_s[:, -1:]
    length = length_s * torch.empty(batch, 1).exponential_(generator=rng)
    happens = torch.rand(batch, 1, generator=rng) < share
    return happens & ((times_s - center).abs() <= length / 2)


def hidden_by_own_body(relative: Tensor) -> Tensor:
    """Which landmarks the torso (or the head) hides, [B, T, 33] bool, from rough geometry.

    Args:
        relative: [B, T, 33, 3] landmarks about the mid-hip, m, seen along +z.
    """
    hip = relative[..., _HIPS, :].mean(-2, keepdim=True)
    shoulder = relative[..., _SHOULDERS, :].mean(-2, keepdim=True)
    axis = shoulder - hip
    along = ((relative - hip) * axis).sum(-1) / axis.square().sum(-1).clamp_min(1e-4)
    nearest = hip + along.clamp(0, 1)[..., None] * axis
    offset = relative - nearest
    behind_torso = (offset[..., :2].norm(dim=-1) < 0.14) & (offset[..., 2] > 0.10)
    head = relative[..., _FACE, :].mean(-2, keepdim=True)
    behind_head = torch.zeros_like(behind_torso)
    # Seen from behind, the nose lies beyond the ears.
    behind_head[..., _FACE] = (relative[..., _FACE, 2] - head[..., 2]) > 0.03
    return behind_torso | behind_head


def report_landmarks(
    truth: Tensor, cameras: CameraPath, times_s: Tensor, rng: torch.Generator
) -> ObservationBatch:
    """Observations of the landmarks `truth` [B, T, 33, 3] (camera optical frame, m) at `times_s` [B, T]."""
    batch, frames = times_s.shape
    person_scale = torch.exp(0.4 * torch.randn(batch, generator=rng))  # some people are harder

    middle = truth[..., _HIPS, :].mean(-2, keepdim=True)
    depth = truth[..., 2:].clamp_min(0.2)
    rays = truth[..., :2] / depth
    # Metric landmarks are relative to the mid-hip, in the axes of a camera that faces the person.
    toward = torch.nn.functional.normalize(middle, dim=-1)
    across = torch.nn.functional.normalize(
        torch.linalg.cross(torch.tensor([0.0, 1.0, 0.0]).expand_as(toward), toward), dim=-1
    )
    facing = torch.cat([across, torch.linalg.cross(toward, across), toward], -2)  # [B, T, 3, 3]
    relative = (truth - middle) @ facing.transpose(-1, -2)

    outside = (rays[..., 0].abs() > cameras.half_width[:, None, None]) | (
        rays[..., 1].abs() > cameras.half_height[:, None, None]
    )
    hidden = hidden_by_own_body(relative) | _lost_limbs(times_s, rng)
    unseen = outside | hidden

    flipped = bursts(times_s, 0.12, 0.3, rng) | bursts(times_s, 0.1, 1.5, rng)
    rays, relative, unseen, outside = (
        torch.where(_like(flipped, x), x[:, :, list(LANDMARK_MIRROR)], x)
        for x in (rays, relative, unseen, outside)
    )
    # Front taken for back: sides swap and so does what is near and far.
    relative = torch.where(
        _like(flipped, relative), relative * torch.tensor([1.0, 1.0, -1.0]), relative
    )

    harder = torch.where(unseen, OUT_OF_SIGHT_FACTOR, 1.0)[..., None] * person_scale.view(
        -1, 1, 1, 1
    )
    memory = 0.05 + 0.4 * torch.rand(batch, generator=rng)
    # Slow drift and fast shake, each with heavy tails: a landmark sometimes goes somewhere else.
    drift = correlated_noise(times_s, (NUM_LANDMARKS, 5), memory, rng)
    shake = torch.randn(batch, frames, NUM_LANDMARKS, 5, generator=rng)
    habit = torch.randn(batch, 1, NUM_LANDMARKS, 5, generator=rng)  # constant for this person
    noise = 0.75 * drift * (1 + 0.5 * drift.abs()) / 1.5 + 0.35 * shake + 0.6 * habit
    # The network's image and metric outputs err together; five numbers drive both.
    size = PERSON_HEIGHT_M / middle[..., 2].clamp_min(0.2)  # [B, T, 1] angular height of a person
    rays = rays + noise[..., :2] * harder * (IMAGE_ERROR * size)[..., None]

    compress = 0.6 + 0.4 * torch.rand(batch, 1, 1, generator=rng)
    depth_error = noise[..., 4] * harder[..., 0] * METRIC_ERROR_DEPTH_M
    scale = 1 + 0.06 * torch.randn(batch, 1, 1, 1, generator=rng)
    near = relative[..., 2] * compress + depth_error
    metric_xy = relative[..., :2] * scale + noise[..., 2:4] * harder * METRIC_ERROR_ACROSS_M
    depth_hint = near / middle[..., 2].clamp_min(0.2) * (1 + 0.1 * habit[:, :, :1, 0])
    metric = torch.cat([metric_xy, near[..., None] * scale], -1)

    visibility, presence = _confidences(outside, unseen, times_s, rng)
    # Not found: now and then for a few frames, and whenever less than a third of the body is in
    # view.
    seen = ~bursts(times_s, 0.15, 0.25, rng) & (outside.float().mean(-1) < 0.67)
    step = torch.diff(times_s, dim=1, prepend=times_s[:, :1])
    return ObservationBatch(rays, depth_hint, metric, visibility, presence, seen, step)


def _lost_limbs(times_s: Tensor, rng: torch.Generator) -> Tensor:
    """[B, T, 33] bool: limbs behind furniture or out of the network's mind for a while."""
    lost = torch.zeros(*times_s.shape, NUM_LANDMARKS, dtype=torch.bool)
    for landmarks in _LIMBS.values():
        lost[..., landmarks] |= bursts(times_s, 0.06, 0.8, rng)[..., None]
    legs = _LIMBS["left_leg"] + _LIMBS["right_leg"]
    lost[..., legs] |= bursts(times_s, 0.10, 5.0, rng)[..., None]  # behind a table
    return lost


def _confidences(
    outside: Tensor, unseen: Tensor, times_s: Tensor, rng: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Visibility and presence [B, T, 33]: mostly right, smooth in time, never certain."""
    batch = len(times_s)
    wobble = correlated_noise(times_s, (NUM_LANDMARKS, 2), torch.full((batch,), 0.3), rng)
    visibility = torch.sigmoid(torch.where(unseen, -0.5, 4.5) + 1.5 * wobble[..., 0])
    presence = torch.sigmoid(torch.where(outside, -1.0, 5.5) + 1.5 * wobble[..., 1])
    return visibility, presence


def _like(mask: Tensor, x: Tensor) -> Tensor:
    """[B, T] -> broadcastable to x [B, T, ...]."""
    return mask.view(*mask.shape, *[1] * (x.ndim - 2))
