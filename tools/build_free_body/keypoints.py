"""Other skeletons' keypoints as affine combinations of the 24 joints and 21 marker vertices.

One matrix product then gives BlazePose's 33 landmarks (also COCO-17, Human3.6M-17 and LSP-14)
without a mesh, on this body and, near enough, on a licensed SMPL body. Limb keypoints are the
joints themselves: a ring of skin around a joint drifts (by 17 mm at the hip) when the body bends.
"""

from __future__ import annotations

import numpy as np
import torch

from d3pose_core.body.arrays import MARKER_NAMES, BodyArrays
from d3pose_core.body.model import BodyModel
from d3pose_core.skeleton import JOINT_NAMES, LANDMARK_NAMES, NUM_JOINTS
from tools.build_free_body.makehuman import Rig
from tools.build_free_body.surface import LEFT_EYE, Skin

POINT_NAMES = (*JOINT_NAMES, *MARKER_NAMES)
HEAD_POINTS = ("nose", "right_eye", "left_eye", "right_ear", "left_ear", "head")

MOUTH_CORNER_BONES = ("oris03", "oris07", "levator05")  # upper lip, lower lip, cheek

COCO_NAMES = (
    *("nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder"),
    *("left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip"),
    *("left_knee", "right_knee", "left_ankle", "right_ankle"),
)
# Human3.6M and LSP as weights of points named above; geometric guesses, not fitted to those
# datasets.
H36M_POINTS: dict[str, dict[str, float]] = {
    "pelvis": {"left_hip": 0.5, "right_hip": 0.5},
    **{name: {name: 1.0} for name in ("right_hip", "right_knee", "right_ankle")},
    **{name: {name: 1.0} for name in ("left_hip", "left_knee", "left_ankle")},
    "spine": {"spine2": 1.0},
    "thorax": {"neck": 1.0},
    "neck_nose": {"nose": 0.5, "head": 0.5},
    "head_top": {"head_top": 1.0},
    **{name: {name: 1.0} for name in ("left_shoulder", "left_elbow", "left_wrist")},
    **{name: {name: 1.0} for name in ("right_shoulder", "right_elbow", "right_wrist")},
}
LSP_NAMES = (
    *("right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle"),
    *("right_wrist", "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist"),
    *("neck", "head_top"),
)


