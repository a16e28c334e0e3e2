"""`python -m tools.build_free_body --out DIR`: see the package's docstring."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from d3pose_core.body.arrays import BodyArrays, write_compact
from d3pose_core.body.model import BodyModel
from d3pose_core.skeleton import JOINT_MIRROR, JOINT_NAMES
from tools.build_free_body.correctives import fit_posedirs
from tools.build_free_body.decimate import decimate
from tools.build_free_body.geometry import MIRROR, mirror_vertices
from tools.build_free_body.joints import heads_at_joints, joints_from_bones, merge_weights
from tools.build_free_body.keypoints import fit_keypoint_matrices
from tools.build_free_body.makehuman import MakeHuman, in_batches
from tools.build_free_body.regressor import fit_joint_regressor
from tools.build_free_body.shape_space import fit_shape_space
from tools.build_free_body.surface import (
    SMPL_MARKER_VERTICES,
    Skin,
    extract_skin,
    renumber,
)
from tools.build_free_body.tpose import TPosed, t_pose

# Where the pelvis joint sits in the rest pose, m: near SMPL's, whose origin is at the chest.
REST_PELVIS = np.array([0.0, -0.22, 0.03])
MID_VERTICES, LOW_VERTICES = 7200, 1500


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.build_free_body", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for the files")
    parser.add_argument("--adults", type=int, default=1500, help="sample size of the shape space")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    report = _Report()

    human = MakeHuman()
    report(f"MakeHuman loaded: {len(human.rig.weights)} vertices, {len(human.rig.bones)} bones")
    regressor = first_joint_regressor(human)
    report("joints carried over from MakeHuman's skeleton onto the skin")

    people = t_posed_adults(human, count=arguments.adults, seed=0, regressor=regressor)
    stature = np.ptp(people.vertices[..., 1], axis=1)
    report(f"{arguments.adults} adults: {stature.mean():.3f} m +- {stature.std():.3f} m tall")
    rest = people.vertices.mean(0)  # of the whole MakeHuman mesh
    skin, people, weights = symmetric_skin(human, people)
    report(f"skin: {len(skin.vertex_ids)} vertices, {len(skin.faces)} faces")

    full = full_body(skin, people, weights, report)
    matrices, errors = fit_keypoint_matrices(full, skin, rest, human.rig)
    listed = ", ".join(f"{name} {error * 1000:.1f}" for name, error in errors.items())
    report(f"keypoints, mean error in mm: {listed}")

    arguments.out.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(arguments.out / "keypoint_matrices.npz", allow_pickle=False, **matrices)
    coarser = coarser_bodies(full, skin, people, report)
    for name, body in {"full": full, **coarser}.items():
        path = arguments.out / f"free_{name}.npz"
        write_compact(path, body)
        size = f"{len(body.v_template)} vertices, {len(body.faces)} faces"
        report(f"{path}: {size}, {path.stat().st_size / 1e6:.2f} MB")


class _Report:
    """Prints lines with the time since the start."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    def __call__(self, line: str) -> None:
        print(f"{time.monotonic() - self._start:6.0f} s  {line}", flush=True)


def first_joint_regressor(human: MakeHuman) -> np.ndarray:
    """Joints as functions of MakeHuman's skin [24, V], from a small sample posed by MakeHuman's own bones.

    A first pass for the second one: joints that are defined on the skin, rather than by bones whose
        heads slide along the limbs with body shape, make better centres of rotation for the T-pose.
    """
    people = t_posed_adults(human, count=500, seed=1, regressor=None)
    skin, people, weights = symmetric_skin(human, people)
    fitted, _ = fit_joint_regressor(people.vertices, people.joints, weights, skin.mirror)
    regressor = np.zeros((len(fitted), len(human.rig.weights)))
    regressor[:, skin.vertex_ids] = fitted
    return regressor


def t_posed_adults(human: MakeHuman, count: int, seed: int, regressor: np.ndarray | None) -> TPosed:
    """Random adults in the T-pose, pelvis at `REST_PELVIS`; joints by bones where there is no regressor."""
    vertices, joints = [], []
    for batch in in_batches(human.sample_adults(count, seed)):
        if regressor is None:
            centers = joints_from_bones(batch.heads, human.rig)
        else:
            centers = np.einsum("jv,nvd->njd", regressor, batch.vertices)
            heads = heads_at_joints(batch.heads, centers, human.rig)
            batch = type(batch)(batch.vertices, heads)
        posed = t_pose(batch, centers, human.rig)
        shift = REST_PELVIS - posed.joints[:, :1]
        vertices.append(posed.vertices + shift)
        joints.append(posed.joints + shift)
    return TPosed(np.concatenate(vertices), np.concatenate(joints))


def symmetric_skin(human: MakeHuman, people: TPosed) -> tuple[Skin, TPosed, np.ndarray]:
    """The visible skin of `people` and its weights [V, 24], all made exactly symmetric."""
    weights = merge_weights(human.rig)
    rest = people.vertices.mean(0)
    skin = extract_skin(rest, human.rig, weights)
    weights = weights[skin.vertex_ids]
    weights = (weights + weights[skin.mirror][:, JOINT_MIRROR]) / 2
    vertices = people.vertices[:, skin.vertex_ids]
    vertices = (vertices + vertices[:, skin.mirror] * MIRROR) / 2
    joints = (people.joints + people.joints[:, JOINT_MIRROR] * MIRROR) / 2
    return skin, TPosed(vertices, joints), _pruned(weights)


