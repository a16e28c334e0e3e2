"""Scores of some protocols beyond joint errors: rotations, shares of good joints, the world."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import roma
import torch

from d3pose_core.body import BodyModel
from d3pose_core.data.datasets.sequence import DatasetSequence
from d3pose_core.data.datasets.world_to_camera import Bodies
from d3pose_core.evaluation.body_points import vertices
from d3pose_core.evaluation.dataset_protocols import DatasetProtocol
from d3pose_core.evaluation.metrics import procrustes_rotation
from d3pose_core.evaluation.pck import OFFICIAL_3DPW_PCK_JOINTS, auc, pck
from d3pose_core.evaluation.rotation_metrics import (
    OFFICIAL_3DPW_ROTATIONS,
    global_rotations,
    mpjae_deg,
)
from d3pose_core.evaluation.scores import Evaluation
from d3pose_core.evaluation.world_metrics import (
    foot_sliding_mm,
    jitter_m_s3,
    rte_percent,
    w_mpjpe_mm,
    wa_mpjpe_mm,
)
from d3pose_core.skeleton import JOINT_NAMES

if TYPE_CHECKING:
    from d3pose_core.evaluation.dataset_evaluation import Rows

_FEET = [JOINT_NAMES.index(f"{s}_{p}") for s in ("left", "right") for p in ("ankle", "foot")]
# WHAM's evaluation takes these vertices of SMPL's mesh, two a foot.
FOOT_VERTICES = (3216, 3387, 6617, 6787)
SMPL_VERTICES = 6890
# EMDB's evaluation sets root, ankles, feet, wrists and hands to zero before it averages over all 24.
_EMDB_STILL = [0, 7, 8, 10, 11, 20, 21, 22, 23]
_LEAST_RUN = 10  # frames, of a track in the world


def rotation_scores(
    protocol: DatasetProtocol, evaluation: Evaluation, predicted: np.ndarray, truth: np.ndarray
) -> dict[str, float]:
    """`mpjae` and `pa_mpjae` (degrees), `pck` (%) and `auc`, of matched poses [M, 24, 3]."""
    wanted = dict(protocol.units)
    out: dict[str, float] = {}
    if "mpjae" in wanted:
        ours, theirs = (
            global_rotations(roma.rotvec_to_rotmat(torch.from_numpy(p.astype(np.float64))))
            for p in (predicted, truth)
        )
        joints = OFFICIAL_3DPW_ROTATIONS if "pa_mpjae" in wanted else None
        out["mpjae"] = float(mpjae_deg(ours, theirs, joints).mean())
        if "pa_mpjae" in wanted:
            m = evaluation.matching
            our_joints = evaluation.recovered.joints[m.recovered_row].astype(np.float64)
            their_joints = m.reference.at(evaluation.reference.joints)[m.reference_row]
            turn = procrustes_rotation(
                torch.from_numpy(our_joints), torch.from_numpy(their_joints.astype(np.float64))
            )
            out["pa_mpjae"] = float(mpjae_deg(turn[:, None] @ ours, theirs, joints).mean())
    if "pck" in wanted:
        names = [JOINT_NAMES[j] for j in OFFICIAL_3DPW_PCK_JOINTS]
        columns = [evaluation.joint_names.index(name) for name in names]
        errors = torch.from_numpy(evaluation.joint_error[:, columns])
        out["pck"] = 100 * float(pck(errors, 50.0))
        out["auc"] = float(auc(errors))
    return out


def world_scores(
    protocol: DatasetProtocol,
    ours: Rows,
    theirs: Rows,
    pairs: tuple[np.ndarray, np.ndarray],
    sequences: list[DatasetSequence],
    body: BodyModel,
    bodies: Bodies | None,
) -> dict[str, float]:
    """World metrics and `jitter` over runs of neighbouring frames of one person under one track id."""
    wanted = dict(protocol.units)
    if not protocol.world and "jitter" not in wanted:
        return {}
    parts: dict[str, list[torch.Tensor]] = {}

    def add(name: str, values: torch.Tensor) -> None:
        parts.setdefault(name, []).append(values)

    for run in _runs(ours, theirs, pairs):
        sequence = sequences[int(ours.sequence[pairs[0][run[0]]])]
        a, b = pairs[0][run], pairs[1][run]
        predicted, truth = ours.joints[a].astype(np.float64), theirs.joints[b].astype(np.float64)
        if not protocol.world:
            predicted[:, _EMDB_STILL] = 0
            add("jitter", jitter_m_s3(torch.from_numpy(predicted), protocol.fps) / 10)
            continue
        feet = predicted[:, _FEET], truth[:, _FEET]
        reference = None if bodies is None else bodies(str(theirs.gender[b[0]]))
        if _on_meshes(body, reference):
            assert reference is not None
            feet = _foot_vertices(body, ours, a), _foot_vertices(reference, theirs, b)
        p, t, our_feet, their_feet = (
            torch.from_numpy(_into_world(sequence, ours.frame[a], x))
            for x in (predicted, truth, *feet)
        )
        add("jitter", jitter_m_s3(p, protocol.fps) / 10)
        add("wa_mpjpe", wa_mpjpe_mm(p, t))
        add("w_mpjpe", w_mpjpe_mm(p, t))
        add("rte", rte_percent(p[:, 0], t[:, 0]))
        add("foot_sliding", foot_sliding_mm(our_feet, their_feet))
    return {name: float(torch.cat(values).mean()) for name, values in parts.items()}


def foot_points(protocol: DatasetProtocol, body: BodyModel, reference: BodyModel | None) -> str:
    """Which points of the feet `foot_sliding` is of, in words; "" where the protocol has none."""
    if "foot_sliding" not in dict(protocol.units):
        return ""
    if _on_meshes(body, reference):
        return f"SMPL's vertices {', '.join(map(str, FOOT_VERTICES))}"
    return "joints of ankles and feet, because not both bodies have SMPL's vertices"


def _on_meshes(body: BodyModel, reference: BodyModel | None) -> bool:
    """Whether both bodies have SMPL's vertices."""
    return reference is not None and body.num_vertices == SMPL_VERTICES == reference.num_vertices


def _foot_vertices(body: BodyModel, rows: Rows, index: np.ndarray) -> np.ndarray:
    """[T, 4, 3] m, in the camera."""
    meshes = vertices(body, rows.pose[index], rows.betas[index], rows.transl[index])
    return torch.cat([mesh[:, FOOT_VERTICES] for mesh in meshes]).double().numpy()


def _into_world(sequence: DatasetSequence, frames: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Optical frame [T, N, 3] -> world, by the dataset's own camera poses."""
    rotation, translation = sequence.rotation[frames], sequence.translation[frames]
    return np.einsum("fji,fnj->fni", rotation, points - translation[:, None])


def _runs(ours: Rows, theirs: Rows, pairs: tuple[np.ndarray, np.ndarray]) -> list[np.ndarray]:
    """Indices of pairs: each run is one person under one track id, frame after frame."""
    order = np.lexsort((ours.frame[pairs[0]], theirs.track_id[pairs[1]]))
    frame, track = ours.frame[pairs[0][order]], ours.track_id[pairs[0][order]]
    person = theirs.track_id[pairs[1][order]]
    breaks = (np.diff(frame) != 1) | (np.diff(track) != 0) | (np.diff(person) != 0)
    runs = np.split(order, np.flatnonzero(breaks) + 1)
    return [run for run in runs if len(run) >= _LEAST_RUN]
