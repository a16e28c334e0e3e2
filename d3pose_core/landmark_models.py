"""Which of BlazePose's landmark networks, the quick one or the more exact one, and how often it looks."""

from __future__ import annotations

import logging
from pathlib import Path

from d3pose_core import model_files
from d3pose_core.errors import InputError

# HEAVY takes four times as long and is optional (`d3pose models fetch`); what it is better at is in
# docs/training.md, "Two landmark networks".
FULL, HEAVY = "full", "heavy"
# Each of them also looks at everybody's mirror image, and joins what it sees (`observe.both_ways`): more
# exact, in twice the time.
BOTH_WAYS = "-both-ways"
# HEAVY where it was fetched, else FULL, and both ways: for work that nobody waits for.
BEST = "best"
LANDMARK_FILES = {FULL: "pose_landmark_full.tflite", HEAVY: "pose_landmark_heavy.tflite"}
LANDMARKS = tuple(name + ways for name in LANDMARK_FILES for ways in ("", BOTH_WAYS))

_log = logging.getLogger(__name__)


def landmark_file(landmarks: str | Path) -> str | Path:
    """The model file of one of `LANDMARKS`; a .tflite file as it is. Raises InputError for anything else."""
    if Path(landmarks).suffix == ".tflite":
        return landmarks
    if str(landmarks) not in LANDMARKS:
        raise InputError(
            f"landmarks must be one of {', '.join(LANDMARKS)}, or a .tflite file; got {landmarks!r}"
        )
    return LANDMARK_FILES[str(landmarks).removesuffix(BOTH_WAYS)]


def looks_both_ways(landmarks: str | Path) -> bool:
    """Whether one of `LANDMARKS`, or a .tflite file, is shown everybody's mirror image, too."""
    return str(landmarks).endswith(BOTH_WAYS)


def resolve(landmarks: str) -> str:
    """What "best" stands for on this machine, one of `LANDMARKS`; these are returned as they are."""
    if landmarks != BEST:
        return landmarks
    heavy = model_files.find(LANDMARK_FILES[HEAVY])
    state = model_files.state(heavy)
    if state == "damaged":
        _log.warning(
            "%s is damaged, the full landmark network is taken: run `%s`",
            model_files.cache_dir() / heavy.name,
            model_files.fetch_command(heavy),
        )
    return (HEAVY if state == "ok" else FULL) + BOTH_WAYS
