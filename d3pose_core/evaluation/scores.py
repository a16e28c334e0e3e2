"""From two sets of tracks to numbers: the errors of every matched person and frame, and what they come to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from d3pose_core.body import FREE_BODIES, BodyModel, load_body
from d3pose_core.errors import InputError
from d3pose_core.evaluation.matching import Matching, MatchingRule, match
from d3pose_core.evaluation.metrics import (
    acceleration_error_m_s2,
    acceleration_error_mm,
    position_errors_mm,
    procrustes_aligned,
    root_aligned,
)
from d3pose_core.evaluation.protocols import Protocol
from d3pose_core.evaluation.reliability_bins import RADIUS_M, Reliability, sorted_into_bins
from d3pose_core.evaluation.tracks import BodyParameters, Tracks

# Steps that differ by more from the usual one interrupt a run of frames for the acceleration error.
EQUAL_STEPS = 0.25
_CHUNK = 256  # bodies posed at a time
RADIUS_MM = 1000 * RADIUS_M


@dataclass(frozen=True)
class Evaluation:
    """Everything that a report shows. Arrays over the M matched pairs, in the order of `matching`."""

    protocol: Protocol
    rule: MatchingRule
    joint_names: tuple[str, ...]  # [J] the joints compared
    recovered: Tracks
    reference: Tracks
    matching: Matching
    time: np.ndarray  # [M] s
    reference_id: np.ndarray  # [M]
    recovered_id: np.ndarray  # [M]
    joint_error: np.ndarray  # [M, J] mm, root-aligned
    pa_joint_error: np.ndarray  # [M, J] mm, Procrustes-aligned
    root_error: np.ndarray  # [M] mm, not aligned
    vertex_error: np.ndarray | None  # [M] mm, pelvis-aligned; None where it can't be told
    no_vertices_because: str  # why `vertex_error` is None
    acceleration_error: np.ndarray  # [K] mm/frame^2
    acceleration_error_si: np.ndarray  # [K] m/s^2
    confidence: np.ndarray | None = None  # [M, J] 0..1; None where the recovered people have none

    @property
    def mpjpe(self) -> np.ndarray:
        """[M] mm."""
        return self.joint_error.mean(axis=1)

    @property
    def pa_mpjpe(self) -> np.ndarray:
        """[M] mm."""
        return self.pa_joint_error.mean(axis=1)


def evaluate(
    recovered: Tracks,
    reference: Tracks,
    protocol: Protocol,
    rule: MatchingRule | None = None,
    places: tuple[np.ndarray, np.ndarray] | None = None,
) -> Evaluation:
    """Match people and measure.

    Args:
        places: [N, 3] of the recovered and of the reference rows: by their distance people are matched,
            instead of by that of their roots.

    Raises:
        InputError: no time or no joints in common, or other frames of reference.
    """
    rule = rule or MatchingRule()
    if recovered.frame_id and reference.frame_id and recovered.frame_id != reference.frame_id:
        raise InputError(
            f"recovered people are in frame {recovered.frame_id!r}, the reference in "
            f"{reference.frame_id!r}: bring the reference into the camera's frame first"
        )
    names = protocol.available(recovered.joint_names, reference.joint_names)
    ours, theirs = _joints(recovered, names), _joints(reference, names)
    our_roots = _joints(recovered, protocol.root).mean(axis=1)
    their_roots = _joints(reference, protocol.root).mean(axis=1)
    our_places, their_places = places or (our_roots, their_roots)
    matching = match(recovered, reference, our_places, their_places, rule)
    rows, reference_rows = matching.recovered_row, matching.reference_row
    predicted, predicted_root = ours[rows], our_roots[rows]
    truth = matching.reference.at(theirs)[reference_rows]
    truth_root = matching.reference.at(their_roots)[reference_rows]

    tensors = (torch.from_numpy(a).double() for a in (predicted, truth, predicted_root, truth_root))
    p, t, p_root, t_root = tensors
    p, t = root_aligned(p, p_root), root_aligned(t, t_root)
    time = recovered.time[rows]
    reference_id = matching.reference.track_id[reference_rows]
    recovered_id = recovered.track_id[rows]
    acceleration = _accelerations(p, t, time, reference_id, recovered_id, matching.frame_times)
    vertex_error, reason = _vertex_errors(recovered, reference, matching)
    return Evaluation(
        *(protocol, rule, names, recovered, reference, matching),
        *(time, reference_id, recovered_id),
        joint_error=position_errors_mm(p, t).numpy(),
        pa_joint_error=position_errors_mm(procrustes_aligned(p, t), t).numpy(),
        root_error=1000 * (p_root - t_root).norm(dim=-1).numpy(),
        vertex_error=vertex_error,
        no_vertices_because=reason,
        acceleration_error=acceleration[0],
        acceleration_error_si=acceleration[1],
        confidence=_confidences(recovered, names, rows),
    )


def _confidences(tracks: Tracks, names: tuple[str, ...], rows: np.ndarray) -> np.ndarray | None:
    if tracks.joint_confidence is None:
        return None
    columns = [tracks.joint_names.index(name) for name in names]
    return tracks.joint_confidence[rows][:, columns]


def reliability_of_joints(e: Evaluation) -> Reliability | None:
    """Whether joints said to be right within RADIUS_MM are; None without confidences.

    Errors are those of MPJPE. A joint that the alignment puts right is left out.
    """
    columns = [i for i, name in enumerate(e.joint_names) if (name,) != e.protocol.root]
    if e.confidence is None or not len(e.time):
        return None
    said = torch.from_numpy(e.confidence[:, columns]).double().flatten()
    within = torch.from_numpy(e.joint_error[:, columns] < RADIUS_MM).double().flatten()
    return sorted_into_bins(said, within)


def _joints(tracks: Tracks, names: tuple[str, ...]) -> np.ndarray:
    return tracks.joints[:, [tracks.joint_names.index(name) for name in names]]


def _accelerations(
    predicted: Tensor,
    truth: Tensor,
    time: np.ndarray,
    reference_id: np.ndarray,
    recovered_id: np.ndarray,
    frame_times: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Over runs of neighbouring frames of one person under one id: mm/frame^2 and m/s^2."""
    if len(frame_times) < 3:
        return np.empty(0), np.empty(0)
    usual_s = float(np.median(np.diff(frame_times)))
    per_frame, per_second = [np.empty(0)], [np.empty(0)]
    for person in np.unique(reference_id):
        rows = np.flatnonzero(reference_id == person)
        breaks = (np.diff(recovered_id[rows]) != 0) | (
            abs(np.diff(time[rows]) - usual_s) > EQUAL_STEPS * usual_s
        )
        for run in np.split(rows, np.flatnonzero(breaks) + 1):
            if len(run) >= 3:
                p, t = predicted[run], truth[run]
                per_frame.append(acceleration_error_mm(p, t).numpy())
                times = torch.from_numpy(time[run] - time[run[0]])
                per_second.append(acceleration_error_m_s2(p, t, times).numpy())
    return np.concatenate(per_frame), np.concatenate(per_second)


