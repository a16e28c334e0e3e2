"""SMPL-format bodies in torch: joints, landmarks and mesh from pose and shape.

Linear blend skinning after Loper et al., "SMPL: A Skinned Multi-Person Linear Model" (2015), in
three costs: joints only (forward kinematics), landmarks (plus 21 skinned points), and the whole
mesh. `test/helpers/smpl_reference.py` holds the same mathematics as slow, readable numpy.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import roma
import torch
from torch import Tensor, nn

from d3pose_core.body.arrays import BodyArrays
from d3pose_core.errors import InputError
from d3pose_core.skeleton import JOINT_PARENTS, NUM_JOINTS

if TYPE_CHECKING:
    from d3pose_core.recovery import RecoveredPerson


# A matrix of so many numbers, of which less than this share are not zero, is multiplied as a sparse one.
_LARGE, _SPARSE_SHARE = 10**5, 0.2


class BodyOutput(NamedTuple):
    """A posed body, in the frame that `global_orient` and `transl` lead to (the optical frame), metres."""

    vertices: Tensor  # [B, V, 3]
    joints: Tensor  # [B, 24, 3]


class BodyModel(nn.Module):
    """A body in the SMPL format, batched over people and differentiable.

    All methods take `global_orient` [B, 3] and `body_pose` [B, 23, 3] (axis-angle, rad, each
    relative to its parent), `betas` [B, 10] and `transl` [B, 3] (m); their `..._matrices` twins
    take `rotations` [B, 24, 3, 3] instead of the axis-angles. `transl` is smplx's: it moves the
    finished body, it is not the position of the pelvis. Betas and transl may have a batch of 1 for
    all people.
    """

    def __init__(
        self, arrays: BodyArrays, keypoint_matrix: np.ndarray, name: str, gender: str = "neutral"
    ) -> None:
        """`keypoint_matrix` [33, 45]: landmarks as affine combinations of 24 joints and 21 markers."""
        super().__init__()
        self.name = name
        self.gender = gender
        self.faces = arrays.faces
        self.num_betas = arrays.shapedirs.shape[-1]
        self.num_vertices = len(arrays.v_template)

        # Rest joints are linear in the vertices and those are linear in beta, so the mesh is not
        # needed.
        regressor = arrays.joint_regressor.astype(np.float64)
        self.joint_template: Tensor
        self.joint_shapedirs: Tensor
        self.keypoint_matrix: Tensor
        _constant(self, "joint_template", regressor @ arrays.v_template)  # [24, 3]
        joint_shapedirs = np.tensordot(regressor, arrays.shapedirs, axes=1)  # [24, 3, 10]
        _constant(self, "joint_shapedirs", joint_shapedirs.reshape(3 * NUM_JOINTS, -1).T)
        _constant(self, "keypoint_matrix", keypoint_matrix)

        # The same two vertices for every shape, so that stature is linear in beta.
        top, bottom = arrays.v_template[:, 1].argmax(), arrays.v_template[:, 1].argmin()
        self.stature_template: Tensor
        self.stature_shapedirs: Tensor
        _constant(
            self, "stature_template", arrays.v_template[top, 1] - arrays.v_template[bottom, 1]
        )
        _constant(self, "stature_shapedirs", arrays.shapedirs[top, 1] - arrays.shapedirs[bottom, 1])

        self._mesh = _SkinnedPoints(arrays, np.arange(len(arrays.v_template)))
        self._markers = _SkinnedPoints(arrays, arrays.marker_vertices)

    def joints_rest(self, betas: Tensor) -> Tensor:
        """Joints of the unposed body: betas [B, 10] -> [B, 24, 3], m, rest frame."""
        self._check("betas", betas, (self.num_betas,))
        return self.joint_template + (betas @ self.joint_shapedirs).view(-1, NUM_JOINTS, 3)

    def stature(self, betas: Tensor) -> Tensor:
        """Sole to crown of the unposed body: betas [..., 10] -> [...], m."""
        return self.stature_template + betas @ self.stature_shapedirs

    def with_stature(self, betas: Tensor, stature_m: Tensor) -> Tensor:
        """The nearest betas [..., 10] of a body that is `stature_m` [...] tall."""
        direction = self.stature_shapedirs / self.stature_shapedirs.square().sum()
        return betas + (stature_m - self.stature(betas))[..., None] * direction

    def forward(
        self, global_orient: Tensor, body_pose: Tensor, betas: Tensor, transl: Tensor
    ) -> BodyOutput:
        """The whole mesh: [B, V, 3] and joints [B, 24, 3], m."""
        return self.forward_matrices(self._rotations(global_orient, body_pose), betas, transl)

    def joints(
        self, global_orient: Tensor, body_pose: Tensor, betas: Tensor, transl: Tensor
    ) -> Tensor:
        """Joints only, by forward kinematics: [B, 24, 3], m."""
        return self.joints_matrices(self._rotations(global_orient, body_pose), betas, transl)

    def landmarks(
        self, global_orient: Tensor, body_pose: Tensor, betas: Tensor, transl: Tensor
    ) -> Tensor:
        """BlazePose's 33 landmarks on this body, without the mesh: [B, 33, 3], m."""
        return self.landmarks_matrices(self._rotations(global_orient, body_pose), betas, transl)

    def forward_matrices(self, rotations: Tensor, betas: Tensor, transl: Tensor) -> BodyOutput:
        """`forward` with rotation matrices [B, 24, 3, 3]."""
        world, rest = self._pose(rotations, betas, transl)
        offset = transl[:, None]
        vertices = self._mesh(_from_rest(world, rest), rotations, betas)
        return BodyOutput(vertices + offset, world[..., :3, 3] + offset)

    def joints_matrices(self, rotations: Tensor, betas: Tensor, transl: Tensor) -> Tensor:
        """`joints` with rotation matrices [B, 24, 3, 3]."""
        world, _ = self._pose(rotations, betas, transl)
        return world[..., :3, 3] + transl[:, None]

    def landmarks_matrices(self, rotations: Tensor, betas: Tensor, transl: Tensor) -> Tensor:
        """`landmarks` with rotation matrices [B, 24, 3, 3]."""
        world, rest = self._pose(rotations, betas, transl)
        markers = self._markers(_from_rest(world, rest), rotations, betas)
        points = torch.cat([world[..., :3, 3], markers], dim=1)  # [B, 45, 3]
        return self.keypoint_matrix @ points + transl[:, None]

    @property
    def skin_weights(self) -> Tensor:
        """[V, 24]: how much each joint moves each vertex; rows sum to 1."""
        return self._mesh.weights

    @property
    def pose_displacements(self) -> Tensor:
        """[207, V, 3] m: what each element of R - I of joints 1..23 adds to the unposed skin."""
        return self._mesh.posedirs.unflatten(1, (3, -1)).transpose(1, 2)

    def vertices(self, person: RecoveredPerson) -> np.ndarray:
        """The mesh of one recovered person: [V, 3] float32, m, in the person's frame."""
        return self.meshes([person])[0]

    @torch.inference_mode()
    def meshes(self, people: Sequence[RecoveredPerson]) -> np.ndarray:
        """The meshes of several people together: [P, V, 3] float32, m, in their frame.

        Faster than one by one: the matrices of shape and pose are read once.
        """
        if not people:
            return np.zeros((0, self.num_vertices, 3), np.float32)

        def rows(name: str) -> Tensor:
            values = np.stack([getattr(person, name) for person in people]).astype(np.float32)
            return torch.from_numpy(values).to(self.joint_template.device)

        output = self(*map(rows, ("global_orient", "body_pose", "betas", "transl")))
        return output.vertices.cpu().numpy()

    def _rotations(self, global_orient: Tensor, body_pose: Tensor) -> Tensor:
        """Axis-angles [B, 3] and [B, 23, 3] -> matrices [B, 24, 3, 3]."""
        self._check("global_orient", global_orient, (3,))
        self._check("body_pose", body_pose, (NUM_JOINTS - 1, 3))
        return roma.rotvec_to_rotmat(torch.cat([global_orient[:, None], body_pose], dim=1))

    def _pose(self, rotations: Tensor, betas: Tensor, transl: Tensor) -> tuple[Tensor, Tensor]:
        """World transforms of the joints [B, 24, 4, 4] (without transl) and rest joints [B or 1, 24, 3]."""
        self._check("rotations", rotations, (NUM_JOINTS, 3, 3))
        self._check("transl", transl, (3,))
        rest = self.joints_rest(betas)
        return forward_kinematics(rotations, rest), rest

    def _check(self, name: str, value: Tensor, shape: tuple[int, ...]) -> None:
        if value.ndim != 1 + len(shape) or value.shape[1:] != shape:
            expected = ", ".join(["B", *map(str, shape)])
            raise InputError(
                f"{self.name}: {name} must have shape [{expected}], got {list(value.shape)}"
            )


