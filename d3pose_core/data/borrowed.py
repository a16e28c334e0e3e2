"""The errors of recorded people, made with others, who stand and move much alike.

The simulator knows how errors are distributed; a recording has the errors themselves, all of a frame's and
all of a window's together, but few people to learn them from. Here the one lends them to the other: each
window of new people is reported with what BlazePose made of the recorded ones that are most like them.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from d3pose_core.body.model import BodyModel
from d3pose_core.data.error_statistics import fitted_statistics
from d3pose_core.data.mistaken_sides import MIRROR, SWAPS, better_swapped
from d3pose_core.data.sight import outside_image
from d3pose_core.data.simulator import Performed, Simulator, TrainingBatch
from d3pose_core.data.stance import HIPS, PERSON_M, Stance
from d3pose_core.data.told_depth import as_told
from d3pose_core.errors import InputError
from d3pose_core.model.tokens import ObservationBatch
from d3pose_core.model.view import project
from d3pose_core.skeleton import LANDMARK_TO_JOINT

CANDIDATES = 8  # the most alike, of which one lends its errors
# What is lent changes a little each time, lest a network know the lender by it: the size of the errors
# (standard deviation of its logarithm), and how far landmarks are trusted (that of the logit).
SIZE_JITTER, TRUST_JITTER = 0.2, 0.3
_COMPARED_EVERY = 12  # frames
NEAREST_M = 0.3  # nearer to the camera, landmarks are thrown anywhere
_SPARE = 2  # times as many people as are wanted perform: those best in view are taken
# Who is e times as far away is as unlike as one whose limbs are so far elsewhere.
_DISTANCE_M = 0.1

_LIMBS = [landmark for landmark, _ in LANDMARK_TO_JOINT]


@dataclass
class _Errors:
    """Of N windows of T frames, in the image of a camera that is rolled so that trunks are upright."""

    image: Tensor  # [N, T, 33, 2] person heights
    rivals: Tensor  # [N, T, 33, RIVALS, 2] person heights, from the true place
    metric: Tensor  # [N, T, 33, 3] m
    hint: Tensor  # [N, T, 33] m
    order: Tensor  # [N, T, 33] which landmark each is taken for
    depth: Tensor  # [N, T] factor of the depths that are told
    visibility: Tensor  # [N, T, 33]
    presence: Tensor  # [N, T, 33]
    certainty: Tensor  # [N, T, 33]
    rival_certainty: Tensor  # [N, T, 33, RIVALS]
    seen: Tensor  # [N, T] bool

    def __getitem__(self, index) -> _Errors:
        return _Errors(**{f.name: getattr(self, f.name)[index] for f in fields(self)})

    def varied(self, rng: torch.Generator) -> _Errors:
        """See `SIZE_JITTER`."""

        def number(*shape: int) -> Tensor:
            return torch.randn(len(self.seen), *shape, generator=rng)

        size = (SIZE_JITTER * number(1, 1, 1)).exp()
        trust = TRUST_JITTER * number(1, self.hint.shape[2])

        def trusted(confidence: Tensor, jitter: Tensor) -> Tensor:
            jittered = torch.special.logit(confidence, eps=1e-4) + jitter
            return torch.where(confidence > 0, jittered.sigmoid(), 0.0)

        return replace(
            self,
            image=self.image * size,
            rivals=self.rivals * size[..., None],
            metric=self.metric * size,
            hint=self.hint * size[..., 0],
            visibility=trusted(self.visibility, trust),
            presence=trusted(self.presence, trust),
            certainty=trusted(self.certainty, trust),
            rival_certainty=trusted(self.rival_certainty, trust[..., None]),
        )


class BorrowedErrors:
    """What was reported of recorded people, to be reported of others."""

    def __init__(self, recorded: TrainingBatch, body: BodyModel) -> None:
        """`recorded`: windows of equal length, as `RenderedSet.batches` gives them.

        Raises InputError where all come too near to the camera.
        """
        self._statistics = fitted_statistics()
        landmarks = _landmarks_of_many(recorded, body)
        near = (landmarks[..., 2].amin(-1) < NEAREST_M) & recorded.observations.seen
        sound = ~near.any(1)
        if not sound.any():
            raise InputError(f"all {len(sound)} recorded people come too near to lend their errors")
        seen, landmarks = recorded.observations[sound], landmarks[sound]
        self._step_s = seen.step_s.median(0).values
        stance = Stance.of(landmarks)
        self._looks = _looks(stance)
        self._errors = self._errors_of(seen, landmarks, stance)

    def __len__(self) -> int:
        return len(self._looks)

    @torch.no_grad()
    def sample(self, batch: int, simulator: Simulator) -> TrainingBatch:
        """`batch` windows of `simulator`'s people, at the times of the recordings."""
        times = self._step_s.cumsum(0).expand(_SPARE * batch, -1)
        people = simulator.perform(simulator.motion(times), times)
        # Whether somebody is found who is hardly in the picture, the lender can't tell.
        best = in_view(people).topk(batch).indices
        step_s = self._step_s.expand(batch, -1)
        reports = self.report(people.landmarks[best], step_s, simulator.rng)
        return TrainingBatch(reports, people.truth[best])

    def report(self, landmarks: Tensor, step_s: Tensor, rng: torch.Generator) -> ObservationBatch:
        """Observations of people whose true landmarks are [B, T, 33, 3] m, optical frame.

        T is that of the recordings; `step_s` [B, T] s.
        """
        stance = Stance.of(landmarks)
        apart = torch.cdist(_looks(stance), self._looks)
        nearest = apart.topk(min(CANDIDATES, len(self)), largest=False).indices
        pick = torch.randint(nearest.shape[1], (len(landmarks), 1), generator=rng)
        errors = self._errors[nearest.gather(1, pick)[:, 0]].varied(rng)
        return self._reported(errors, landmarks, stance, step_s)

    def _errors_of(self, seen: ObservationBatch, landmarks: Tensor, stance: Stance) -> _Errors:
        upright = _upright(stance)  # [N, 1, 2, 2]
        height = (PERSON_M / stance.distance)[..., None, None]
        true_rays = project(landmarks)
        order = _taken_for(seen.rays, true_rays, height)
        taken = true_rays.gather(2, order[..., None].expand_as(true_rays))
        told = self._told(stance, order)
        depth, told_depth = seen.landmarks[..., 2], told[..., 2]
        factor = (depth * told_depth).sum(-1) / told_depth.square().sum(-1).clamp_min(1e-6)
        whole = (order[..., HIPS] != torch.tensor(HIPS)).all(-1)
        factor = torch.where(whole, factor.clamp(-1, 1), 1.0)
        metric = _turned(seen.landmarks, upright) - _deep(told, factor)
        hint = seen.depth_hint * stance.distance[..., None]
        image = (seen.rays - taken) / height @ upright
        rivals = (seen.rival_rays - taken[..., None, :]) / height[..., None] @ upright[:, :, None]
        return _Errors(
            image=image,
            rivals=rivals,
            metric=metric,
            hint=hint - self._statistics.hint_slope * seen.landmarks[..., 2],
            order=order,
            depth=factor,
            visibility=seen.visibility,
            presence=seen.presence,
            certainty=seen.certainty,
            rival_certainty=seen.rival_certainty,
            seen=seen.seen,
        )

    def _told(self, stance: Stance, order: Tensor) -> Tensor:
        """Metric landmarks [N, T, 33, 3] of people turned upright, as they are told on average.

        Each is taken for the one that `order` [N, T, 33] says.
        """
        upright = _turned(stance.relative, _upright(stance))
        told = as_told(upright, stance.facing, self._statistics)
        return told.gather(2, order[..., None].expand_as(told))

    def _reported(
        self, errors: _Errors, landmarks: Tensor, stance: Stance, step_s: Tensor
    ) -> ObservationBatch:
        back = _upright(stance).transpose(-1, -2)
        height = (PERSON_M / stance.distance)[..., None, None]
        true_rays = project(landmarks)
        taken = true_rays.gather(2, errors.order[..., None].expand_as(true_rays))
        metric = _deep(self._told(stance, errors.order), errors.depth) + errors.metric
        metric = _turned(metric, back)
        hint = errors.hint + self._statistics.hint_slope * metric[..., 2]
        there = errors.seen[..., None, None]
        rivals = errors.rivals @ back[:, :, None] * height[..., None]
        return ObservationBatch(
            rays=(taken + errors.image @ back * height) * there,
            depth_hint=hint / stance.distance[..., None] * there[..., 0],
            landmarks=metric * there,
            visibility=errors.visibility,
            presence=errors.presence,
            certainty=errors.certainty,
            rival_rays=(taken[..., None, :] + rivals) * there[..., None],
            rival_certainty=errors.rival_certainty,
            seen=errors.seen,
            step_s=step_s,
        )


