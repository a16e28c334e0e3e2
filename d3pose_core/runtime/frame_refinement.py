"""The refinement at the end of a single-frame step: `model.refinement` and `model.fit` of one frame."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from d3pose_core.model.correction import LARGEST_MISS
from d3pose_core.model.decoder import PoseHead
from d3pose_core.model.fit import (
    ALIKE,
    FIT_SIZE,
    FITTED_JOINTS,
    NEAREST,
    Fit,
)
from d3pose_core.model.refinement import LARGEST_SHARE, Refinement
from d3pose_core.model.sightings import FREEDOM
from d3pose_core.model.skeleton_points import SkeletonPoints
from d3pose_core.runtime.frame_pose import CarriedPoints, Orthonormal, pelvis_of_place
from d3pose_core.runtime.frame_sightings import believed
from d3pose_core.runtime.frame_view import FrameView
from d3pose_core.runtime.layers import Affine, constant
from d3pose_core.skeleton import JOINT_PARENTS, NUM_JOINTS, NUM_LANDMARKS

_TURN = 3 * FITTED_JOINTS
# Of conjugate gradients, which stand for the solver that the runtimes have not; what they leave is below 0.02
# degrees on people (test_frame_refinement.py).
ITERATIONS = 32


class FrameRefinement(nn.Module):
    """`Refinement` of one frame."""

    def __init__(
        self, refinement: Refinement, skeleton: SkeletonPoints, pose_head: PoseHead
    ) -> None:
        super().__init__()
        self.fit = FrameFit(refinement.fit, skeleton, pose_head)
        self.orthonormal = Orthonormal()
        dim = pose_head.linear.in_features
        order = torch.cat([torch.arange(dim), dim + by_coordinate()])
        read = refinement.read_embed
        self.read = Affine(read.weight[:, order].T, read.bias)
        # A number of each part for all of its own, of shares and of rates.
        parts = FITTED_JOINTS + 1
        each = torch.arange(parts).repeat_interleave(3)[by_coordinate()]
        order = torch.cat([each, parts + each])
        trust = refinement.trust_head
        self.trust = Affine(trust.weight[order].T, trust.bias[order])

    def forward(
        self,
        decoded: Tensor,
        axes: Tensor,
        place: Tensor,
        carried: Tensor,
        started: Tensor,
        step_s: Tensor,
        seen: Tensor,
        view: FrameView,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Axes [B, 144] (`axes_first`), not orthonormal, place [B, 3], and the correction to carry on.

        Args:
            decoded: [B, d] the decoder's token, and `axes` and `place` that it stands for.
            carried: [B, FIT_SIZE] the last correction, turns by coordinate; started, step_s, seen: [B, 1].
        """
        asked = self.fit(decoded, view)
        hidden = functional.gelu(self.read(torch.cat([decoded, asked], 1)))
        share, rate = self.trust(hidden).split([FIT_SIZE, FIT_SIZE], 1)
        softplus = torch.log1p(torch.exp(rate.clamp(-15.0, 15.0)))
        follow = (softplus * (step_s.clamp(1e-3, 1.0) * -30.0)).exp() * -1.0 + 1.0
        follow = torch.where(seen, torch.where(started, follow, 1.0), 0.0)
        carried = carried + follow * (share.sigmoid() * asked * LARGEST_SHARE - carried)
        turn, shift = carried.split([_TURN, 3], 1)
        x, y, _ = self.orthonormal(axes)
        guess = torch.stack([x, y], 1)  # [B, 2, 3, 24]
        fitted, hands = guess.split([FITTED_JOINTS, NUM_JOINTS - FITTED_JOINTS], 3)
        fitted = fitted + _cross(turn.reshape(-1, 1, 3, FITTED_JOINTS), fitted)
        return torch.cat([fitted, hands], 3).flatten(1), place + shift, carried


def by_coordinate() -> Tensor:
    """[FIT_SIZE] the turns by coordinate, then by joint, and the shift."""
    turns = torch.arange(_TURN).view(FITTED_JOINTS, 3).T.flatten()
    return torch.cat([turns, torch.arange(_TURN, FIT_SIZE)])


