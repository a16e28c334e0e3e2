"""Scores recovered people on an official dataset by one of its protocols."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from d3pose_core.body import BodyModel
from d3pose_core.data.datasets.dataset import Dataset
from d3pose_core.data.datasets.sequence import DatasetPerson, DatasetSequence
from d3pose_core.data.datasets.world_to_camera import WHY_BODIES, Bodies
from d3pose_core.errors import InputError
from d3pose_core.evaluation.body_points import posed, vertices
from d3pose_core.evaluation.clip_pictures import ClipPictures
from d3pose_core.evaluation.dataset_protocols import DatasetProtocol
from d3pose_core.evaluation.extra_scores import foot_points, rotation_scores, world_scores
from d3pose_core.evaluation.matching import MatchingRule
from d3pose_core.evaluation.metrics import mean_position_error_mm, procrustes_aligned
from d3pose_core.evaluation.report import bones_of
from d3pose_core.evaluation.scores import Evaluation, evaluate, summarize
from d3pose_core.evaluation.tracks import BodyParameters, Tracks
from d3pose_core.recording import PeopleTable
from d3pose_core.skeleton import JOINT_NAMES

# A sequence in, everyone recovered in it out; `frame` counts the sequence's frames from 0.
Recover = Callable[[DatasetSequence], PeopleTable]

# One camera errs in distance, so people are matched by the direction in which they are seen, as if all
# were so far away, m; there they may be a metre apart.
MATCHED_AT_M = 5.0
_BETWEEN_SEQUENCES_S = 1.0
# Ids of people and tracks begin at a multiple of this in each sequence.
IDS_A_SEQUENCE = 100_000


@dataclass(frozen=True)
class Rows:
    """N rows, one per person per counted frame of all sequences; the camera's optical frame."""

    time: np.ndarray  # [N] s, sequences one after the other
    track_id: np.ndarray  # [N]
    sequence: np.ndarray  # [N] index of the sequence
    frame: np.ndarray  # [N] index of the frame in it
    joints: np.ndarray  # [N, J, 3] m
    pose: np.ndarray  # [N, 24, 3] axis-angle; nan where there is no SMPL
    betas: np.ndarray  # [N, 10]
    transl: np.ndarray  # [N, 3]
    gender: np.ndarray  # [N] str
    confidence: np.ndarray  # [N, 24] of SMPL's joints; nan of the reference


@dataclass(frozen=True)
class DatasetEvaluation:
    """What a report shows: `evaluation` holds the pairs, `numbers` is metrics.json."""

    protocol: DatasetProtocol
    evaluation: Evaluation
    numbers: dict[str, Any]
    pictures: ClipPictures  # of the evaluation's pairs
    people: dict[int, str]  # what to call the people of the reference, by their ids here


