"""What BlazePose reports of landmarks whose true positions are known: a model of its errors.

The model follows measurements on rendered people (docs/observation_errors.md); its numbers are fitted,
see `error_statistics.py`. In the order of the code: limbs and bodies taken the wrong way round, what can
be seen, correlated errors whose size depends on part, sight, facing, apparent size and, in metres, on the
image error, then the body model's landmarks replaced by BlazePose's own. The metric ones have the depths that
BlazePose tells of them, are flattened, turned and scaled as a whole, and follow the image errors.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import roma
import torch
from torch import Tensor

from d3pose_core.data.cameras import CameraPath
from d3pose_core.data.certainty import draw_certainty
from d3pose_core.data.error_statistics import (
    CONFIDENCES,
    ERRORS,
    FACING_KNOTS,
    IN_VIEW_KNOTS,
    KIND_OF_ERROR,
    LOG_HEIGHT_KNOTS,
    LOG_IMAGE_ERROR_KNOTS,
    WHOLE_BODY,
    ErrorStatistics,
    Latents,
    at_signed,
    at_size,
    fitted_statistics,
    group_of_landmark,
)
from d3pose_core.data.mistaken_sides import FLIPPING_SHARE, mistaken_sides
from d3pose_core.data.random_processes import (
    correlated_noise,
    smooth_noise,
    smoothed,
    telegraph,
)
from d3pose_core.data.rivals import draw_rivals
from d3pose_core.data.sight import Sight, hidden_by_own_body, outside_image
from d3pose_core.data.stance import HIPS, PERSON_M, Stance, hats
from d3pose_core.data.told_depth import as_told
from d3pose_core.model.tokens import ObservationBatch
from d3pose_core.model.view import project
from d3pose_core.skeleton import LANDMARK_NAMES, NUM_LANDMARKS

IMAGE_HEIGHTS_PX = (360.0, 480.0, 480.0, 720.0)  # of the recordings
DEFINITION_JITTER = 0.4  # relative; clothes, bodies and networks differ
SIGHT_S = 0.1  # memory of a landmark's sight
SMOOTHING_S = 0.06  # slow errors are smooth over this time
# Log amplitude of what is new in every frame: its deviation, how much of its variance belongs to the
# sequence, to the moment (and for how long), to the single landmark.
UNREST, UNREST_SHARES, UNREST_S = 1.0, (0.3, 0.4, 0.3), 0.3
# Share of the time that each limb, and both legs, stand behind something, and for how long.
LOST_LIMB_SHARE, LOST_LIMB_S = 0.05, 0.8
LOST_LEGS_SHARE, LOST_LEGS_S = 0.06, 5.0

EASIEST = 0.2
FURTHEST_M = 0.4  # metric landmarks follow image errors no further: limbs are only so long

_LIMBS = {
    (side, limb): [LANDMARK_NAMES.index(f"{side}_{part}") for part in parts]
    for side in ("left", "right")
    for limb, parts in {
        "arm": ("elbow", "wrist", "pinky", "index", "thumb"),
        "leg": ("knee", "ankle", "heel", "foot_index"),
    }.items()
}
_GROUP = group_of_landmark()
_KIND = torch.tensor(KIND_OF_ERROR)
_USUAL = 3  # column of `SIZE_GRID` near the median


@dataclass(frozen=True)
class Realism:
    """What of BlazePose's errors is simulated."""

    errors: float = 1.0  # factor of all random errors; 0: none, nor swaps, nor gaps
    definition: bool = True  # landmarks lie where BlazePose puts them, not the body model
    # In this share of the sequences the errors are smaller, by a factor of `EASIEST` to 1: renders are harder
    # to read than a real person in good light, whose landmarks are 1 % of the height off instead of 2.5 %.
    easier: float = 0.0
    flipping: float = FLIPPING_SHARE  # share of the sequences with whole-body flips
    statistics: ErrorStatistics | None = None  # None: those that ship


