"""Poses in a single-frame step: rotations from a token, and what a pose misses the landmarks by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from d3pose_core.model.correction import (
    LARGEST_LOG_DEPTH,
    LARGEST_MISS,
    OBSERVED_SIZE,
    Correction,
)
from d3pose_core.model.decoder import PoseHead
from d3pose_core.model.skeleton_points import CARRIERS, SkeletonPoints
from d3pose_core.runtime.frame_sightings import FrameSightings, believed
from d3pose_core.runtime.frame_view import FrameView
from d3pose_core.runtime.layers import Affine, constant
from d3pose_core.skeleton import JOINT_PARENTS, LANDMARK_NAMES, NUM_JOINTS, NUM_LANDMARKS, path_to

_SIXD = NUM_JOINTS * 6


def axes_first(joints: int = NUM_JOINTS) -> Tensor:
    """[joints * 6] the 6D form's numbers by axis, then by coordinate, then by joint.

    Long runs of one coordinate, instead of three numbers of one joint, are what vector instructions like.
    """
    return torch.arange(joints * 6).view(joints, 3, 2).permute(2, 1, 0).flatten()


class Orthonormal(nn.Module):
    """`decoder.sixd_to_rotations`, of numbers in the order of `axes_first`."""

    def __init__(self) -> None:
        super().__init__()
        # A cross product is (a2 b3, a3 b1, a1 b2) less (a3 b2, a1 b3, a2 b1).
        self.left: Tensor
        self.right: Tensor
        self.register_buffer("left", torch.tensor([1, 2, 0, 2, 0, 1]), persistent=False)
        self.register_buffer("right", torch.tensor([2, 0, 1, 1, 2, 0]), persistent=False)

    def forward(self, axes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """[B, joints * 6] -> the rotations' columns, [B, 3, joints] each."""
        x, y = axes.reshape(-1, 6, axes.shape[1] // 6).split(3, 1)
        x = functional.normalize(x, dim=1, eps=0.0)
        y = functional.normalize(y - (x * y).sum(1, keepdim=True) * x, dim=1, eps=0.0)
        plus, minus = (x[:, self.left] * y[:, self.right]).split(3, 1)
        return x, y, plus - minus


def pose_columns(head: PoseHead) -> tuple[Tensor, Tensor]:
    """Weight [in, 157] and bias of a pose head: axes of 24 rotations `axes_first`, place, betas."""
    order = torch.cat([axes_first(), torch.arange(_SIXD, head.linear.out_features)])
    bias = head.linear.bias.clone()
    bias[:_SIXD] += cast(Tensor, head.identity)
    return head.linear.weight.T[:, order], bias[order]


def pelvis_of_place(place: Tensor, inverse_size: Tensor) -> tuple[Tensor, Tensor]:
    """`correction.pelvis_of_place` as two factors, [B, 3] and the depth times the size, [B, 1]."""
    xy, log_depth = place.split([2, 1], 1)
    depth = log_depth.clamp(-LARGEST_LOG_DEPTH, LARGEST_LOG_DEPTH).exp()
    return torch.cat([xy, inverse_size], 1), depth


@dataclass
class ToMeet:
    """What a pose is compared with, of B people, and what all corrections read of it."""

    landmarks: Tensor  # [B, 5, 33] rays over size, 2, and metres about the mid-hip, 3
    shown: Tensor  # [B, 1, 33] 1 where it may be compared, else 0
    sightings: FrameSightings
    inverse_size: Tensor  # [B, 1]
    read: tuple[Tensor, ...]  # [B, 256] of each correction's first layer


class PoseCheck(nn.Module):
    """All `Correction`s of a decoder, with the pose heads that give the guesses."""

    def __init__(
        self,
        corrections: list[Correction],
        skeleton: SkeletonPoints,
        stage_head: PoseHead,
        pose_head: PoseHead,
    ) -> None:
        """`stage_head` gives the first correction's guess, `pose_head` the others'."""
        super().__init__()
        self.points = CarriedPoints(skeleton)
        self.first_guess = self.points.columns(stage_head)
        self.guess = self.points.columns(pose_head)
        reads = [c.read_embed for c in corrections]
        self.width = reads[0].out_features
        self.read_observed = Affine(
            torch.cat([layer.weight[:, :OBSERVED_SIZE] for layer in reads]).T,
            torch.cat([layer.bias for layer in reads]),
        )
        # Misses come by coordinate, [7, 33], where the layer was trained on [33, 7].
        columns = torch.arange(OBSERVED_SIZE, reads[0].in_features).view(NUM_LANDMARKS, -1)
        order = columns.T.flatten()
        self.read_misses = nn.ParameterList(constant(layer.weight[:, order].T) for layer in reads)
        self.write = nn.ModuleList(Affine.of(c.write) for c in corrections)
        self.compared: Tensor
        self.register_buffer("compared", torch.tensor([0, 1, 3, 4, 5]), persistent=False)
        scale = torch.tensor([1.0, 1.0, 0.5, 0.5, 0.5])[
            :, None
        ]  # metric landmarks are features twice
        self.scale = constant(scale.to(self.points.sums))

    def to_meet(self, view: FrameView) -> ToMeet:
        everything = torch.cat([view.features.flatten(1), view.shown, view.frame_features], 1)
        return ToMeet(
            view.features.transpose(1, 2)[:, self.compared] * self.scale,
            view.shown[:, None],
            view.sightings,
            1 / view.size,
            self.read_observed(everything).split(self.width, 1),
        )

    def forward(self, index: int, token: Tensor, meet: ToMeet) -> Tensor:
        """What correction `index` adds, [B, d].

        Args:
            token: that the guess is read from: the encoder's last for index 0, else the decoder's, normed.
        """
        head = self.guess if index else self.first_guess
        there = self.points(head(token), meet.inverse_size)
        miss = meet.landmarks - there
        likely, _ = believed(miss[:, :2], meet.sightings)
        miss = torch.cat([miss, likely], 1).clamp(-LARGEST_MISS, LARGEST_MISS) * meet.shown
        hidden = torch.addmm(meet.read[index], miss.flatten(1), self.read_misses[index])
        return self.write[index](functional.gelu(hidden))


class CarriedPoints(nn.Module):
    """`SkeletonPoints`, and its landmarks in the image.

    Every landmark is the pelvis and a sum of vectors, each turned by one joint's rotation in the world:
    the bones on the way to the joint that carries it, and its own offset. Rotations in the world come by
    doubling: a product with the parent's gives those of two joints together, one with the grandparent's of
    four, and so on. Above the pelvis sits a joint that never turns, so that all are treated alike.
    """

    def __init__(self, skeleton: SkeletonPoints) -> None:
        super().__init__()
        self.orthonormal = Orthonormal()
        self.skeleton = (skeleton.joint_template, skeleton.joint_shapedirs)
        self.offsets = (skeleton.landmark_template, skeleton.landmark_shapedirs)
        paths = {carrier: path_to(carrier) for carrier in set(CARRIERS)}
        self.joints = sorted({joint for path in paths.values() for joint in path})
        above = len(self.joints)  # the joint that never turns
        place = {joint: i for i, joint in enumerate(self.joints)} | {-1: above}
        parent = torch.tensor([place[JOINT_PARENTS[joint]] for joint in self.joints] + [above])
        self.rounds = max(map(len, paths.values())).bit_length()
        for round_ in range(self.rounds):
            self.register_buffer(f"ancestor_{round_}", parent, persistent=False)
            parent = parent[parent]
        bones = self.joints[1:]
        turned_by = [place[JOINT_PARENTS[joint]] for joint in bones]
        turned_by += [place[carrier] for carrier in CARRIERS]
        self.turned_by: Tensor
        self.register_buffer("turned_by", torch.tensor(turned_by), persistent=False)
        sums = torch.zeros(NUM_LANDMARKS, len(turned_by))
        for landmark, carrier in enumerate(CARRIERS):
            sums[landmark, len(bones) + landmark] = 1
            for joint in paths[carrier][1:]:
                sums[landmark, bones.index(joint)] = 1
        hips = [LANDMARK_NAMES.index(f"{side}_hip") for side in ("left", "right")]
        about_hips = sums - sums[hips].mean(0)
        at_joint = torch.zeros(len(self.joints), len(turned_by))
        for row, joint in enumerate(self.joints):
            for on_the_way in path_to(joint)[1:]:
                at_joint[row, bones.index(on_the_way)] = 1
        # Which vectors make a landmark [33, V], and a joint [joints, V].
        self.landmark_sums, self.joint_sums = sums, at_joint
        self.sums = constant(torch.cat([sums, about_hips]).T.to(skeleton.joint_template))

    def columns(self, head: PoseHead) -> Affine:
        """What `forward` reads, from a token: axes of the joints, place, and the vectors in rest."""
        weight, bias = pose_columns(head)
        axes = torch.arange(_SIXD).view(2, 3, NUM_JOINTS)[..., self.joints]
        turned = torch.cat([weight[:, axes], weight.new_zeros(len(weight), 2, 3, 1)], 3).flatten(1)
        identity = torch.eye(3)[:2, :, None].to(bias)
        turned_bias = torch.cat([bias[axes], identity], 2).flatten()
        place = slice(_SIXD, _SIXD + 3)
        template, shapedirs = self._vectors()
        betas, mean = weight[:, _SIXD + 3 :], bias[_SIXD + 3 :]
        return Affine(
            torch.cat([turned, weight[:, place], betas @ shapedirs], 1),
            torch.cat([turned_bias, bias[place], template + mean @ shapedirs]),
        )

    def _vectors(self) -> tuple[Tensor, Tensor]:
        """Bones and offsets of the mean shape [3 * V], and by betas [10, 3 * V]."""
        parents = [JOINT_PARENTS[joint] for joint in self.joints[1:]]
        (joints, joint_dirs), (offsets, offset_dirs) = self.skeleton, self.offsets
        dirs = joint_dirs.unflatten(1, (-1, 3))
        bones = joints[self.joints[1:]] - joints[parents]
        bone_dirs = dirs[:, self.joints[1:]] - dirs[:, parents]
        template = torch.cat([bones, offsets]).T.flatten()
        both = torch.cat([bone_dirs, offset_dirs.unflatten(1, (-1, 3))], 1)
        return template, both.transpose(1, 2).flatten(1)

    def posed(self, columns: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Of what `columns` gives: the joints turned in the world, the place, and the vectors turned.

        Returns:
            columns of the world's rotations [B, column, row, joints + 1], [B, 3], and [B, 3, V].
        """
        joints, vectors = len(self.joints) + 1, len(self.turned_by)
        axes, place, along = columns.split([joints * 6, 3, vectors * 3], 1)
        # The transposed rotations, [B, column, row, joints]; of a product the factors change places.
        columns = torch.cat(self.orthonormal(axes), 1)
        for round_ in range(self.rounds):
            above = columns[..., getattr(self, f"ancestor_{round_}")].reshape(-1, 1, 3, 3, joints)
            columns = (columns.reshape(-1, 3, 3, 1, joints) * above).sum(2)
        world = columns.reshape(-1, 3, 3, joints)
        turned = world[..., self.turned_by]
        return world, place, (turned * along.reshape(-1, 3, 1, vectors)).sum(1)

    def forward(self, columns: Tensor, inverse_size: Tensor) -> Tensor:
        """[B, 5, 33]: rays over the person's size, and metres about the mid-hip."""
        _, place, turned = self.posed(columns)
        landmarks = turned.reshape(-1, len(self.turned_by)) @ self.sums  # [B * 3, 66]
        points, metric = landmarks.reshape(-1, 3, 2 * NUM_LANDMARKS).split(NUM_LANDMARKS, 2)
        towards, depth = pelvis_of_place(place, inverse_size)
        pelvis = towards * depth
        image_xy, z = (points + pelvis[..., None]).split([2, 1], 1)
        return torch.cat([image_xy / z.clamp_min(0.2) * inverse_size[..., None], metric], 1)