def in_view(people: Performed) -> Tensor:
    """[B] share of the landmarks that are in the picture; -1 for people who come too near."""
    depth = people.landmarks[..., 2]
    outside = outside_image(project(people.landmarks), depth, people.cameras.half_size)
    near = depth.flatten(1).amin(1) < NEAREST_M
    return torch.where(near, -1.0, 1 - outside.float().mean((1, 2)))


def _landmarks_of_many(recorded: TrainingBatch, body: BodyModel) -> Tensor:
    """[N, T, 33, 3] m; not of all at once, which would take gigabytes."""
    truth = recorded.truth
    parts = torch.arange(len(truth.betas)).split(256)
    return torch.cat([truth[part].landmarks(body) for part in parts])


def _upright(stance: Stance) -> Tensor:
    """[B, 1, 2, 2]: image directions, as rows, times it are those of an image in which the trunk is upright.

    One turn for a window: BlazePose turns people upright before it looks at them, so that it errs alike.
    """
    up = torch.nn.functional.normalize(stance.axes[..., :2, 1].mean(1), dim=-1)
    x, y = up.unbind(-1)
    # `up` becomes (0, -1): y points down.
    return torch.stack([-y, -x, x, -y], -1).unflatten(-1, (2, 2))[:, None]


def _turned(points: Tensor, turn: Tensor) -> Tensor:
    """Points [B, T, N, 3], turned about the line of sight by `turn` as of `_upright`."""
    return torch.cat([points[..., :2] @ turn, points[..., 2:]], -1)