def evaluate_dataset(
    dataset: Dataset,
    protocol: DatasetProtocol,
    recover: Recover,
    body: BodyModel,
    bodies: Bodies | None = None,
    regressor: np.ndarray | None = None,
) -> DatasetEvaluation:
    """Recover people in every sequence of `dataset`, match them to its people, and score them.

    Args:
        recover: e.g. `RecoverFromImages`, or a look-up of people recovered before.
        body: the one that recovered people are posed with.
        bodies: SMPL files by gender, to pose the reference.
        regressor: J_regressor_h36m [17, V], where the protocol needs it.

    Raises:
        InputError: something is missing that the protocol needs, or nobody could be matched.
    """
    if protocol.gt_body != "joints" and bodies is None:
        raise InputError(f"protocol {protocol.name} poses the reference: {WHY_BODIES}")
    ours: list[dict[str, np.ndarray]] = []
    theirs: list[dict[str, np.ndarray]] = []
    sequences: list[DatasetSequence] = []
    times, offset = [], 0.0
    for sequence in dataset:
        if not sequence.name.endswith(protocol.sequence_filter):
            continue
        index = len(sequences)
        sequences.append(sequence)
        counted = [counted_frames(protocol, sequence, person) for person in sequence.people]
        frames = np.flatnonzero(np.any(counted, axis=0))
        times.append(offset + sequence.times_s[frames])
        for number, (person, mask) in enumerate(zip(sequence.people, counted, strict=True)):
            where = (sequence, index, number, offset)
            theirs.append(_reference(protocol, person, mask, *where, bodies, regressor))
        ours.append(_recovered(protocol, recover(sequence), frames, sequence, index, offset))
        offset += float(sequence.times_s[-1]) + _BETWEEN_SEQUENCES_S
    if not sequences:
        raise InputError(f"no sequence of {dataset.title} ends in {protocol.sequence_filter!r}")
    reference, recovered = _joined(theirs), _joined(ours)
    joint_names = None if protocol.regressor == "" else protocol.joints
    recovered["joints"] = posed(
        body, recovered["pose"], recovered["betas"], recovered["transl"], regressor, joint_names
    )
    our_rows, their_rows = Rows(**recovered), Rows(**reference)
    all_times = np.concatenate(times)
    evaluation = evaluate(
        _tracks(our_rows, protocol, all_times, body.name),
        _tracks(their_rows, protocol, all_times, ""),
        protocol,
        MatchingRule(max_distance_m=1.0, max_gap_s=0.0),
        places=(_directions(our_rows), _directions(their_rows)),
    )
    pairs = (
        evaluation.matching.recovered_row,
        evaluation.matching.reference.before[evaluation.matching.reference_row],
    )
    if not len(pairs[0]):
        raise InputError("nobody was found in any counted frame: check the images and intrinsics")
    numbers = _numbers(protocol, evaluation, our_rows, their_rows, pairs, body, bodies, sequences)
    numbers["protocol"]["feet"] = foot_points(protocol, body, _a_reference_body(their_rows, bodies))
    numbers = {"dataset": dataset.title, **numbers}
    numbers["protocol"]["recovered_joints"] = _how_recovered(protocol, body, regressor)
    pictures = ClipPictures(
        evaluation,
        sequences,
        our_rows.sequence[pairs[0]],
        our_rows.frame[pairs[0]],
        bones_of(evaluation.joint_names),
    )
    return DatasetEvaluation(protocol, evaluation, numbers, pictures, _names(sequences))


def _names(sequences: list[DatasetSequence]) -> dict[int, str]:
    """The sequence, and who in it where there are several."""
    return {
        index * IDS_A_SEQUENCE + number: sequence.name
        + (f", {person.person_id}" if len(sequence.people) > 1 else "")
        for index, sequence in enumerate(sequences)
        for number, person in enumerate(sequence.people)
    }


def counted_frames(
    protocol: DatasetProtocol, sequence: DatasetSequence, person: DatasetPerson
) -> np.ndarray:
    """[F] bool: which frames of a person count."""
    mask = person.valid.copy()
    if protocol.gt_body != "joints":
        mask &= np.isfinite(person.need_smpl().transl).all(1)
    if protocol.keypoints_seen is not None:
        if person.joints_2d is None:
            raise InputError(f"protocol {protocol.name} filters by 2D joints, which are missing")
        confidence, count = protocol.keypoints_seen
        mask &= (person.joints_2d.confidence > confidence).sum(1) > count
    if protocol.every > 1:
        mask &= sequence.frame_ids % protocol.every == 0
    return mask


def _reference(
    protocol: DatasetProtocol,
    person: DatasetPerson,
    mask: np.ndarray,
    sequence: DatasetSequence,
    index: int,
    number: int,
    offset: float,
    bodies: Bodies | None,
    regressor: np.ndarray | None,
) -> dict[str, np.ndarray]:
    frames = np.flatnonzero(mask)
    count = len(frames)
    rows = {
        "time": offset + sequence.times_s[frames],
        "track_id": np.full(count, index * IDS_A_SEQUENCE + number),
        "sequence": np.full(count, index),
        "frame": frames,
        "pose": np.full((count, 24, 3), np.nan),
        "betas": np.full((count, 10), np.nan),
        "transl": np.full((count, 3), np.nan),
        "gender": np.full(count, "neutral", dtype="<U8"),
        "confidence": np.full((count, 24), np.nan, np.float32),
    }
    if protocol.gt_body == "joints":
        if person.joints is None:
            raise InputError(f"{sequence.name}: no reference joints")
        columns = [person.joints.names.index(name) for name in protocol.joints]
        return rows | {"joints": person.joints.positions[frames][:, columns].astype(np.float32)}
    smpl = person.need_smpl()
    gender = smpl.gender if protocol.gt_body == "own" else "neutral"
    assert bodies is not None
    rows |= {"pose": smpl.pose[frames], "betas": smpl.betas[frames], "transl": smpl.transl[frames]}
    rows["gender"] = np.full(count, gender, dtype="<U8")
    names = None if protocol.regressor == "" else protocol.joints
    parameters = (rows["pose"], rows["betas"], rows["transl"])
    return rows | {"joints": posed(bodies(gender), *parameters, regressor, names)}


