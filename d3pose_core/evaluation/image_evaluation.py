"""A checkpoint of the image variant on clips of crops: the three modes, and free-running as an evaluation."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, fields
from html import escape
from pathlib import Path

import cv2
import numpy as np
import roma
import torch
from torch import Tensor

from d3pose_core.body.model import BodyModel
from d3pose_core.data.image_clips import ImageClips
from d3pose_core.data.mean_pose import MeanPose, mean_pose
from d3pose_core.data.simulator import Truth
from d3pose_core.evaluation.clip_pictures import html_image
from d3pose_core.evaluation.image_modes import MODES, predict, scores
from d3pose_core.evaluation.matching import MatchingRule
from d3pose_core.evaluation.protocols import PROTOCOLS
from d3pose_core.evaluation.reliability_bins import RADIUS_M
from d3pose_core.evaluation.report import bones_of, report_html
from d3pose_core.evaluation.scores import Evaluation, evaluate, summarize
from d3pose_core.evaluation.tracks import BodyParameters, Tracks
from d3pose_core.model.confidence import probability_within
from d3pose_core.model.decoder import PosePrediction
from d3pose_core.model.image.backbone import Backbone
from d3pose_core.model.image.features import FrameFeatures
from d3pose_core.model.image.network import ImageD3Pose
from d3pose_core.model.view import out_of_view, pelvis_of
from d3pose_core.recording import atomic_path, package_version
from d3pose_core.skeleton import JOINT_NAMES

_CHUNK = 8  # clips at a time
_APART_S = 1.0  # between clips, which are shown one after the other
_STRIP = 5  # pictures of a clip
_PICTURE_PX = 168
_OURS, _REFERENCE = (45, 160, 235), (225, 225, 225)  # R, G, B
MEAN_POSE = "mean_pose"
TITLES = {
    "complete_truth": "complete ground truth: all frames at once, the decoder reads the true past",
    "truth_in_loop": "ground truth in loop: step by step, the decoder reads the true past",
    "free": "free: step by step on its own outputs, as on a robot",
    MEAN_POSE: "for comparison: the mean pose of the training clips, whatever the image",
}


@dataclass(frozen=True)
class ImageEvaluation:
    """`modes`: mode -> `mse`, `mpjpe`, `pa_mpjpe`, `pve` over all seen frames; `free`: of that mode."""

    modes: dict[str, dict[str, float]]
    free: Evaluation
    clips: ImageClips


@dataclass(frozen=True)
class _Batch:
    clips: Tensor  # indices
    frames: FrameFeatures
    truth: Truth


def evaluate_image(
    network: ImageD3Pose,
    backbone: Backbone,
    clips: ImageClips,
    body: BodyModel,
    training: ImageClips | None = None,
) -> ImageEvaluation:
    """Score all clips in each mode.

    Args:
        training: clips whose mean pose is scored beside the network: what it must beat to have seen anything.
    """
    mean = None if training is None else mean_pose(training)
    sums: dict[str, dict[str, float]] = {}
    seen_frames = 0
    predictions: list[PosePrediction] = []
    batches = list(_batches(backbone, clips))
    for batch in batches:
        said = {mode: predict(network, batch.frames, batch.truth, mode) for mode in MODES}
        predictions.append(said["free"])
        if mean is not None:
            said[MEAN_POSE] = _everywhere(mean, batch.frames)
        count = int(batch.frames.seen.sum())
        seen_frames += count
        for mode, prediction in said.items():
            for name, value in scores(prediction, batch.frames, batch.truth, body).items():
                mode_sums = sums.setdefault(mode, {})
                mode_sums[name] = mode_sums.get(name, 0.0) + count * value
    modes = {m: {n: v / seen_frames for n, v in table.items()} for m, table in sums.items()}
    return ImageEvaluation(modes, _free_evaluation(batches, predictions, clips, body), clips)


@torch.inference_mode()
def _batches(backbone: Backbone, clips: ImageClips) -> Iterator[_Batch]:
    for chosen in torch.arange(len(clips)).split(_CHUNK):
        frames = clips.frames(chosen, backbone(clips.pixels(chosen)))
        yield _Batch(chosen, frames, clips.truth(chosen))


def _everywhere(mean: MeanPose, frames: FrameFeatures) -> PosePrediction:
    shape = frames.seen.shape
    return PosePrediction(
        mean.rotations.expand(*shape, 24, 3, 3),
        mean.place.expand(*shape, 3),
        torch.zeros(*shape, 24),
        mean.betas.expand(*shape, 10),
        torch.zeros(shape),
    )


def _free_evaluation(
    batches: list[_Batch], predictions: list[PosePrediction], clips: ImageClips, body: BodyModel
) -> Evaluation:
    """The free-running predictions as tracks: clip n is person n, one clip after the other."""
    ours: dict[str, list[np.ndarray]] = {}
    theirs: dict[str, list[np.ndarray]] = {}
    starts = _starts(clips)
    for batch, prediction in zip(batches, predictions, strict=True):
        view, seen = batch.frames.view(), batch.frames.seen
        times = torch.from_numpy(clips.times_s + starts[:, None])[batch.clips][seen].double()
        people = batch.clips[:, None].expand_as(seen)[seen]
        true_betas = batch.truth.betas[:, None].expand(*seen.shape, 10)
        confidence = probability_within(prediction.log_variance, RADIUS_M)[seen]
        for rows, rotations, pelvis, betas in (
            (
                ours,
                out_of_view(prediction.rotations, view),
                pelvis_of(prediction.place, view),
                prediction.betas,
            ),
            (theirs, batch.truth.rotations, batch.truth.pelvis, true_betas),
        ):
            columns = _posed(rotations[seen], pelvis[seen], betas[seen], body)
            columns |= {"time": times, "track_id": people, "joint_confidence": confidence}
            for name, value in columns.items():
                rows.setdefault(name, []).append(value.numpy())
    recovered, reference = _tracks(ours, body), _tracks(theirs, body, reference=True)
    nobody_else = np.zeros((len(recovered), 3))  # one person at a time: whoever is there is meant
    places = nobody_else, nobody_else
    return evaluate(recovered, reference, PROTOCOLS["smpl24"], MatchingRule(), places)


def _starts(clips: ImageClips) -> np.ndarray:
    """[N] s at which each clip begins when they are shown one after the other."""
    lengths = clips.times_s[:, -1] - clips.times_s[:, 0] + _APART_S
    return np.concatenate([[0.0], np.cumsum(lengths[:-1])]) - clips.times_s[:, 0]


@torch.inference_mode()
def _posed(rotations: Tensor, pelvis: Tensor, betas: Tensor, body: BodyModel) -> dict[str, Tensor]:
    transl = pelvis - body.joints_rest(betas)[:, 0]
    pose = roma.rotmat_to_rotvec(rotations)
    return {
        "joints": body.joints_matrices(rotations, betas, transl),
        "global_orient": pose[:, 0],
        "body_pose": pose[:, 1:],
        "betas": betas,
        "transl": transl,
    }


def _tracks(rows: dict[str, list[np.ndarray]], body: BodyModel, reference: bool = False) -> Tracks:
    columns = {name: np.concatenate(values) for name, values in rows.items()}
    names = [field.name for field in fields(BodyParameters) if field.name != "body_model"]
    return Tracks(
        time=columns["time"],
        track_id=columns["track_id"],
        joints=columns["joints"],
        joint_names=JOINT_NAMES,
        frame_times=np.unique(columns["time"]),
        frame_id="camera_optical_frame",
        parameters=BodyParameters(**{n: columns[n] for n in names}, body_model=body.name),
        joint_confidence=None if reference else columns["joint_confidence"],
    )


def save_image_results(result: ImageEvaluation, folder: Path, title: str) -> str:
    """Writes metrics.json and report.html; returns what to print."""
    rounded = {m: {n: round(v, 4) for n, v in table.items()} for m, table in result.modes.items()}
    numbers = {
        "version": package_version(),
        "modes": rounded,
        "meaning": _MEANING,
        **{k: v for k, v in summarize(result.free).items() if k != "per_person"},
    }
    metrics, report = folder / "metrics.json", folder / "report.html"
    with atomic_path(metrics) as partial:
        partial.write_text(json.dumps(numbers, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    names = {clip: f"clip {clip}" for clip in range(len(result.clips))}
    page = report_html(result.free, title, lambda pair: _strip(result, pair), names)
    with atomic_path(report) as partial:
        text = page.replace("</header>", f"</header>{_modes_section(result.modes)}", 1)
        partial.write_text(text, encoding="utf-8")
    return f"{_text_table(result.modes)}\n\nwritten to {metrics} and {report}"


_MEANING = (
    "mse: mean square error of the 82 numbers (24 axis-angles in the optical frame, rad, and 10 betas); "
    "mpjpe, pve: mm, about the pelvis; pa_mpjpe: mm, after Procrustes alignment; 24 joints and all vertices "
    "of the free body, over all frames in which the person is seen"
)


def _text_table(modes: dict[str, dict[str, float]]) -> str:
    lines = [f"{'':<16}{'MSE':>9}{'MPJPE':>9}{'PA-MPJPE':>10}{'PVE':>9}"]
    lines += [
        f"{mode:<16}{t['mse']:9.4f}{t['mpjpe']:9.1f}{t['pa_mpjpe']:10.1f}{t['pve']:9.1f}"
        for mode, t in modes.items()
    ]
    return "\n".join([*lines, "", _MEANING])


def _modes_section(modes: dict[str, dict[str, float]]) -> str:
    rows = "".join(
        f"<tr><td>{escape(TITLES[mode])}</td><td>{t['mse']:.4f}</td><td>{t['mpjpe']:.1f}</td>"
        f"<td>{t['pa_mpjpe']:.1f}</td><td>{t['pve']:.1f}</td></tr>"
        for mode, t in modes.items()
    )
    return (
        "<section class='card'><h2>The three modes of the original research log</h2><table><tr><th></th>"
        "<th>MSE</th><th>MPJPE, mm</th><th>PA-MPJPE, mm</th><th>PVE, mm</th></tr>"
        f"{rows}</table><p class='hint'>{escape(_MEANING)}. All else on this page is of the free mode.</p>"
        "</section>"
    )


def _strip(result: ImageEvaluation, pair: int) -> str:
    """Crops of a pair's clip around it, with both skeletons."""
    e, clips = result.free, result.clips
    clip = int(e.reference_id[pair])
    times = e.time - _starts(clips)[clip]
    rows = np.flatnonzero(e.reference_id == clip)
    frames = np.array([np.abs(clips.times_s[clip] - t).argmin() for t in times[rows]])
    middle = int(np.flatnonzero(rows == pair)[0])
    step = max(1, len(rows) // (2 * _STRIP))
    first = max(0, min(middle - step * (_STRIP // 2), len(rows) - 1 - step * (_STRIP - 1)))
    shown = range(first, min(first + step * _STRIP, len(rows)), step)
    bones = bones_of(e.joint_names)
    pictures = []
    for at in shown:
        row, frame = int(rows[at]), int(frames[at])
        theirs = e.matching.reference.at(e.reference.joints)[e.matching.reference_row[[row]]][0]
        ours = e.recovered.joints[e.matching.recovered_row[row]]
        picture = cv2.resize(
            clips.images[clip, frame], (_PICTURE_PX, _PICTURE_PX), interpolation=cv2.INTER_CUBIC
        )
        for joints, color in ((theirs, _REFERENCE), (ours, _OURS)):
            rays = joints[:, :2] / np.maximum(joints[:, 2:], 0.1)
            pixels = (rays - clips.center[clip, frame]) / clips.size[clip, frame] + 0.5
            points = np.round(16 * _PICTURE_PX * pixels).clip(-(2**20), 2**20).astype(int)
            for a, b in bones:
                line = tuple(points[a].tolist()), tuple(points[b].tolist())
                cv2.line(picture, *line, color, 2, cv2.LINE_AA, 4)
        pictures.append(picture)
    return html_image(np.hstack(pictures)[..., ::-1], f"clip {clip}")