class _SkinnedPoints(nn.Module):
    """Some of a body's vertices, with what is needed to shape and skin just those.

    All x come first, then all y, then all z: whole rows of numbers are multiplied instead of triples.
    """

    def __init__(self, arrays: BodyArrays, vertex_ids: np.ndarray) -> None:
        super().__init__()
        self.template: Tensor
        self.shapedirs: Tensor
        self.posedirs: Tensor
        self.weights: Tensor

        def by_axis(values: np.ndarray) -> np.ndarray:
            """[N, 3, K] -> [K, 3 N]."""
            return values[vertex_ids].transpose(2, 1, 0).reshape(values.shape[2], -1)

        _constant(self, "template", arrays.v_template[vertex_ids].T.reshape(-1))
        _constant(self, "shapedirs", by_axis(arrays.shapedirs))
        _constant(self, "posedirs", by_axis(arrays.posedirs))
        _constant(self, "weights", arrays.weights[vertex_ids])
        self._sparse_posedirs: Tensor | None = None  # [3 N, 207]; made when first needed
        share = float((self.posedirs != 0).float().mean())
        self._is_sparse = self.posedirs.numel() > _LARGE and share < _SPARSE_SHARE

    def forward(self, from_rest: Tensor, rotations: Tensor, betas: Tensor) -> Tensor:
        """`from_rest` [B, 24, 3, 4] rest frame -> posed frame; returns the posed points [B, N, 3]."""
        identity = torch.eye(3, dtype=rotations.dtype, device=rotations.device)
        pose_feature = (rotations[:, 1:] - identity).flatten(1)  # [B, 207]
        shaped = torch.addmm(self.template, betas, self.shapedirs)  # [B or 1, 3 N]
        rest = (shaped + self._correctives(pose_feature)).unflatten(1, (3, -1))  # [B, 3, N]
        blended = from_rest.flatten(2).transpose(1, 2) @ self.weights.T  # [B, 12, N]
        rows = blended.unflatten(1, (3, 4))  # [B, 3, 4, N]
        points = rows[:, :, 3]
        for axis in range(3):
            points = torch.addcmul(points, rows[:, :, axis], rest[:, axis, None])
        return points.transpose(1, 2).contiguous()

    def _correctives(self, pose_feature: Tensor) -> Tensor:
        """What the pose adds to the unposed points: [B, 207] -> [B, 3 N].

        A joint bends the skin about it and no other: most of the matrix is zero, and where no gradient is
        asked for, the rest of it is enough.
        """
        wants_gradient = torch.is_grad_enabled() and pose_feature.requires_grad
        if not self._is_sparse or wants_gradient or pose_feature.device.type != "cpu":
            return pose_feature @ self.posedirs
        matrix = self._sparse_posedirs
        if matrix is None or matrix.dtype != pose_feature.dtype:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # "sparse CSR tensor support is in beta state"
                matrix = self.posedirs.T.contiguous().to_sparse_csr()
            self._sparse_posedirs = matrix
        try:
            return (matrix @ pose_feature.T).T
        except RuntimeError:  # builds of torch without a library for it
            self._is_sparse = False
            return pose_feature @ self.posedirs