def _recovered(
    protocol: DatasetProtocol,
    table: PeopleTable,
    frames: np.ndarray,
    sequence: DatasetSequence,
    index: int,
    offset: float,
) -> dict[str, np.ndarray]:
    kept = np.isin(table.frame, frames)
    pose = np.concatenate([table.global_orient[:, None], table.body_pose], axis=1)
    return {
        "time": offset + sequence.times_s[table.frame[kept]],
        "track_id": index * IDS_A_SEQUENCE + table.track_id[kept],
        "sequence": np.full(int(kept.sum()), index),
        "frame": table.frame[kept],
        "pose": pose[kept],
        "betas": table.betas[kept],
        "transl": table.transl[kept],
        "gender": np.full(int(kept.sum()), "neutral", dtype="<U8"),
        "confidence": table.joint_confidence[kept],
    }


def _joined(parts: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _directions(rows: Rows) -> np.ndarray:
    """[N, 3] where the middle of the joints would be at MATCHED_AT_M from the camera."""
    middle = rows.joints.mean(1)
    return MATCHED_AT_M * middle / np.linalg.norm(middle, axis=-1, keepdims=True).clip(1e-9)


def _tracks(rows: Rows, protocol: DatasetProtocol, times: np.ndarray, body: str) -> Tracks:
    parameters = None
    if body:
        pose = rows.pose.astype(np.float32)
        columns = (pose[:, 0], pose[:, 1:], rows.betas.astype(np.float32))
        parameters = BodyParameters(*columns, rows.transl.astype(np.float32), body)
    # Joints regressed from the mesh have no confidences of their own.
    confidence = rows.confidence if body and protocol.joints == JOINT_NAMES else None
    return Tracks(
        time=rows.time,
        track_id=rows.track_id,
        joints=rows.joints.astype(np.float32),
        joint_names=protocol.joints,
        frame_times=times,
        frame_id="camera_optical_frame",
        parameters=parameters,
        joint_confidence=confidence,
    )


def _numbers(
    protocol: DatasetProtocol,
    evaluation: Evaluation,
    ours: Rows,
    theirs: Rows,
    pairs: tuple[np.ndarray, np.ndarray],
    body: BodyModel,
    bodies: Bodies | None,
    sequences: list[DatasetSequence],
) -> dict[str, Any]:
    """metrics.json: only what the protocol reports, and the protocol beside it."""
    numbers = summarize(evaluation)
    found: dict[str, float | None] = dict(numbers["metrics"])
    reason = ""
    if protocol.pve:
        reason = _why_no_vertices(body, _a_reference_body(theirs, bodies))
        if not reason:
            assert bodies is not None
            found |= _vertex_errors(protocol, ours, theirs, pairs, body, bodies)
    if protocol.gt_body != "joints":
        found |= rotation_scores(protocol, evaluation, ours.pose[pairs[0]], theirs.pose[pairs[1]])
    found |= world_scores(protocol, ours, theirs, pairs, sequences, body, bodies)
    wanted = dict(protocol.units)
    metrics = {name: _rounded(found.get(name)) for name in wanted}
    by_action: dict[str, list[int]] = {}
    for row, index in enumerate(ours.sequence[pairs[0]]):
        by_action.setdefault(sequences[index].action or sequences[index].name, []).append(row)
    block = protocol.block() | {
        "recovered_body": body.name,
        "reference_body": _reference_bodies(protocol, theirs, bodies),
        "pairs_evaluated": len(pairs[0]),
        "frames_evaluated": len(evaluation.matching.frame_times),
        "sequences_evaluated": len(sequences),
        "people_of_reference_in_frames": numbers["tracking"]["reference_people_in_frames"],
        "matching": f"by the direction in which people are seen, at most {1 / MATCHED_AT_M:g} rad apart; "
        "errors are averaged over the pairs found, whose share is `recall`",
    }
    return {
        "protocol": block,
        "metrics": metrics,
        "metrics_missing_because": reason or None,
        "tracking": {
            k: numbers["tracking"][k] for k in ("found", "missed", "id_switches", "recall")
        },
        "confidence": numbers["confidence"],
        "per_joint": numbers["per_joint"],
        "per_action": {
            name: {
                "mpjpe": _rounded(evaluation.mpjpe[rows].mean()),
                "pa_mpjpe": _rounded(evaluation.pa_mpjpe[rows].mean()),
                "pairs": len(rows),
            }
            for name, rows in sorted(by_action.items())
        },
    }


def _how_recovered(protocol: DatasetProtocol, body: BodyModel, regressor: np.ndarray | None) -> str:
    if not protocol.regressor:
        return "the body's own 24 joints"
    if regressor is not None and regressor.shape[1] == body.num_vertices:
        return f"the regressor [17, {body.num_vertices}] on the recovered mesh"
    return "the free body's own keypoints of the same names: not the official regressor"


def _reference_bodies(protocol: DatasetProtocol, theirs: Rows, bodies: Bodies | None) -> str:
    """The files that posed the reference."""
    if protocol.gt_body == "joints" or bodies is None:
        return "none"
    return ", ".join(sorted({bodies(str(gender)).name for gender in np.unique(theirs.gender)}))


def _a_reference_body(theirs: Rows, bodies: Bodies | None) -> BodyModel | None:
    """Of the first gender: all have the same vertices."""
    return None if bodies is None or not len(theirs.gender) else bodies(str(theirs.gender[0]))


def _why_no_vertices(body: BodyModel, reference: BodyModel | None) -> str:
    if reference is None:
        return "there is no reference body"
    if reference.num_vertices != body.num_vertices:
        return (
            f"recovered bodies are {body.name}, whose vertices do not correspond to SMPL's: recover with "
            "--body SMPL_NEUTRAL.npz and weights trained for it"
        )
    return ""


def _vertex_errors(
    protocol: DatasetProtocol,
    ours: Rows,
    theirs: Rows,
    pairs: tuple[np.ndarray, np.ndarray],
    body: BodyModel,
    bodies: Bodies,
) -> dict[str, float]:
    """`pve` and `pa_pve`, mm."""
    root = [protocol.joints.index(name) for name in protocol.root]
    errors, pa_errors = [], []
    for gender in np.unique(theirs.gender[pairs[1]]):
        chosen = theirs.gender[pairs[1]] == gender
        a, b = pairs[0][chosen], pairs[1][chosen]
        shifts = []
        for rows, index in ((ours, a), (theirs, b)):
            about_root = rows.joints[index][:, root].mean(1)
            shifts.append(rows.transl[index] if protocol.pve == "canonical" else about_root)
        meshes = (
            vertices(each, rows.pose[i], rows.betas[i], rows.transl[i] - shift)
            for each, rows, i, shift in zip(
                (body, bodies(str(gender))), (ours, theirs), (a, b), shifts, strict=True
            )
        )
        # Joints about the same points as the meshes, in the same order.
        joints = [
            torch.from_numpy(rows.joints[i] - shift[:, None]).double()
            for rows, i, shift in zip((ours, theirs), (a, b), shifts, strict=True)
        ]
        done = 0
        for predicted, truth in zip(*meshes, strict=True):
            part = slice(done, done + len(truth))
            done += len(truth)
            predicted, truth = predicted.double(), truth.double()
            errors.append(mean_position_error_mm(predicted, truth))
            by = (predicted, truth) if protocol.pa_pve == "vertices" else [j[part] for j in joints]
            aligned = procrustes_aligned(by[0], by[1], predicted)
            pa_errors.append(mean_position_error_mm(aligned, truth))
    return {"pve": float(torch.cat(errors).mean()), "pa_pve": float(torch.cat(pa_errors).mean())}


def _rounded(value: float | Tensor | None) -> float | None:
    return None if value is None or not np.isfinite(float(value)) else round(float(value), 3)