def fit_keypoint_matrices(
    body: BodyArrays, skin: Skin, rest: np.ndarray, rig: Rig
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """The matrices of all conventions, and the mean error of each fitted keypoint.

    Args:
        body: the full-resolution body.
        skin: where its vertices come from.
        rest: mean T-posed vertices of the whole MakeHuman mesh [V', 3], m.

    Returns:
        matrices {"blazepose33": [33, 45], ...} whose rows sum to 1; errors {keypoint: m}.
    """
    on_mesh = _points_on_mesh(skin, rest, rig, body)
    points, targets = _pose_at_random(body, np.stack(list(on_mesh.values())))
    rows = {name: np.eye(len(POINT_NAMES))[number] for number, name in enumerate(POINT_NAMES)}
    errors = {}
    for number, name in enumerate(on_mesh):
        support = [POINT_NAMES.index(point) for point in _support(name)]
        row = np.zeros(len(POINT_NAMES))
        row[support] = _fit_affine(points[:, support], targets[:, number])
        rows[name] = row
        error = np.linalg.norm(np.einsum("k,nkd->nd", row, points) - targets[:, number], axis=1)
        errors[name] = float(error.mean())
    mirror = [POINT_NAMES.index(_other_side(name)) for name in POINT_NAMES]
    rows |= {_other_side(name): rows[name][mirror] for name in on_mesh if name != "head_top"}

    def combine(weights: dict[str, float]) -> np.ndarray:
        return sum(weight * rows[name] for name, weight in weights.items())

    matrices = {
        "blazepose33": np.stack([rows[name] for name in LANDMARK_NAMES]),
        "coco17": np.stack([rows[name] for name in COCO_NAMES]),
        "h36m17": np.stack([combine(weights) for weights in H36M_POINTS.values()]),
        "lsp14": np.stack([rows[name] for name in LSP_NAMES]),
    }
    return {name: matrix.astype(np.float32) for name, matrix in matrices.items()}, errors


def _other_side(name: str) -> str:
    swap = {"left": "right", "right": "left"}
    return "_".join(swap.get(word, word) for word in name.split("_"))


def _support(name: str) -> tuple[str, ...]:
    """The points that move with a keypoint."""
    if name == "head_top":
        return (*HEAD_POINTS, "neck")
    if "eye" in name or "mouth" in name:
        return HEAD_POINTS
    if "foot" in name:
        foot = ("ankle", "foot", "big_toe", "small_toe", "heel")
        return tuple(f"left_{point}" for point in foot)
    # The hand's own "left_hand" joint carries the knuckles; finger tips tell its orientation.
    hand = ("wrist", "hand", "thumb", "index", "middle", "ring", "pinky")
    return tuple(f"left_{point}" for point in hand)


def _points_on_mesh(
    skin: Skin, rest: np.ndarray, rig: Rig, body: BodyArrays
) -> dict[str, np.ndarray]:
    """The left keypoints that are no joint or marker, as weights [V] over the skin's vertices.

    BlazePose's "pinky", "index" and "thumb" are knuckles, not finger tips.
    """
    vertices, base = rest[skin.vertex_ids], rig.base_vertex[skin.vertex_ids]

    def moved_by(*bones: str) -> np.ndarray:
        return rig.weights[skin.vertex_ids][:, [rig.bone(f"{bone}.L") for bone in bones]].sum(1)

    def knuckle(finger: np.ndarray, before: np.ndarray) -> np.ndarray:
        ring = (finger > 0.15) & (before > 0.15)
        return ring / ring.sum()

    def one(vertex: int) -> np.ndarray:
        return np.eye(1, len(vertices), vertex)[0]

    eye = np.flatnonzero((base >= LEFT_EYE[0]) & (base < LEFT_EYE[1]))
    # The canthi are the ends of the part that shows between the lids, near the front.
    eye = eye[vertices[eye, 2] > vertices[eye, 2].max() - 0.012]
    # The corner of the mouth is where its three muscles meet.
    mouth_corner = np.minimum.reduce([moved_by(bone) for bone in MOUTH_CORNER_BONES]).argmax()
    second_toe = np.flatnonzero(moved_by("toe2-3") > 0.5)
    foot_tip = second_toe[np.argmax(vertices[second_toe, 2])]
    big_toe = body.marker_vertices[MARKER_NAMES.index("left_big_toe")]
    head = np.flatnonzero(body.weights[:, JOINT_NAMES.index("head")] > 0.9)
    return {
        "left_eye_inner": one(eye[np.argmin(vertices[eye, 0])]),
        "left_eye_outer": one(eye[np.argmax(vertices[eye, 0])]),
        "mouth_left": one(mouth_corner),
        "left_index": knuckle(moved_by("finger2-1"), moved_by("metacarpal1", "wrist")),
        "left_pinky": knuckle(moved_by("finger5-1"), moved_by("metacarpal4", "wrist")),
        "left_thumb": knuckle(moved_by("finger1-2"), moved_by("finger1-1")),
        "left_foot_index": (one(big_toe) + one(foot_tip)) / 2,
        "head_top": one(head[np.argmax(vertices[head, 1])]),
    }


def _pose_at_random(body: BodyArrays, on_mesh: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """600 random people: their joints and markers [N, 45, 3] and mesh keypoints [N, K, 3], m."""
    random = np.random.default_rng(0)
    count = 600
    pose = random.normal(0, 0.3, (count, NUM_JOINTS, 3))
    index = JOINT_NAMES.index
    pose[:, [index(name) for name in ("spine1", "spine2", "spine3", "neck", "head")]] *= 0.5
    ends = ("left_foot", "right_foot", "left_hand", "right_hand")
    pose[:, [index(name) for name in ends]] *= 0.3
    pose[:, [index("left_knee"), index("right_knee")], 0] += np.abs(
        random.normal(0, 0.7, (count, 2))
    )
    for side, sign in (("left", -1), ("right", 1)):
        pose[:, index(f"{side}_elbow"), 1] += sign * np.abs(random.normal(0, 0.7, count))
        lowered = -random.uniform(0, 1.2, count)
        pose[:, index(f"{side}_shoulder"), 2] += lowered if side == "left" else -lowered
    betas = random.normal(0, 1, (count, body.shapedirs.shape[-1]))

    model = BodyModel(body, np.zeros((1, len(POINT_NAMES))), "building")
    markers = body.marker_vertices
    points, targets = [], []
    with torch.no_grad():
        for start in range(0, count, 20):
            part = slice(start, start + 20)
            rotvec = torch.as_tensor(pose[part], dtype=torch.float32)
            shape = torch.as_tensor(betas[part], dtype=torch.float32)
            vertices, joints = model(rotvec[:, 0], rotvec[:, 1:], shape, torch.zeros(len(shape), 3))
            points.append(np.concatenate([joints, vertices[:, markers]], axis=1))
            targets.append(np.einsum("kv,nvd->nkd", on_mesh, vertices.numpy()))
    return np.concatenate(points).astype(np.float64), np.concatenate(targets)


def _fit_affine(points: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Weights [K], sum 1, with sum_k w_k points[n, k] close to target[n]; a little ridge keeps them small."""
    count = points.shape[1]
    center = points.mean(1, keepdims=True)
    rows = (points - center).transpose(0, 2, 1).reshape(-1, count)
    wanted = (target - center[:, 0]).reshape(-1)
    # Least squares under one linear constraint: its Lagrange (KKT) system.
    system = np.zeros((count + 1, count + 1))
    system[:count, :count] = rows.T @ rows + 1e-6 * len(rows) * np.eye(count)
    system[count, :count] = system[:count, count] = 1.0
    return np.linalg.solve(system, np.append(rows.T @ wanted, 1.0))[:count]
