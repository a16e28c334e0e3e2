"""Fits the statistics that the training's simulator draws BlazePose's errors from."""

from __future__ import annotations

import math
from dataclasses import dataclass

import roma
import torch
from torch import Tensor

from d3pose_core.data.error_statistics import (
    CONFIDENCES,
    CONSTANT,
    ERRORS,
    FACING_KNOTS,
    IN_VIEW_KNOTS,
    KIND_OF_ERROR,
    KINDS,
    LOG_HEIGHT_KNOTS,
    LOG_IMAGE_ERROR_KNOTS,
    SIGNED_GRID,
    SIZE_GRID,
    WHOLE_BODY,
    ErrorStatistics,
    group_of_landmark,
)
from d3pose_core.data.landmark_noise import (
    FURTHEST_M,
    image_error_factor,
    size_score,
    with_image_error,
)
from d3pose_core.data.rendered import RenderedSet
from d3pose_core.data.sight import Sight
from d3pose_core.data.stance import PERSON_M, Stance, hats
from d3pose_core.data.told_depth import depth_features, with_told_depth
from d3pose_core.model.view import project
from d3pose_core.skeleton import LANDMARK_MIRROR, LANDMARK_NAMES, MIRRORED_POINT, NUM_LANDMARKS
from tools.measure_landmarks.errors import LIMBS, Errors
from tools.measure_landmarks.memory import fit_loadings
from tools.measure_landmarks.told import looks_at_the_person, normal_equations, ridge_of

_WILD = 0.08  # image errors above it, in person heights, are mistakes rather than definitions
_BOUND_M = 0.3  # metric errors beyond it count as this large in means
_HEIGHT_FACTORS = 0.7, 2.5  # few of the recorded people are tiny
_HARDEST = 1.6  # log; few clips are harder, and those are hardly seen
_NO_TURN = 0.25  # weight of "not turned" against the landmarks' own say
_TOGETHER = 5  # frames to either side that have one turn
_FEWEST = 400  # errors that a table of their own takes
_GROUPS = int(group_of_landmark().max()) + 1
_MIRROR = list(LANDMARK_MIRROR)


@dataclass
class Residuals:
    """What is left of the errors once all that has a name is taken away."""

    landmarks: Tensor  # [C, T, 33, 6] see `KIND_OF_ERROR`
    good: Tensor  # [C, T, 33] bool: seen and not swapped
    factor: Tensor  # [C, T, 33, 6] of its usual size, by facing, height and the clip's difficulty