def _vertex_errors(
    recovered: Tracks, reference: Tracks, matching: Matching
) -> tuple[np.ndarray | None, str]:
    """Mean distance of the vertices about the pelvis of each pair, mm; or None, and why."""
    ours, theirs = recovered.parameters, reference.parameters
    if ours is None or theirs is None:
        which = "the recovered people" if ours is None else "the reference"
        return None, f"{which} come without SMPL parameters"
    if not theirs.body_model or not ours.body_model:
        which = "the recovered people" if not ours.body_model else "the reference"
        return None, f"the file of {which} does not name its body model"
    if ours.body_model in FREE_BODIES and theirs.body_model in FREE_BODIES:
        name = "free-low"  # all free bodies pose alike
    elif ours.body_model == theirs.body_model:
        name = ours.body_model
    else:
        return None, (
            f"the recovered bodies are {ours.body_model}, the reference's {theirs.body_model}: their "
            "vertices do not correspond"
        )
    try:
        body = load_body(name)
    except InputError as error:
        return None, f"the body model is not here: {error}"
    needed, reference_rows = matching.recovered_row, matching.reference_row
    people = matching.reference
    predicted = _centred_vertices(body, ours, needed)
    # Mixing the vertices of the samples before and after is exact enough for samples 0.1 s apart.
    before = _centred_vertices(body, theirs, people.before[reference_rows])
    after = _centred_vertices(body, theirs, people.after[reference_rows])
    weight = people.weight[reference_rows][:, None, None].astype(np.float32)
    truth = (1 - weight) * before + weight * after
    return 1000 * np.linalg.norm(predicted - truth, axis=-1).mean(axis=1), ""


@torch.inference_mode()
def _centred_vertices(body: BodyModel, parameters: BodyParameters, rows: np.ndarray) -> np.ndarray:
    """Vertices about the pelvis joint, [rows, V, 3] m."""
    unique, places = np.unique(rows, return_inverse=True)
    parts = [np.empty((0, body.num_vertices, 3), np.float32)]
    for first in range(0, len(unique), _CHUNK):
        some = unique[first : first + _CHUNK]
        columns = (
            torch.from_numpy(np.ascontiguousarray(column[some]))
            for column in (
                *(parameters.global_orient, parameters.body_pose),
                *(parameters.betas, parameters.transl),
            )
        )
        output = body(*columns)
        parts.append((output.vertices - output.joints[:, :1]).numpy())
    return np.concatenate(parts)[places]


