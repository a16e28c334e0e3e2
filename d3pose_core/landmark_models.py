"""Which of BlazePose's landmark networks: the quick one, or the more exact one."""

from __future__ import annotations

from d3pose_core import model_files
from d3pose_core.errors import InputError

# `heavy` takes four times as long and is optional (`d3pose models fetch`). On real footage with a reference
# it erred less than `full`: 111 mm instead of 150, and in one front view it mistook no sides, where `full`
# did in a third of the frames (docs/training.md).
FULL, HEAVY = "full", "heavy"
# HEAVY where it was fetched, else FULL: for work that nobody waits for.
BEST = "best"
LANDMARK_FILES = {FULL: "pose_landmark_full.tflite", HEAVY: "pose_landmark_heavy.tflite"}


def landmark_file(landmarks: str) -> str:
    """The model file of "full" or "heavy". Raises InputError for anything else."""
    try:
        return LANDMARK_FILES[landmarks]
    except KeyError:
        known = ", ".join(LANDMARK_FILES)
        raise InputError(f"landmarks must be one of {known}, got {landmarks!r}") from None


def available(landmarks: str) -> str:
    """ "full" or "heavy", which "best" stands for on this machine; others are returned as they are."""
    if landmarks != BEST:
        return landmarks
    is_there = model_files.state(model_files.find(LANDMARK_FILES[HEAVY])) == "ok"
    return HEAVY if is_there else FULL