def fit(recorded: RenderedSet) -> ErrorStatistics:
    """All statistics; see `ErrorStatistics` for their meaning."""
    errors, stance = Errors.of(recorded), Stance.of(recorded.true_landmarks)
    good = errors.usable[..., None] & ~errors.mistaken

    definition = _definition(recorded, errors, stance, good)
    image = errors.image - ((definition @ stance.relative) - stance.relative)[..., :2] / PERSON_M
    image_with_pull = image
    pull, image = _outside_pull(recorded, stance, image, good)
    defined = definition @ stance.relative
    defined = defined - defined[..., 23:25, :].mean(-2, keepdim=True)
    reported = recorded.landmarks - recorded.landmarks[..., 23:25, :].mean(-2, keepdim=True)
    told_depth = _told_depth(defined, reported, stance, errors)
    told = with_told_depth(defined, stance.facing, told_depth)
    turned, size, slope, metric = _as_whole(told, reported, errors.usable)
    bias = _bias(metric, stance, good & (recorded.sight != Sight.OUTSIDE))
    by_facing = torch.einsum("ctk,kle->ctle", hats(stance.facing, FACING_KNOTS), bias)
    metric = metric - by_facing @ stance.axes.transpose(-1, -2)
    follows_image = _follows_image(metric, image_with_pull, good)
    metric = with_image_error(metric, image_with_pull, -follows_image)
    hint = recorded.depth_hint * errors.distance[..., None]
    hint_slope = _slope(reported[..., 2][errors.usable], hint[errors.usable])
    hint = hint - hint_slope * reported[..., 2]

    left = torch.cat([image, metric, hint[..., None]], -1)
    by_image_error = _by_image_error(left, good)
    left = left / image_error_factor(image, by_image_error)[..., torch.tensor(KIND_OF_ERROR)]
    height = (PERSON_M * recorded.camera[:, None, 1] / errors.distance).log()
    cells = group_of_landmark() * len(Sight) + recorded.sight.long()
    left_over, tables = _tables(left, good, cells, stance.facing, height)
    scores = _scores(left_over, tables["sizes"].flatten(1, 2), cells)

    difficulty = [d.clamp_max(_HARDEST) for d in left_over.difficulty]
    constant = (
        slope.log()[:, None].expand_as(size),
        *(d[:, None].expand_as(size) for d in difficulty),
    )
    whole = torch.stack([*turned.unbind(-1), size.log(), *constant], -1)
    whole_tables, whole_scores = _signed_scores(whole, errors.usable)
    confidence, confidence_scores = _confidences(recorded, good, cells)
    of_error = _confidence_of_error(scores, confidence_scores, good)

    vector = torch.cat(
        [scores.flatten(2), whole_scores, confidence_scores.transpose(-1, -2).flatten(2)], -1
    )
    known = torch.cat(
        [
            good[..., None].expand(*good.shape, ERRORS).flatten(2),
            errors.usable[..., None].expand(*whole.shape),
            good.repeat(1, 1, len(CONFIDENCES)),
        ],
        -1,
    )
    step = float(recorded.times_s.diff(dim=1).median())
    always = ERRORS * NUM_LANDMARKS + torch.tensor([WHOLE_BODY.index(n) for n in CONSTANT])
    constant_l, slow, fast, memory = fit_loadings(vector, known, step, always, mirrored_numbers())
    return ErrorStatistics(
        definition=definition,
        outside_pull=pull,
        told_depth=told_depth,
        bias=bias,
        hint_slope=hint_slope,
        **tables,
        by_image_error=by_image_error,
        follows_image=follows_image,
        whole_body=whole_tables,
        confidence=confidence,
        confidence_of_error=of_error,
        constant=constant_l,
        slow=slow,
        fast=fast,
        memory_s=torch.tensor(memory),
        **_found(recorded, errors, step),
        flipped=torch.stack([errors.flipped[f].float().mean() for f in _facings(recorded, stance)]),
        part_flipped=torch.stack(
            [
                (part & ~errors.flipped)[recorded.seen].float().mean()
                for part in (errors.legs_flipped, errors.arms_flipped)
            ]
        ),
    )


def _facings(recorded: RenderedSet, stance: Stance) -> list[Tensor]:
    """Seen frames [C, T] nearest to each of `FACING_KNOTS`."""
    nearest = hats(stance.facing, FACING_KNOTS).argmax(-1)
    return [recorded.seen & (nearest == k) for k in range(len(FACING_KNOTS))]


def _slope(x: Tensor, y: Tensor) -> Tensor:
    return (x * y).sum() / x.square().sum()


def _neighbours(name: str) -> list[int]:
    """Landmarks from which the place of `name` is told."""
    if LANDMARK_NAMES.index(name) < 11:
        return list(range(13))
    side, _, part = name.partition("_")
    if part in ("shoulder", "hip"):
        return [0, 7, 8, 11, 12, 23, 24]
    limb: tuple[str, ...] = ("hip", "knee", "ankle", "heel", "foot_index")
    if part not in limb:
        limb = ("shoulder", "elbow", "wrist", "pinky", "index", "thumb")
    return [LANDMARK_NAMES.index(f"{side}_{p}") for p in limb]


def _definition(recorded: RenderedSet, errors: Errors, stance: Stance, good: Tensor) -> Tensor:
    """[33, 33] weights by which BlazePose's landmarks are made of the true ones, alike left and right."""
    matrix = torch.eye(NUM_LANDMARKS)
    chosen = good & (recorded.sight == Sight.VISIBLE) & (errors.image_size < _WILD)
    for i, name in enumerate(LANDMARK_NAMES):
        others = [j for j in _neighbours(name) if j != i]
        points = stance.relative[chosen[..., i]]
        across = (points[:, others] - points[:, i : i + 1])[..., :2]  # [N, J, 2]
        moved = PERSON_M * errors.image[..., i, :][chosen[..., i]]  # [N, 2]
        a, b = across.transpose(1, 2).flatten(0, 1), moved.flatten()
        ridge = 0.001 * len(a) * torch.eye(len(others))
        weights = torch.linalg.solve(a.T @ a + ridge, a.T @ b)
        matrix[i, others] = weights
        matrix[i, i] -= weights.sum()
    return (matrix + matrix[_MIRROR][:, _MIRROR]) / 2