def report_landmarks(
    truth: Tensor,
    cameras: CameraPath,
    times_s: Tensor,
    rng: torch.Generator,
    realism: Realism | None = None,
    covered: Tensor | None = None,
) -> ObservationBatch:
    """Observations of the landmarks `truth` [B, T, 33, 3] (camera optical frame, m) at `times_s` [B, T].

    `covered` [B, T, 33] bool: landmarks behind objects; by default, objects come and go at random.
    """
    realism = realism or Realism()
    statistics = realism.statistics or fitted_statistics()
    stance = Stance.of(truth)
    true_rays = rays = project(truth)
    told_depth = as_told(stance.relative, stance.facing, statistics)[..., 2]
    half_size = cameras.half_size
    if covered is None:
        covered = _lost_limbs(times_s, rng)
    sight = torch.where(hidden_by_own_body(stance.relative), int(Sight.BEHIND_SELF), 0)
    sight = torch.where(covered, int(Sight.BEHIND_OBJECT), sight)
    outside = outside_image(rays, truth[..., 2], half_size)
    sight = torch.where(outside, int(Sight.OUTSIDE), sight)
    in_view = (sight != Sight.OUTSIDE).float().mean(-1)
    beyond = rays - rays.clamp(-half_size[:, None, None], half_size[:, None, None])

    mistaken = torch.zeros_like(covered)
    if realism.errors > 0:
        order, depth = mistaken_sides(stance.facing, times_s, statistics, rng, realism.flipping)
        mistaken = order != torch.arange(NUM_LANDMARKS)
        rays, beyond, relative, sight, told_depth = (
            _reordered(x, order) for x in (rays, beyond, stance.relative, sight, told_depth)
        )
        relative = torch.cat([relative[..., :2], relative[..., 2:] * depth[..., None, None]], -1)
        told_depth = told_depth * depth[..., None]
        stance = Stance.of_relative(relative, stance.distance)

    meant_rays = rays  # where a landmark ought to be that is taken for the other side's, if it is
    numbers = _numbers(times_s, statistics, rng)
    whole = _whole_body(numbers, statistics)
    errors = realism.errors * _errors(
        numbers, whole, sight, stance, half_size, times_s, statistics, rng
    )
    if realism.easier > 0:
        draw = torch.rand(2, len(truth), generator=rng)
        factor = torch.where(draw[0] < realism.easier, EASIEST ** draw[1], 1.0)
        errors = errors * factor[:, None, None, None]
    by_image = image_error_factor(errors[..., :2], statistics.by_image_error)
    errors = errors * by_image[..., _KIND]
    defined = stance.relative
    if realism.definition:
        offset = (statistics.definition - torch.eye(NUM_LANDMARKS)) @ stance.relative
        jitter = torch.randn(len(truth), 1, NUM_LANDMARKS, 1, generator=rng)
        defined = stance.relative + offset * (1 + realism.errors * DEFINITION_JITTER * jitter)

    moved = (defined - stance.relative)[..., :2] + PERSON_M * errors[..., :2]
    height = (PERSON_M / stance.distance)[..., None, None]  # of the person, in rays
    pull = statistics.outside_pull[0] * beyond
    pull = pull + statistics.outside_pull[1] * beyond.sign() * height
    pull = realism.errors * pull
    rays = rays + moved / stance.distance[..., None, None] - pull

    image = errors[..., :2] - pull / height
    metric = _metric(
        defined, told_depth, whole, errors[..., 2:5], image, stance, statistics, realism
    )
    hint = statistics.hint_slope * metric[..., 2] + errors[..., 5]
    visibility, presence = _confidences(numbers, sight, statistics)
    image_error = (rays - meant_rays).norm(dim=-1) * stance.distance[..., None] / PERSON_M
    certainty = draw_certainty(image_error, mistaken, times_s, rng)
    apart, rival_certainty = draw_rivals((rays - true_rays) / height, certainty, times_s, rng)
    rival_rays = rays[..., None, :] + apart * height[..., None]
    seen = _found(in_view, times_s, statistics, rng)
    if realism.errors == 0:
        seen = in_view > IN_VIEW_KNOTS[1]
        rival_certainty = torch.zeros_like(rival_certainty)
    step = torch.diff(times_s, dim=1, prepend=times_s[:, :1])
    hint = hint / stance.distance[..., None]
    return ObservationBatch(
        *(rays, hint, metric, visibility, presence, certainty),
        *(rival_rays, rival_certainty, seen, step),
    )


