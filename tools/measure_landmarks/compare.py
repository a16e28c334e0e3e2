"""Simulated errors beside the measured ones, on the same people before the same cameras."""

from __future__ import annotations

import contextlib
import io
from dataclasses import replace

import torch

from d3pose_core.body import load_body
from d3pose_core.body.model import BodyModel
from d3pose_core.data.cameras import CameraPath
from d3pose_core.data.landmark_noise import Realism, report_landmarks
from d3pose_core.data.rendered import RenderedSet, Start
from d3pose_core.data.sight import Sight
from d3pose_core.evaluation.rendered import limb_scores
from d3pose_core.model.checkpoint import SHIPPED_WEIGHTS, load_model
from d3pose_core.model.d3pose import D3Pose
from tools.measure_landmarks.analyse import print_tables


def simulated(recorded: RenderedSet, seed: int = 0, realism: Realism | None = None) -> RenderedSet:
    """The recording with what the simulator reports in place of what BlazePose did."""
    half_width, half_height = (recorded.camera[:, 4:] / 2 / recorded.camera[:, :2]).unbind(-1)
    cameras = CameraPath(
        recorded.camera_rotation, recorded.camera_position, half_width, half_height
    )
    rng = torch.Generator().manual_seed(seed)
    covered = recorded.sight == Sight.BEHIND_OBJECT
    reports = report_landmarks(
        recorded.true_landmarks, cameras, recorded.times_s, rng, realism, covered
    )
    start = torch.zeros_like(recorded.start)
    start[:, 0] = Start.FOUND
    seen = reports.seen
    return replace(
        recorded,
        rays=reports.rays,
        depth_hint=reports.depth_hint,
        landmarks=reports.landmarks,
        visibility=reports.visibility,
        presence=reports.presence,
        certainty=reports.certainty,
        rival_rays=reports.rival_rays,
        rival_certainty=reports.rival_certainty * seen[..., None, None],
        score=seen.float(),
        seen=seen,
        stray=torch.zeros_like(seen),
        start=torch.where(seen, start, 0).to(recorded.start.dtype),
    )


def side_by_side(recorded: RenderedSet, seed: int = 0, weights: str = "") -> str:
    """Every line of the tables twice: | what was measured, > what is simulated, where they differ.

    Last comes what `weights`, or those that ship, make of either: errors that are simulated too simply are
    undone.
    """
    lines = []
    body, model = load_body("free-low"), load_model(weights or SHIPPED_WEIGHTS[0])
    tables = [_tables(each, model, body) for each in (recorded, simulated(recorded, seed))]
    if len(tables[0]) != len(tables[1]):  # a table was left out for want of data
        return "\n".join([*tables[0], "", "# Simulated", *tables[1]])
    for measured, drawn in zip(*tables, strict=True):
        if measured == drawn:
            lines.append(f"  {measured}")
        else:
            lines += [f"| {measured}", f"> {drawn}"]
    return "\n".join(lines)


def _tables(recorded: RenderedSet, model: D3Pose, body: BodyModel) -> list[str]:
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        print_tables(recorded)
        scores = limb_scores(model, recorded, body)
        print("\nD3Pose, 12 limb joints:", {k: round(v, 2) for k, v in scores.items()})
    return text.getvalue().splitlines()