def _pruned(weights: np.ndarray, least: float = 1e-3) -> np.ndarray:
    """Skinning weights without negligible influences; rows sum to 1."""
    weights = np.where(weights < least, 0.0, weights)
    return weights / weights.sum(1, keepdims=True)


def full_body(skin: Skin, people: TPosed, weights: np.ndarray, report: _Report) -> BodyArrays:
    """The body at MakeHuman's own resolution."""
    shape = fit_shape_space(people.vertices, skin.faces)
    report(f"shape: 10 betas hold {shape.explained:.1%} of the variance")
    per_beta = zip(shape.stature_per_beta, shape.volume_per_beta, strict=True)
    for number, (stature, bulk) in enumerate(per_beta):
        report(f"  beta{number}: stature {stature * 1e3:+6.1f} mm, volume {bulk * 1e3:+6.2f} l")
    regressor, errors = fit_joint_regressor(people.vertices, people.joints, weights, skin.mirror)
    report(f"joints: {errors.mean() * 1e3:.2f} mm mean error on people held out")
    joints = regressor @ shape.mean
    posedirs = fit_posedirs(shape.mean, joints, weights, skin.mirror)
    report(f"correctives: {np.mean(posedirs != 0):.1%} not zero")
    return BodyArrays(
        v_template=shape.mean.astype(np.float32),
        shapedirs=shape.shapedirs.astype(np.float32),
        posedirs=posedirs.astype(np.float32),
        weights=weights.astype(np.float32),
        joint_regressor=regressor.astype(np.float32),
        faces=skin.faces,
        marker_vertices=SMPL_MARKER_VERTICES,
    )


def coarser_bodies(
    full: BodyArrays, skin: Skin, people: TPosed, report: _Report
) -> dict[str, BodyArrays]:
    """The mid and low bodies: subsets of the vertices with their own faces and joint regressors."""
    joints = np.einsum("jv,nvd->njd", full.joint_regressor, people.vertices)
    targets = [MID_VERTICES, LOW_VERTICES]
    steps = decimate(
        _bending_poses(full), full.faces, skin.mirror, full.marker_vertices.tolist(), targets
    )
    bodies = {}
    for name, (kept, faces) in zip(("mid", "low"), steps, strict=True):
        markers = np.searchsorted(kept, full.marker_vertices)
        if len(kept) > SMPL_MARKER_VERTICES.max():
            kept = kept[renumber(len(kept), markers, SMPL_MARKER_VERTICES)]
            markers = SMPL_MARKER_VERTICES
        new_index = np.full(len(full.v_template), -1)
        new_index[kept] = np.arange(len(kept))
        weights = full.weights[kept]
        mirror = mirror_vertices(full.v_template[kept])
        regressor, errors = fit_joint_regressor(people.vertices[:, kept], joints, weights, mirror)
        report(f"{name}: joints {errors.mean() * 1e3:.2f} mm from those of the full body")
        bodies[name] = BodyArrays(
            v_template=full.v_template[kept],
            shapedirs=full.shapedirs[kept],
            posedirs=full.posedirs[kept],
            weights=weights,
            joint_regressor=regressor.astype(np.float32),
            faces=new_index[faces],
            marker_vertices=markers,
        )
    return bodies


def _bending_poses(body: BodyArrays) -> np.ndarray:
    """The rest pose and four that bend all large joints: [5, V, 3], m."""
    squat = {"left_hip": (-105, 0, 18), "right_hip": (-105, 0, -18)}
    squat |= {"left_knee": (115, 0, 0), "right_knee": (115, 0, 0)}
    squat |= {"left_ankle": (-32, 0, 0), "right_ankle": (-32, 0, 0)}
    squat |= {"left_shoulder": (0, -65, -10), "right_shoulder": (0, 65, 10), "spine1": (10, 0, 0)}
    elbows = {"left_elbow": (0, -110, 0), "right_elbow": (0, 110, 0), "head": (0, 40, 0)}
    arms_down = {"left_shoulder": (0, 0, -75), "right_shoulder": (0, 0, 75)}
    arms_up = {"left_shoulder": (0, 0, 65), "right_shoulder": (0, 0, -65)}
    arms_up |= {"left_collar": (0, 0, 20), "right_collar": (0, 0, -20)}

    poses = [{}, squat, elbows, arms_down, arms_up]
    rotvec = torch.zeros(len(poses), len(JOINT_NAMES), 3)
    for number, pose in enumerate(poses):
        for joint, degrees in pose.items():
            rotvec[number, JOINT_NAMES.index(joint)] = torch.deg2rad(torch.tensor(degrees).float())
    model = BodyModel(body, np.zeros((1, 45)), "building")
    zeros = torch.zeros(len(poses), 3), torch.zeros(len(poses), model.num_betas)
    with torch.no_grad():
        posed = model(zeros[0], rotvec[:, 1:], zeros[1], zeros[0])
    return posed.vertices.numpy().astype(np.float64)


if __name__ == "__main__":
    main()