def forward_kinematics(rotations: Tensor, rest: Tensor) -> Tensor:
    """Local rotations [B, 24, 3, 3], rest joints [B or 1, 24, 3] -> world transforms [B, 24, 4, 4].

    SMPL's joint order is by depth in the tree, so that each level is one slice whose parents all
    lie in the slice before: eight batched products instead of 23.
    """
    parents = list(JOINT_PARENTS[1:])
    bones = torch.cat([rest[:, :1], rest[:, 1:] - rest[:, parents]], dim=1)
    bones = bones.expand(len(rotations), -1, -1)[..., None]  # [B, 24, 3, 1]
    last_row = torch.tensor([0.0, 0.0, 0.0, 1.0], dtype=rotations.dtype, device=rotations.device)
    last_row = last_row.expand(len(rotations), NUM_JOINTS, 1, 4)
    local = torch.cat([torch.cat([rotations, bones], dim=-1), last_row], dim=-2)
    levels = [local[:, :1]]
    for start, stop, parent in _LEVELS:
        levels.append(levels[-1][:, parent] @ local[:, start:stop])
    return torch.cat(levels, dim=1)


def _from_rest(world: Tensor, rest: Tensor) -> Tensor:
    """Transforms of points given in the rest frame: rotate about each rest joint, [B, 24, 3, 4]."""
    rotation, position = world[..., :3, :3], world[..., :3, 3:]
    return torch.cat([rotation, position - rotation @ rest[..., None]], dim=-1)


def _tree_levels() -> list[tuple[int, int, list[int]]]:
    """(first joint, end, parents counted from the level before) of each level below the root."""
    levels = []
    before, start = 0, 1
    while start < NUM_JOINTS:
        stop = next((j for j in range(start, NUM_JOINTS) if JOINT_PARENTS[j] >= start), NUM_JOINTS)
        levels.append((start, stop, [JOINT_PARENTS[j] - before for j in range(start, stop)]))
        before, start = start, stop
    return levels


_LEVELS = _tree_levels()


def _constant(module: nn.Module, name: str, values: np.ndarray) -> None:
    """A float32 buffer; not saved in checkpoints, since the body has its own file."""
    tensor = torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
    module.register_buffer(name, tensor, persistent=False)