class FrameFit(nn.Module):
    """`Fit` of one frame."""

    def __init__(self, fit: Fit, skeleton: SkeletonPoints, pose_head: PoseHead) -> None:
        super().__init__()
        self.iterations = ITERATIONS
        self.points = CarriedPoints(skeleton)
        self.columns = self.points.columns(pose_head)
        assert self.points.joints == list(range(FITTED_JOINTS))
        defined = fit.definition @ self.points.landmark_sums.to(fit.definition)
        self.sums = constant(torch.cat([defined, self.points.joint_sums.to(defined)]).T)
        self.moves = constant(fit.moves)
        self.identity = constant(torch.eye(2 * NUM_LANDMARKS).to(defined))
        prior = fit.prior[by_coordinate()]
        self.prior, self.prior_turned = constant(prior), constant(prior.T)
        # Above the pelvis sits a joint that never turns.
        parents = [FITTED_JOINTS, *JOINT_PARENTS[1:FITTED_JOINTS]]
        self.parents: Tensor
        self.register_buffer("parents", torch.tensor(parents), persistent=False)

    def forward(self, decoded: Tensor, view: FrameView) -> Tensor:
        """[B, FIT_SIZE], turns by coordinate: of the pose that `decoded` stands for."""
        world, place, vectors = self.points.posed(self.columns(decoded))
        there = vectors.reshape(-1, vectors.shape[2]) @ self.sums
        there = there.reshape(-1, 3, NUM_LANDMARKS + FITTED_JOINTS)
        landmarks, joints = there.split([NUM_LANDMARKS, FITTED_JOINTS], 2)
        jacobian, miss = self._linearised(landmarks, joints, place, view)
        miss, variance = believed(miss, view.sightings)
        miss = miss.clamp(-LARGEST_MISS, LARGEST_MISS)
        robust = variance * FREEDOM + (miss * miss).sum(1, keepdim=True)
        root = (view.shown[:, None] * ((FREEDOM + 2) / ALIKE) / robust).sqrt()
        step = self._most_likely(jacobian * root[..., None], miss * root)
        turn, shift = step.split([_TURN, 3], 1)
        # From the view camera's axes into those of each joint's parent.
        above = world[..., self.parents]  # [B, column, row, joints]
        turn = (turn.reshape(-1, 1, 3, FITTED_JOINTS) * above).sum(2)
        return torch.cat([turn.flatten(1), shift], 1)

    def _linearised(
        self, points: Tensor, joints: Tensor, place: Tensor, view: FrameView
    ) -> tuple[Tensor, Tensor]:
        """See `Fit._linearised`; points [B, 3, 33], joints [B, 3, 22]."""
        inverse_size = 1 / view.size
        pelvis, depth = pelvis_of_place(place, inverse_size)
        there = pelvis * depth
        seen, z = (points + there[..., None]).split([2, 1], 1)
        z = torch.maximum(z, there[:, 2:, None] * NEAREST)
        image = seen / z  # [B, 2, 33]
        nearness = inverse_size[..., None] / z  # [B, 1, 33]
        rays = view.features[..., :2].transpose(1, 2)
        miss = rays - image * inverse_size[..., None]

        arm = (points[..., None] - joints[:, :, None]) * (nearness[..., None] * self.moves)
        vx, vy, vz = arm.unbind(1)  # [B, 33, joints]
        x, y = image[..., None].unbind(1)  # [B, 33, 1]
        near = nearness[:, 0, :, None] * depth[..., None]
        px, py, pz = pelvis[:, None].split(1, 2)  # [B, 1, 1]
        none = near - near
        along_x = [x * vy * -1.0, vz + x * vx, vy * -1.0, near, none, near * (px - x * pz)]
        along_y = [vz * -1.0 - y * vy, y * vx, vx, none, near, near * (py - y * pz)]
        return torch.stack([torch.cat(along_x, 2), torch.cat(along_y, 2)], 1), miss

    def _most_likely(self, jacobian: Tensor, miss: Tensor) -> Tensor:
        """See `Fit._most_likely`, whose system conjugate gradients solve; both over the misses' deviation."""
        seen = jacobian.reshape(-1, 2 * NUM_LANDMARKS, FIT_SIZE) @ self.prior
        missed = miss.reshape(-1, 2 * NUM_LANDMARKS, 1)
        normal = seen @ seen.transpose(1, 2) + self.identity
        direction = rest = missed
        x = missed - missed
        length = (rest * rest).sum(1, keepdim=True)
        for _ in range(self.iterations):
            ahead = normal @ direction
            stride = length / (direction * ahead).sum(1, keepdim=True).clamp_min(1e-30)
            x, rest = x + stride * direction, rest - stride * ahead
            new_length = (rest * rest).sum(1, keepdim=True)
            direction = rest + new_length / length.clamp_min(1e-30) * direction
            length = new_length
        return (seen.transpose(1, 2) @ x).squeeze(2) @ self.prior_turned


def _cross(a: Tensor, b: Tensor) -> Tensor:
    """a × b, coordinates along axis 2."""
    ax, ay, az = a.unbind(2)
    bx, by, bz = b.unbind(2)
    return torch.stack([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx], 2)