def _outside_pull(
    recorded: RenderedSet, stance: Stance, image: Tensor, good: Tensor
) -> tuple[Tensor, Tensor]:
    """How landmarks outside are drawn to the border: [2], and the image errors without that."""
    half = recorded.camera[:, 4:] / 2 / recorded.camera[:, :2]
    rays = project(recorded.true_landmarks)
    beyond = rays - rays.clamp(-half[:, None, None], half[:, None, None])
    beyond = beyond * (stance.distance / PERSON_M)[..., None, None]
    outside = (good & (recorded.sight == Sight.OUTSIDE))[..., None] & (beyond != 0)
    x, y = beyond[outside], image[outside].clamp(-1, 1)
    design = torch.stack([x, x.sign()], 1)
    pull = torch.linalg.lstsq(design, y[:, None]).solution[:, 0]
    return -pull, image - (pull[0] * beyond + pull[1] * beyond.sign())


def _told_depth(defined: Tensor, reported: Tensor, stance: Stance, errors: Errors) -> Tensor:
    """[300, 33]: reported depths by ridge regression on where the landmarks are, alike left and right.

    Of frames in which BlazePose looks at the person; elsewhere its depths are errors.
    """
    mirror = torch.tensor(MIRRORED_POINT)
    product, answers = torch.zeros(()), torch.zeros(())
    for clip, frames in enumerate(looks_at_the_person(errors)):
        there, facing = defined[clip][frames], stance.facing[clip][frames]
        depth = reported[clip][frames][..., 2]
        for places, depths in ((there, depth), (there[:, _MIRROR] * mirror, depth[:, _MIRROR])):
            part = normal_equations(depth_features(places, facing), depths)
            product, answers = product + part[0], answers + part[1]
    return ridge_of(product, answers)


