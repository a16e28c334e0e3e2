"""Chooses the One-Euro filter's settings on held-out people."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Sequence
from pathlib import Path

from d3pose_core.body.model import BodyModel
from d3pose_core.data.simulator import TrainingBatch
from d3pose_core.evaluation.compare import evaluate
from d3pose_core.model.baselines.base import Peer
from d3pose_core.model.baselines.one_euro import OneEuroPeer, OneEuroSettings

MIN_CUTOFFS_HZ = (0.5, 1.0, 2.0, 4.0)
SPEED_GAINS = (0.1, 0.3, 1.0, 3.0)
PA_TOLERANCE_MM = 1.0  # a filter may lose this against the most accurate one, for smoothness


def tune_one_euro(
    peer: Peer,
    batches: list[TrainingBatch],
    body: BodyModel,
    min_cutoffs_hz: Sequence[float] = MIN_CUTOFFS_HZ,
    speed_gains: Sequence[float] = SPEED_GAINS,
) -> OneEuroSettings:
    """The smoothest settings of the grid whose PA-MPJPE is near the best one's."""
    scored = []
    for cutoff, gain in itertools.product(min_cutoffs_hz, speed_gains):
        settings = OneEuroSettings(min_cutoff_hz=cutoff, speed_gain=gain)
        scored.append((evaluate(OneEuroPeer(peer, settings).eval(), batches, body), settings))
    limit = min(scores["pa_mpjpe"] for scores, _ in scored) + PA_TOLERANCE_MM
    _, chosen = min(
        ((scores["accel"], settings) for scores, settings in scored if scores["pa_mpjpe"] <= limit),
        key=lambda pair: pair[0],
    )
    return chosen


def tuned_one_euro(
    path: Path, peer: Peer, batches: list[TrainingBatch], body: BodyModel
) -> OneEuroPeer:
    """`tune_one_euro`, kept in the JSON file `path` for the next time."""
    if path.is_file():
        settings = OneEuroSettings(**json.loads(path.read_text()))
    else:
        settings = tune_one_euro(peer, batches, body)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(dataclasses.asdict(settings)) + "\n")
    return OneEuroPeer(peer, settings).eval()