def _lost_limbs(times_s: Tensor, rng: torch.Generator) -> Tensor:
    """[B, T, 33] bool: limbs behind furniture, both legs behind a table."""
    share = torch.tensor([LOST_LIMB_SHARE] * len(_LIMBS) + [LOST_LEGS_SHARE])
    length = torch.tensor([LOST_LIMB_S] * len(_LIMBS) + [LOST_LEGS_S])
    lost = telegraph(times_s, share, length, rng)
    covered = torch.zeros(*times_s.shape, NUM_LANDMARKS, dtype=torch.bool)
    for i, ((_, limb), landmarks) in enumerate(_LIMBS.items()):
        gone = lost[..., i] | lost[..., -1] if limb == "leg" else lost[..., i]
        covered[..., landmarks] = gone[..., None]
    return covered


def _reordered(values: Tensor, order: Tensor) -> Tensor:
    """`values` [B, T, 33, ...] with landmark i taken from `order` [B, T, 33]."""
    if values.ndim == order.ndim:
        return values.gather(2, order)
    return values.gather(2, order[..., None].expand(values.shape))


def _numbers(times_s: Tensor, statistics: ErrorStatistics, rng: torch.Generator) -> Tensor:
    """Gaussian numbers of all frames, [B, T, Latents.count]."""
    batch, frames = times_s.shape
    constant = torch.randn(batch, 1, statistics.constant.shape[1], generator=rng)
    slow = smooth_noise(
        times_s, statistics.slow.shape[1], float(statistics.memory_s), SMOOTHING_S, rng
    )
    fast = torch.randn(batch, frames, statistics.fast.shape[1], generator=rng) @ statistics.fast.T
    # Landmarks mostly hold still and at times jump, some people's more than others'.
    restless = (
        UNREST_SHARES[0] ** 0.5 * torch.randn(batch, 1, 1, generator=rng)
        + UNREST_SHARES[1] ** 0.5 * correlated_noise(times_s, 1, UNREST_S, rng)
        + UNREST_SHARES[2] ** 0.5 * torch.randn(batch, frames, NUM_LANDMARKS, generator=rng)
    )
    amplitude = torch.exp(UNREST * restless - UNREST**2)  # of unit mean square
    fast[..., Latents.errors] *= amplitude.repeat_interleave(ERRORS, -1)
    return constant @ statistics.constant.T + slow @ statistics.slow.T + fast


def _whole_body(numbers: Tensor, statistics: ErrorStatistics) -> dict[str, Tensor]:
    """The values [B, T] of `WHOLE_BODY`."""
    gauss = numbers[..., Latents.whole_body]
    values = at_signed(statistics.whole_body, torch.arange(len(WHOLE_BODY)), gauss)
    return dict(zip(WHOLE_BODY, values.unbind(-1), strict=True))


