"""Which of BlazePose's landmark networks: the quick one, or the more exact one."""

from __future__ import annotations

import logging
from pathlib import Path

from d3pose_core import model_files
from d3pose_core.errors import InputError

# HEAVY takes four times as long and is optional (`d3pose models fetch`); what it is better at is in
# docs/training.md, "Two landmark networks".
FULL, HEAVY = "full", "heavy"
# HEAVY where it was fetched, else FULL: for work that nobody waits for.
BEST = "best"
LANDMARK_FILES = {FULL: "pose_landmark_full.tflite", HEAVY: "pose_landmark_heavy.tflite"}

_log = logging.getLogger(__name__)


def landmark_file(landmarks: str | Path) -> str | Path:
    """The model file of "full" or "heavy"; a .tflite file as it is. Raises InputError for anything else."""
    if Path(landmarks).suffix == ".tflite":
        return landmarks
    try:
        return LANDMARK_FILES[str(landmarks)]
    except KeyError:
        known = ", ".join(LANDMARK_FILES)
        raise InputError(
            f"landmarks must be one of {known}, or a .tflite file; got {landmarks!r}"
        ) from None


def resolve(landmarks: str) -> str:
    """What "best" stands for on this machine, "full" or "heavy"; these are returned as they are."""
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
    return HEAVY if state == "ok" else FULL