def _deep(points: Tensor, factor: Tensor) -> Tensor:
    """Points [B, T, N, 3], their depths times `factor` [B, T]."""
    return torch.cat([points[..., :2], points[..., 2:] * factor[..., None, None]], -1)


def _looks(stance: Stance) -> Tensor:
    """[B, N] m: where the limbs are as the camera sees them, turned upright, at times through the window.

    The last is their distance from the camera, see `_DISTANCE_M`.
    """
    limbs = stance.relative[:, ::_COMPARED_EVERY, _LIMBS]
    limbs = _turned(limbs, _upright(stance)).flatten(1)
    distance = _DISTANCE_M * stance.distance.log().mean(1, keepdim=True)
    return torch.cat([limbs, distance * limbs[0].numel() ** 0.5 / 3**0.5], 1)


def _taken_for(rays: Tensor, true_rays: Tensor, height: Tensor) -> Tensor:
    """[N, T, 33] which landmark's place each was put at: its own, or the other side's."""
    own = ((rays - true_rays) / height).norm(dim=-1)
    other = ((rays - true_rays[..., MIRROR, :]) / height).norm(dim=-1)
    as_is = torch.arange(len(MIRROR))
    order = as_is.expand(own.shape)
    for swap in (MIRROR, *SWAPS):
        limbs = [limb for limb in _LIMBS if swap[limb] != limb]
        swapped = better_swapped(own, other, limbs)[..., None] & (swap != as_is)
        order = torch.where(swapped, order[..., swap], order)
        own, other = torch.where(swapped, other, own), torch.where(swapped, own, other)
    return order
