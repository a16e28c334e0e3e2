"""The network's step, shown each person twice: as seen, and as in a mirror.

    step = BothWays(open_runtime(model))
    state = step.initial_state(batch=1)
    prediction, view, state = step.step(frame, state)

A mirrored person is as good a person, so that the network ought to say the same of both, mirrored; what it
does not say of both is error. The mean of its two answers is nearer to the truth and smoother than either
(docs/training.md, "Both ways"), as the *flip test* of image networks is (Newell et al., "Stacked Hourglass
Networks", 2016). Each of the two goes on with its own past. A second row in the network's batch costs at
most what a second step does.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import roma
import torch
from torch import Tensor

from d3pose_core.model.d3pose import D3Pose
from d3pose_core.model.decoder import PosePrediction
from d3pose_core.model.tokens import ObservationBatch
from d3pose_core.model.view import ViewCamera
from d3pose_core.runtime.choice import StepRuntime
from d3pose_core.runtime.torch_step import TorchStep
from d3pose_core.skeleton import JOINT_MIRROR, MIRRORED_POINT, MIRRORED_ROTATION

# Two answers whose bodies face so differently are not one answer and some error: there is no mean of front
# and back. The person as seen is believed.
OPPOSED_RAD = torch.pi / 2


@dataclass(frozen=True)
class BothWaysState:
    """What is remembered of B people: the runtime's states of twice as many, each as seen and then mirrored.

    In one part, or, of one person who was split off, in two, which `BothWays.stack` puts together.
    """

    parts: list[Any]

    def split(self) -> list[BothWaysState]:
        """One state for each person."""
        rows = [row for part in self.parts for row in part.split()]
        return [BothWaysState(rows[i : i + 2]) for i in range(0, len(rows), 2)]


class BothWays:
    """A `StepRuntime` that runs another one both ways.

    Attributes:
        runtime: the name of the one that runs.
    """

    def __init__(self, step: StepRuntime) -> None:
        self._step = step
        self.runtime = step.runtime

    @classmethod
    def of(cls, model: D3Pose) -> BothWays:
        """Of a network in torch."""
        return cls(TorchStep(model))

    def initial_state(self, batch: int) -> BothWaysState:
        """The state of `batch` people who were never seen before."""
        return BothWaysState([self._step.initial_state(2 * batch)])

    def stack(self, states: list[BothWaysState]) -> BothWaysState:
        """The states of several people as one batch; a copy."""
        return BothWaysState([self._step.stack([part for state in states for part in state.parts])])

    @torch.inference_mode()
    def step(
        self, frame: ObservationBatch, state: BothWaysState
    ) -> tuple[PosePrediction, ViewCamera, BothWaysState]:
        """One new frame ([B, 1, ...]) of each person; the view is that of the person as seen."""
        (inner,) = state.parts if len(state.parts) == 1 else self.stack([state]).parts
        said, view, inner = self._step.step(_in_turn(frame, frame.mirrored()), inner)
        as_seen, in_mirror = (
            PosePrediction(**{f.name: getattr(said, f.name)[way::2] for f in fields(said)})
            for way in (0, 1)
        )
        view = ViewCamera(view.rotation[::2], view.size[::2])
        return mean_of(as_seen, mirrored(in_mirror)), view, BothWaysState([inner])


def _in_turn(one: ObservationBatch, other: ObservationBatch) -> ObservationBatch:
    """[2 B, ...]: a row of `one`, the same of `other`, the next of `one`."""
    return ObservationBatch(
        **{
            f.name: torch.stack([getattr(one, f.name), getattr(other, f.name)], 1).flatten(0, 1)
            for f in fields(one)
        }
    )


def mirrored(said: PosePrediction) -> PosePrediction:
    """The same of the mirrored person, in the mirrored view camera; body shapes are symmetric."""
    order = list(JOINT_MIRROR)
    return PosePrediction(
        said.rotations[:, :, order] * said.rotations.new_tensor(MIRRORED_ROTATION),
        said.place * said.place.new_tensor(MIRRORED_POINT),
        said.log_variance[:, :, order],
        said.betas,
        said.stature_log_variance,
    )


def mean_of(first: PosePrediction, second: PosePrediction) -> PosePrediction:
    """What lies half-way between two answers; `first` of people who face quite differently in them.

    Of rotations, the one half-way along the shorter arc.
    """
    turns = roma.rotmat_geodesic_distance(first.rotations[:, :, 0], second.rotations[:, :, 0])
    opposed = turns > OPPOSED_RAD  # [B, T]

    def pick(mean: Tensor, alone: Tensor) -> Tensor:
        return torch.where(opposed.view(*opposed.shape, *[1] * (alone.ndim - 2)), alone, mean)

    q, r = (roma.rotmat_to_unitquat(said.rotations) for said in (first, second))
    r = torch.where((q * r).sum(-1, keepdim=True) < 0, -r, r)
    half_way = roma.unitquat_to_rotmat(torch.nn.functional.normalize(q + r, dim=-1))
    means = {
        f.name: (getattr(first, f.name) + getattr(second, f.name)) / 2
        for f in fields(first)
        if f.name != "rotations"
    }
    return PosePrediction(
        pick(half_way, first.rotations),
        **{name: pick(mean, getattr(first, name)) for name, mean in means.items()},
    )