def _as_whole(
    true: Tensor, reported: Tensor, usable: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Turn [C, T, 3] rad, size [C, T] and slope of depth [C] of the whole body, and the rest."""
    slope = torch.ones(len(true))
    ones = torch.ones_like(slope)
    limbs_true, limbs = true[..., LIMBS, :], reported[..., LIMBS, :]
    for _ in range(4):
        flattened = torch.stack([ones, ones, slope], -1)[:, None, None]
        source = limbs_true * flattened
        spread = source.square().sum((-1, -2))[..., None, None]
        # Turned over neighbouring frames together, and only as far as the landmarks insist: what is
        # left belongs to the single landmarks.
        product = limbs.transpose(-1, -2) @ source + _NO_TURN * spread * torch.eye(3)
        product = _moving_sum(torch.where(usable[..., None, None], product, 0.0))
        rotation = roma.special_procrustes(product + 1e-6 * torch.eye(3))
        back = limbs @ rotation
        size = (back * source).sum((-1, -2)) / source.square().sum((-1, -2)).clamp_min(1e-6)
        size = size.clamp(0.4, 2)
        depth = (back / size[..., None, None])[..., 2]
        weight = usable[..., None] * limbs_true[..., 2]
        slope = (depth * weight).sum((1, 2)) / (limbs_true[..., 2] * weight).sum((1, 2)).clamp_min(
            1e-3
        )
        slope = slope.clamp(0.4, 2)
    flattened = torch.stack([ones, ones, slope], -1)[:, None, None]
    whole = size[..., None, None] * (true * flattened) @ rotation.transpose(-1, -2)
    return roma.rotmat_to_rotvec(rotation), size, slope, reported - whole


def _moving_sum(values: Tensor) -> Tensor:
    """Sums [C, T, ...] over `_TOGETHER` frames to either side."""
    padded = torch.cat([torch.zeros_like(values[:, :1]), values.cumsum(1)], 1)
    frames = torch.arange(values.shape[1])
    last = (frames + _TOGETHER + 1).clamp_max(values.shape[1])
    return padded[:, last] - padded[:, (frames - _TOGETHER).clamp_min(0)]


def _follows_image(metric: Tensor, image: Tensor, good: Tensor) -> Tensor:
    """[33] slope of metric errors across the line of sight on image errors, alike left and right."""
    off = with_image_error(torch.zeros_like(metric), image, torch.ones(NUM_LANDMARKS))[..., :2]
    known = good[..., None] & good[..., 23:25].all(-1)[..., None, None]
    known = known & (off.abs() < FURTHEST_M)
    metric = metric[..., :2].clamp(-FURTHEST_M, FURTHEST_M)
    both = (off * metric * known).sum((0, 1, 3)), (off.square() * known).sum((0, 1, 3))
    product, square = (sums + sums[_MIRROR] for sums in both)
    return product / square.clamp_min(1e-9)


def _by_image_error(left: Tensor, good: Tensor) -> Tensor:
    """[K, 5] how much larger errors of a kind are, the further off the landmark is in the image."""
    kind = torch.tensor(KIND_OF_ERROR)
    size = left[..., :2].norm(dim=-1).clamp_min(1e-6).log()
    nearest = hats(size, LOG_IMAGE_ERROR_KNOTS).argmax(-1)
    out = torch.ones(len(KINDS), len(LOG_IMAGE_ERROR_KNOTS))
    for k in range(1, len(KINDS)):
        errors = left[..., kind == k].abs()
        usual = errors[good].median()
        for knot in range(len(LOG_IMAGE_ERROR_KNOTS)):
            here = errors[good & (nearest == knot)]
            if len(here) >= _FEWEST:
                out[k, knot] = (here.median() / usual).clamp_min(0.1)
            elif knot:
                out[k, knot] = out[k, knot - 1]
    return out


def _bias(metric: Tensor, stance: Stance, good: Tensor) -> Tensor:
    """[3, 33, 3] m: mean error by facing in the trunk's axes, alike left and right."""
    in_body = (metric @ stance.axes).clamp(-_BOUND_M, _BOUND_M)
    weight = hats(stance.facing, FACING_KNOTS)
    out = torch.zeros(len(FACING_KNOTS), NUM_LANDMARKS, 3)
    for i in range(NUM_LANDMARKS):
        a, b = weight[good[..., i]], in_body[..., i, :][good[..., i]]
        out[:, i] = torch.linalg.solve(a.T @ a + 30 * torch.eye(a.shape[1]), a.T @ b)
    return (out + out[:, _MIRROR] * torch.tensor(MIRRORED_POINT)) / 2


@dataclass
class _LeftOver:
    values: Tensor  # [C, T, 33, 6] errors over `factor`
    difficulty: tuple[Tensor, Tensor]  # [C] each, log: image, metric


def _tables(
    left: Tensor, good: Tensor, cells: Tensor, facing: Tensor, height: Tensor
) -> tuple[_LeftOver, dict[str, Tensor]]:
    """Sizes of the errors as a product of factors: cell (part and sight), facing, height, clip."""
    kind = torch.tensor(KIND_OF_ERROR)
    weights = hats(facing, FACING_KNOTS), hats(height, LOG_HEIGHT_KNOTS)
    factors = (
        torch.ones(len(KINDS), len(FACING_KNOTS)),
        torch.ones(len(KINDS), len(LOG_HEIGHT_KNOTS)),
    )
    difficulty = torch.zeros(len(left), len(KINDS))
    logs = left.abs().clamp_min(1e-4).log()
    for _ in range(3):
        expected = _expected(weights, factors)  # [C, T, K] log
        rest = logs - (expected + difficulty[:, None])[:, :, None, kind]
        rest = rest - _cell_medians(rest, good, cells)
        for which, weight in enumerate(weights):
            for k in range(len(KINDS)):
                for knot in range(weight.shape[-1]):
                    here = good & (weight[..., knot] > 0.5)[..., None]
                    values = rest[..., kind == k][here]
                    if len(values) >= _FEWEST:
                        change = values.median()
                        factors[which][k, knot] *= float(change.clamp(-0.5, 0.5).exp())
                        rest[..., kind == k] -= torch.where(here, change, 0.0)[..., None]
        for members in ((0,), (1, 2, 3)):
            of_kind = torch.isin(kind, torch.tensor(members))
            for clip in range(len(left)):
                values = rest[clip][..., of_kind][good[clip]]
                if len(values) >= _FEWEST:
                    difficulty[clip, list(members)] += values.median()
    expected = _expected(weights, factors) + difficulty[:, None]
    values = left / expected.exp()[:, :, None, kind]
    sizes = torch.stack(
        [_sizes(values[..., kind == k].abs(), good, cells) for k in range(len(KINDS))]
    )
    factors[1].clamp_(*_HEIGHT_FACTORS)
    over = _LeftOver(values, (difficulty[:, 0], difficulty[:, 1]))
    return over, {"sizes": sizes, "by_facing": factors[0], "by_height": factors[1]}


def _expected(weights: tuple[Tensor, Tensor], factors: tuple[Tensor, Tensor]) -> Tensor:
    return sum((w @ f.log().T for w, f in zip(weights, factors, strict=True)), torch.zeros(()))


def _cell_medians(values: Tensor, good: Tensor, cells: Tensor) -> Tensor:
    """[C, T, 33, 6]: the median of each value's cell."""
    kind = torch.tensor(KIND_OF_ERROR)
    medians = torch.zeros(_GROUPS * len(Sight), len(KINDS))
    for cell in range(len(medians)):
        here = good & (cells == cell)
        if here.any():
            for k in range(len(KINDS)):
                medians[cell, k] = values[here][:, kind == k].median()
    return medians[cells][..., kind]


def _sizes(values: Tensor, good: Tensor, cells: Tensor) -> Tensor:
    """[G, 4, len(SIZE_GRID)] quantiles of `values` [C, T, 33, n]."""
    shares = torch.erf(SIZE_GRID / math.sqrt(2))
    table = torch.zeros(_GROUPS * len(Sight), len(SIZE_GRID))
    for cell in range(len(table)):
        chosen = values[good & (cells == cell)].flatten()
        if len(chosen) < _FEWEST:  # then all parts of the body in this sight
            chosen = values[good & (cells % len(Sight) == cell % len(Sight))].flatten()
        table[cell] = quantile(chosen, shares) if len(chosen) else 0.0
    return table.view(_GROUPS, len(Sight), -1)


def quantile(values: Tensor, shares: Tensor) -> Tensor:
    """As torch.quantile, which takes no long inputs."""
    ranked = values.sort().values
    at = shares * (len(ranked) - 1)
    low = at.floor().long()
    high = (low + 1).clamp_max(len(ranked) - 1)
    return ranked[low] + (at - low) * (ranked[high] - ranked[low])


def _inverse(table: Tensor, grid: Tensor, values: Tensor) -> Tensor:
    """Gaussian numbers whose table values are `values` [N]; `table` [Q] ascends."""
    rising = table + 1e-7 * torch.arange(len(table))
    return (hats(values, rising) * grid).sum(-1)


def _scores(left: _LeftOver, sizes: Tensor, cells: Tensor) -> Tensor:
    """Gaussian numbers of the errors, [C, T, 33, 6]; `sizes` [K, G * 4, Q]."""
    out = torch.zeros_like(left.values)
    for e, kind in enumerate(KIND_OF_ERROR):
        for cell in range(sizes.shape[1]):
            here = cells == cell
            values = left.values[..., e][here]
            out[..., e][here] = values.sign() * _inverse(sizes[kind, cell], SIZE_GRID, values.abs())
    return out


def _signed_scores(values: Tensor, usable: Tensor) -> tuple[Tensor, Tensor]:
    """Tables [N, len(SIGNED_GRID)] and Gaussian numbers [C, T, N] of `values` [C, T, N]."""
    shares = torch.special.ndtr(SIGNED_GRID)
    tables = torch.stack([quantile(v[usable], shares) for v in values.unbind(-1)])
    for name in ("yaw", "roll"):  # a mirrored person errs the other way
        row = WHOLE_BODY.index(name)
        tables[row] = (tables[row] - tables[row].flip(0)) / 2
    scores = [
        _inverse(table, SIGNED_GRID, v.flatten()).view_as(v)
        for table, v in zip(tables, values.unbind(-1), strict=True)
    ]
    return tables, torch.stack(scores, -1)


def _confidences(recorded: RenderedSet, good: Tensor, cells: Tensor) -> tuple[Tensor, Tensor]:
    """Tables [2, G, 4, len(SIGNED_GRID)] of logits; Gaussian numbers [C, T, 33, 2]."""
    shares = torch.special.ndtr(SIGNED_GRID)
    rng = torch.Generator().manual_seed(0)
    tables, scores = [], []
    for name in CONFIDENCES:
        # They were rounded; the noise breaks ties.
        logits = getattr(recorded, name).clamp(2e-4, 1 - 2e-4).logit()
        logits = logits + 0.02 * torch.randn(logits.shape, generator=rng)
        table = torch.zeros(_GROUPS * len(Sight), len(SIGNED_GRID))
        score = torch.zeros_like(logits)
        for cell in range(len(table)):
            here = cells == cell
            chosen = logits[good & here]
            if len(chosen) < _FEWEST:
                chosen = logits[good & (cells % len(Sight) == cell % len(Sight))]
            if len(chosen):
                table[cell] = quantile(chosen, shares)
            score[here] = _inverse(table[cell], SIGNED_GRID, logits[here])
        tables.append(table.view(_GROUPS, len(Sight), -1))
        scores.append(score)
    return torch.stack(tables), torch.stack(scores, -1)


def _confidence_of_error(scores: Tensor, confidence: Tensor, good: Tensor) -> Tensor:
    of_error = size_score(scores[..., :2])[good]
    return torch.stack(
        [torch.corrcoef(torch.stack([of_error, c[good]]))[0, 1] for c in confidence.unbind(-1)]
    )


def mirrored_numbers() -> tuple[Tensor, Tensor]:
    """Order [D] and sign [D] that turn a frame's numbers into those of the mirrored person."""
    numbers = torch.arange(NUM_LANDMARKS * ERRORS).view(NUM_LANDMARKS, ERRORS)
    sign = torch.ones(NUM_LANDMARKS, ERRORS)
    sign[:, [0, 2]] = -1  # image x and metric x
    whole = torch.arange(len(WHOLE_BODY)) + numbers.numel()
    whole_sign = torch.tensor([-1.0 if n in ("yaw", "roll") else 1.0 for n in WHOLE_BODY])
    first = numbers.numel() + len(WHOLE_BODY)
    mirror = torch.tensor(_MIRROR)
    confidences = [first + i * NUM_LANDMARKS + mirror for i in range(len(CONFIDENCES))]
    order = torch.cat([numbers[_MIRROR].flatten(), whole, *confidences])
    rest = torch.ones(len(CONFIDENCES) * NUM_LANDMARKS)
    return order, torch.cat([sign.flatten(), whole_sign, rest])


def _found(recorded: RenderedSet, errors: Errors, step: float) -> dict[str, Tensor]:
    """Of the frames after a person was first found."""
    seen = recorded.seen
    after = seen.cumsum(1) > seen.float()  # found at an earlier frame
    in_view = hats((recorded.sight != Sight.OUTSIDE).float().mean(-1), IN_VIEW_KNOTS)[after]
    found = torch.linalg.lstsq(in_view, seen[after].float()[:, None]).solution[:, 0].clamp(0.02, 1)
    lengths = torch.tensor(_gap_lengths(seen, after), dtype=torch.float32) * step
    short = lengths <= 5 * step
    return {
        "found": found,
        "gap_s": torch.stack([lengths[short].mean(), lengths[~short].mean()]).nan_to_num(0.3),
        "short_gaps": lengths[short].sum() / (step * after.sum()),
    }


def _gap_lengths(seen: Tensor, after: Tensor) -> list[int]:
    """Frames of each gap that begins after the first frame found."""
    lengths = []
    for row, known in zip(seen.tolist(), after.tolist(), strict=True):
        length = 0
        for here, counted in zip([*row, True], [*known, True], strict=True):
            if counted and not here:
                length += 1
            elif length:
                lengths.append(length)
                length = 0
    return lengths
