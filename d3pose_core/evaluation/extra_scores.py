"""Scores of some protocols beyond joint errors: rotations, shares of good joints, the world."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import roma
import torch

from d3pose_core.data.datasets.sequence import DatasetSequence
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
# EMDB leaves out root, ankles, feet, wrists and hands.
_EMDB_JITTER = [i for i in range(24) if i not in (0, 7, 8, 10, 11, 20, 21, 22, 23)]
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
        if protocol.world:
            frames = ours.frame[a]
            predicted, truth = (_into_world(sequence, frames, x) for x in (predicted, truth))
        p, t = torch.from_numpy(predicted), torch.from_numpy(truth)
        joints = p if protocol.world else p[:, _EMDB_JITTER]
        add("jitter", jitter_m_s3(joints, protocol.fps) / 10)
        if protocol.world:
            add("wa_mpjpe", wa_mpjpe_mm(p, t))
            add("w_mpjpe", w_mpjpe_mm(p, t))
            add("rte", rte_percent(p[:, 0], t[:, 0]))
            add("foot_sliding", foot_sliding_mm(p[:, _FEET], t[:, _FEET]))
    return {name: float(torch.cat(values).mean()) for name, values in parts.items()}


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