def _errors(
    numbers: Tensor,
    whole: dict[str, Tensor],
    sight: Tensor,
    stance: Stance,
    half_size: Tensor,
    times_s: Tensor,
    statistics: ErrorStatistics,
    rng: torch.Generator,
) -> Tensor:
    """[B, T, 33, ERRORS] of each landmark, see `KIND_OF_ERROR`, but for the factor by the image error."""
    gauss = numbers[..., Latents.errors].unflatten(-1, (NUM_LANDMARKS, ERRORS))
    cell = _GROUP * len(Sight) + sight  # [B, T, 33]
    sizes = statistics.sizes.flatten(0, 2)
    row = cell[..., None] + _KIND * (len(sizes) // len(statistics.sizes))
    size = at_size(sizes, row, gauss)
    # What hides a landmark for a frame only does not throw the network off at once.
    now = sizes[:, _USUAL].clamp_min(1e-4).log()[row]
    usual = smoothed(now, times_s, SIGHT_S)
    size = size * (usual - now).exp()

    pixels = torch.tensor(IMAGE_HEIGHTS_PX)[
        torch.randint(len(IMAGE_HEIGHTS_PX), (len(sight), 1), generator=rng)
    ]
    height = pixels / 2 / half_size[:, 1:] * PERSON_M / stance.distance
    factor = hats(stance.facing, FACING_KNOTS) @ statistics.by_facing.log().T
    factor = factor + hats(height.log(), LOG_HEIGHT_KNOTS) @ statistics.by_height.log().T
    difficulty = torch.stack(
        [whole["log_image_difficulty"]] + [whole["log_metric_difficulty"]] * 3, -1
    )
    factor = (factor + difficulty).exp()  # [B, T, K]
    return size * gauss.sign() * factor[..., None, _KIND]


def image_error_factor(image: Tensor, by_image_error: Tensor) -> Tensor:
    """Of the errors [..., K] of a landmark that is off by `image` [..., 2], person heights, in the image."""
    size = image.norm(dim=-1).clamp_min(1e-6).log()
    return (hats(size, LOG_IMAGE_ERROR_KNOTS) @ by_image_error.log().T).exp()


def with_image_error(landmarks: Tensor, image: Tensor, share: Tensor) -> Tensor:
    """Landmarks [..., 33, 3] m that are off as those in the image are, by `image` [..., 33, 2] heights.

    `share` [33]: of the image error less that of the mid-hip, up to `FURTHEST_M`.
    """
    off = PERSON_M * (image - image[..., HIPS, :].mean(-2, keepdim=True))
    off = off.clamp(-FURTHEST_M, FURTHEST_M)
    return landmarks + torch.nn.functional.pad(share[:, None] * off, (0, 1))


def _metric(
    defined: Tensor,
    told_depth: Tensor,
    whole: dict[str, Tensor],
    errors: Tensor,
    image: Tensor,
    stance: Stance,
    statistics: ErrorStatistics,
    realism: Realism,
) -> Tensor:
    """Metric landmarks [B, T, 33, 3] about their own mid-hip.

    Args:
        defined: [B, T, 33, 3] m, BlazePose's landmarks; told_depth: [B, T, 33] m of them.
        errors: [B, T, 33, 3] m; image: [B, T, 33, 2] by how much landmarks are off there, person heights.
    """
    defined = defined - defined[..., HIPS, :].mean(-2, keepdim=True)
    if realism.errors == 0:
        return defined
    told = torch.cat([defined[..., :2], told_depth[..., None]], -1)
    flattened = torch.ones_like(told[..., :1, :])
    flattened[..., 0, 2] = whole["log_slope"].exp()
    turn = torch.stack([whole[name] for name in ("pitch", "yaw", "roll")], -1)
    turn = roma.rotvec_to_rotmat(turn)
    metric = whole["log_size"].exp()[..., None, None] * (
        (told * flattened) @ turn.transpose(-1, -2)
    )
    bias = (hats(stance.facing, FACING_KNOTS) @ statistics.bias.flatten(1)).unflatten(-1, (-1, 3))
    metric = metric + bias @ stance.axes.transpose(-1, -2) + errors
    metric = with_image_error(metric, image, statistics.follows_image)
    return metric - metric[..., HIPS, :].mean(-2, keepdim=True)


def _confidences(
    numbers: Tensor, sight: Tensor, statistics: ErrorStatistics
) -> tuple[Tensor, Tensor]:
    """Visibility and presence [B, T, 33]: lower where the image error is large."""
    gauss = numbers[..., Latents.confidences].unflatten(-1, (len(CONFIDENCES), NUM_LANDMARKS))
    across = numbers[..., Latents.errors].unflatten(-1, (NUM_LANDMARKS, ERRORS))[..., :2]
    of_error = size_score(across)
    tables = statistics.confidence.flatten(1, 2)
    out = []
    for which in range(len(CONFIDENCES)):
        with_error = float(statistics.confidence_of_error[which])
        own = math.sqrt(1 - with_error**2) * gauss[..., which, :] + with_error * of_error
        out.append(at_signed(tables[which], _GROUP * len(Sight) + sight, own).sigmoid())
    return out[0], out[1]


def size_score(gauss: Tensor) -> Tensor:
    """Gaussian number [...] of the length of an image error whose two numbers are `gauss` [..., 2]."""
    shorter = 1 - torch.exp(-gauss.square().sum(-1) / 2)  # share of such errors that are shorter
    return torch.special.ndtri(shorter.clamp(1e-4, 1 - 1e-4))


def _found(
    in_view: Tensor, times_s: Tensor, statistics: ErrorStatistics, rng: torch.Generator
) -> Tensor:
    """[B, T] bool: the person is reported; sequences begin with the first report if they can."""
    found = hats(in_view, IN_VIEW_KNOTS) @ statistics.found
    short = statistics.short_gaps.expand_as(found)
    share = torch.stack([short, 1 - found / (1 - short)], -1)
    share[:, 0] = torch.where(in_view[:, :1] > IN_VIEW_KNOTS[1], 0.0, share[:, 0])
    return ~telegraph(times_s, share, statistics.gap_s, rng).any(-1)
