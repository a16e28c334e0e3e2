"""The demo clip's frames, and the observer's run over them, made once for all tests."""

import cv2
import numpy as np
import pytest

from d3pose_core import model_files
from d3pose_core.observe import BlazePoseObserver, PersonObservation

FPS = 30.0


@pytest.fixture(scope="session")
def clip() -> list[np.ndarray]:
    """All 230 frames at half size: 884x497, BGR. A man of about 190 px, a woman of about 195 px."""
    capture = cv2.VideoCapture(str(model_files.model_path("demo.mp4")))
    frames = []
    while True:
        good, frame = capture.read()
        if not good:
            break
        frames.append(cv2.resize(frame, (884, 497), interpolation=cv2.INTER_AREA))
    assert len(frames) == 230
    return frames


@pytest.fixture(scope="session")
def clip_people(clip) -> list[list[PersonObservation]]:
    """What the default observer reports for each frame of the clip."""
    observer = BlazePoseObserver()
    return [observer(frame, index / FPS) for index, frame in enumerate(clip)]