def summarize(evaluation: Evaluation) -> dict[str, Any]:
    """The contents of metrics.json but for the names of the files: numbers, and the protocol behind them."""
    e, m = evaluation, evaluation.matching
    pairs, references = len(e.time), len(m.reference.frame)
    return {
        "protocol": {
            "name": e.protocol.name,
            "description": e.protocol.description,
            "joints": list(e.joint_names),
            "joints_missing": [n for n in e.protocol.joints if n not in e.joint_names],
            "alignment": {
                "mpjpe": f"translation, so that the roots ({' and '.join(e.protocol.root)}) coincide",
                "pa_mpjpe": "rotation, translation and scale of each frame (Procrustes)",
                "pve": "translation, so that the pelvis joints coincide",
                "accel": "as mpjpe",
                "root_error": "none",
            },
            "units": {
                "mpjpe": "mm",
                "pa_mpjpe": "mm",
                "pve": "mm",
                "root_error": "mm",
                "accel": "mm/frame^2",
                "accel_si": "m/s^2",
            },
            "averaging": "over all matched people in all frames, each pair counts once",
            "matching": {
                "max_distance_m": e.rule.max_distance_m,
                "max_reference_gap_s": e.rule.max_gap_s,
                "method": "a pair that still fits is kept, then the nearest roots are matched",
            },
            "frame_of_reference": e.recovered.frame_id or e.reference.frame_id or "not stated",
            "recovered_body": _body_name(e.recovered),
            "reference_body": _body_name(e.reference),
            "frames_evaluated": len(m.frame_times),
            "pairs_evaluated": pairs,
        },
        "metrics": {
            "mpjpe": _mean(e.mpjpe),
            "pa_mpjpe": _mean(e.pa_mpjpe),
            "pve": None if e.vertex_error is None else _mean(e.vertex_error),
            "accel": _mean(e.acceleration_error),
            "accel_si": _mean(e.acceleration_error_si),
            "root_error": _mean(e.root_error),
        },
        "pve_missing_because": e.no_vertices_because or None,
        "tracking": {
            "reference_people_in_frames": references,
            "found": pairs,
            "missed": len(m.missed),
            "extra": len(m.extra),
            "id_switches": len(m.switches),
            "recall": _ratio(pairs, references),
            "precision": _ratio(pairs, pairs + len(m.extra)),
        },
        "confidence": _reliability(e),
        "per_joint": {
            name: {"mpjpe": _mean(e.joint_error[:, i]), "pa_mpjpe": _mean(e.pa_joint_error[:, i])}
            for i, name in enumerate(e.joint_names)
        },
        "per_person": {
            str(person): _person(e, int(person)) for person in np.unique(m.reference.track_id)
        },
    }


def _reliability(e: Evaluation) -> dict[str, Any] | None:
    bins = reliability_of_joints(e)
    if bins is None:
        return None
    columns = (x.tolist() for x in (bins.said, bins.found, bins.count))
    return {
        "meaning": f"the joint lies within {RADIUS_MM:g} mm of the reference, aligned as for MPJPE",
        "expected_calibration_error": round(bins.expected_error, 4),
        "bins": [
            {"said": round(said, 4), "found": round(found, 4), "joints": int(count)}
            for said, found, count in zip(*columns, strict=True)
        ],
    }


def _person(e: Evaluation, person: int) -> dict[str, Any]:
    rows = e.reference_id == person
    frames = int((e.matching.reference.track_id == person).sum())
    return {
        "frames": frames,
        "found": int(rows.sum()),
        "recovered_ids": sorted({int(i) for i in e.recovered_id[rows]}),
        "id_switches": sum(switch.reference_id == person for switch in e.matching.switches),
        "mpjpe": _mean(e.mpjpe[rows]),
        "pa_mpjpe": _mean(e.pa_mpjpe[rows]),
        "pve": None if e.vertex_error is None else _mean(e.vertex_error[rows]),
        "root_error": _mean(e.root_error[rows]),
    }


def _body_name(tracks: Tracks) -> str:
    return tracks.parameters.body_model if tracks.parameters else "joints only"


def _mean(values: np.ndarray) -> float | None:
    """Rounded to a micrometre; None of nothing."""
    return round(float(values.mean()), 3) if len(values) else None


def _ratio(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None
