"""What would make a pose meet the landmarks in the image: one step of a maximum a-posteriori fit.

Where a joint of a pose lies in the image is a matter of geometry, which a network learns slowly and
inexactly. Here it is computed: the most likely turn of every joint, and shift of the body, given where the
landmarks were seen, how far such sightings are off (which their certainty tells), and how a network's poses
err (a Gaussian of `pose_errors.npz`, which tools/pose_errors.py makes). It is a Gauss-Newton step with a
robust weight of each landmark, as of SMPLify (Bogo et al. 2016) and its many followers, but about the
network's own pose instead of an average one.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from d3pose_core.array_file import read_arrays
from d3pose_core.model.correction import LARGEST_MISS, Observed, pelvis_of_place
from d3pose_core.model.sightings import FREEDOM, believed
from d3pose_core.model.skeleton_points import ANCESTORS, SkeletonPoints
from d3pose_core.skeleton import JOINT_NAMES, JOINT_PARENTS

POSE_ERRORS = Path(__file__).with_name("pose_errors.npz")
# Joints that carry a landmark or lead to one that does: all but the hands, which come last.
FITTED_JOINTS = JOINT_NAMES.index("left_hand")
FIT_SIZE = 3 * FITTED_JOINTS + 3
# Landmarks err together, in a frame and from frame to frame: so many of them say as much as one.
ALIKE = 2.0
# Landmarks nearer than this share of the pelvis' distance count as so near: they would be all that matters.
NEAREST = 0.3

_PARENTS = list(JOINT_PARENTS[1:FITTED_JOINTS])


class Fit(nn.Module):
    """How far a pose is off, as a fit to the landmarks has it."""

    def __init__(self) -> None:
        super().__init__()
        self.prior: Tensor
        self.definition: Tensor
        self.moves: Tensor
        numbers = read_arrays(POSE_ERRORS, ["covariance", "definition"])
        prior = np.linalg.cholesky(numbers["covariance"].astype(np.float64))
        # prior @ prior.T is the covariance of a network's errors: of joints 0 to 21 the turn that the truth
        # is away (rad, axes of the view camera), then the place.
        self.register_buffer("prior", torch.from_numpy(prior).to(torch.get_default_dtype()))
        # [33, 33] BlazePose's landmarks about the pelvis from the body's.
        definition = torch.from_numpy(numbers["definition"]).to(torch.get_default_dtype())
        self.register_buffer("definition", definition)
        # [33, 22] 1 where the joint moves the landmark.
        moves = ANCESTORS[:, :FITTED_JOINTS].to(definition)
        self.register_buffer("moves", moves, persistent=False)

    @torch.no_grad()
    def forward(
        self, guess: tuple[Tensor, Tensor, Tensor], seen: Observed, skeleton: SkeletonPoints
    ) -> Tensor:
        """[B, T, FIT_SIZE]: a turn of each fitted joint (rad, its parent's axes), and a shift of the place.

        Args:
            guess: rotations [B, T, 24, 3, 3], place [B, T, 3] and betas [B, T, 10] in the view camera, as of
                `decoder.PoseHead`. No gradient flows back into it.
        """
        with torch.autocast(seen.rays.device.type, enabled=False):
            rotations, place, betas, rays, size, visible, certainty, *rivals = (
                value.detach().flatten(0, 1)
                for value in (
                    *(*guess, seen.rays, seen.size, seen.visible, seen.certainty),
                    *(seen.rivals, seen.rival_certainty),
                )
            )
            rotations, place, betas = (x.to(rays.dtype) for x in (rotations, place, betas))
            world, points = skeleton.posed(rotations, betas)
            turns, joints = world[:, :FITTED_JOINTS, :3, :3], world[:, :FITTED_JOINTS, :3, 3]
            jacobian, miss = self._linearised(
                self.definition @ points, joints, place, rays, size[:, None]
            )
            miss, usual = believed(miss.transpose(1, 2), certainty, *rivals)
            miss = miss.clamp(-LARGEST_MISS, LARGEST_MISS).transpose(1, 2)
            weight = self._weight(miss, usual) * visible  # [N, 33]
            step = self._most_likely(jacobian, miss, weight)
            turn, shift = step.split([3 * FITTED_JOINTS, 3], -1)
            # From the view camera's axes into those of each joint's parent.
            turn = turn.unflatten(-1, (FITTED_JOINTS, 3))
            below = (turns[:, _PARENTS].transpose(-1, -2) @ turn[:, 1:, :, None])[..., 0]
            step = torch.cat([turn[:, 0], below.flatten(1), shift], -1)
        return step.unflatten(0, seen.rays.shape[:2])

    def _linearised(
        self, points: Tensor, joints: Tensor, place: Tensor, rays: Tensor, size: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Jacobian [N, 2, 33, FIT_SIZE] of the landmarks in the image, and what they miss by, [N, 2, 33]."""
        pelvis, depth = pelvis_of_place(place, size)
        x, y, z = (points + pelvis[:, None]).unbind(-1)
        z = torch.maximum(z, NEAREST * pelvis[:, 2:])
        x, y, nearness = x / z, y / z, 1 / (z * size)  # [N, 33]
        image = torch.stack([x, y], 1) / size[..., None]
        miss = rays.transpose(1, 2) - image

        # A joint's turn w moves what lies at v from it by w × v. That the definition mixes a little of other
        # landmarks into each is left out here.
        arm = (points[:, :, None] - joints[:, None]) * self.moves[..., None]
        vx, vy, vz = (arm * nearness[..., None, None]).unbind(-1)  # [N, 33, joints]
        x, y = x[..., None], y[..., None]
        along_x = torch.stack([-x * vy, vz + x * vx, -vy], -1).flatten(2)
        along_y = torch.stack([-vz - y * vy, y * vx, vx], -1).flatten(2)
        near = nearness[..., None] * depth[..., None]
        px, py, pz = (p[:, None, None] for p in (pelvis / depth).unbind(-1))
        none = torch.zeros_like(near)
        along_x = torch.cat([along_x, near, none, near * (px - x * pz)], -1)
        along_y = torch.cat([along_y, none, near, near * (py - y * pz)], -1)
        return torch.stack([along_x, along_y], 1), miss

    def _weight(self, miss: Tensor, usual: Tensor) -> Tensor:
        """[N, 33] one over the variance of misses [N, 2, 33], whose usual one is `usual` [N, 33]."""
        robust = (FREEDOM + 2) / (FREEDOM + miss.square().sum(1) / usual)
        return robust / usual / ALIKE

    def _most_likely(self, jacobian: Tensor, miss: Tensor, weight: Tensor) -> Tensor:
        """[N, FIT_SIZE]: the step that the prior and the misses together make the most likely."""
        root = weight.sqrt()[:, None]
        seen = ((jacobian * root[..., None]) @ self.prior).flatten(1, 2)  # [N, 66, FIT_SIZE]
        missed = (miss * root).flatten(1)[..., None]
        normal = seen @ seen.transpose(1, 2) + torch.eye(seen.shape[1], device=seen.device).to(seen)
        solved = torch.linalg.solve_ex(normal, missed).result  # numbers that are none pass through
        return (seen * solved).sum(1) @ self.prior.T
