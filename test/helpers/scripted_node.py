"""The node with its network and body, and people as the images' first pixels say.

python -m test.helpers.scripted_node --ros-args ...

The first pixel (blue, green, red) is (how many people, the id of the first, what happens): see `NOTHING` and
the others. So a test can have 60 people, an error or a long frame without a picture of it.
"""

from __future__ import annotations

import time

import numpy as np

from d3pose_core.body import load_body
from d3pose_core.model.checkpoint import load_model
from d3pose_core.observe import PersonObservation
from d3pose_core.recovery import MeshRecovery
from d3pose_ros.entry_points import end_process
from d3pose_ros.node import D3PoseNode, run
from d3pose_ros.parameters import NodeParameters

# What happens; any other number is nothing.
NOTHING, FAILS, NAN, SLOW = 0, 201, 202, 203
SLOW_S = 0.5
IN_WORK = "in the middle of a frame"


class ScriptedObserver:
    """See the module."""

    def __call__(self, image_bgr: np.ndarray, stamp_s: float) -> list[PersonObservation]:
        count, first, event = image_bgr[0, 0].tolist()
        if event == FAILS:
            raise RuntimeError("the landmark network fell over")
        if event == SLOW:
            print(IN_WORK, flush=True)
            time.sleep(SLOW_S)  # stands for the work
        return [_person(first + k, image_bgr, event) for k in range(count)]

    def reset(self) -> None:
        """Remembers nothing."""


def _person(track_id: int, image_bgr: np.ndarray, event: int) -> PersonObservation:
    """Landmarks in a column at the image's centre."""
    height, width = image_bgr.shape[:2]
    rows = np.linspace(0.2, 0.8, 33, dtype=np.float32)
    keypoints = np.stack([np.full(33, width / 2, np.float32), height * rows], -1)
    landmarks = np.stack([np.zeros(33), 1.7 * (rows - 0.5), np.zeros(33)], -1)
    return PersonObservation(
        track_id=track_id,
        keypoints=np.full_like(keypoints, np.nan) if event == NAN else keypoints,
        depth_hint=np.zeros(33, np.float32),
        landmarks=landmarks.astype(np.float32),
        visibility=np.ones(33, np.float32),
        presence=np.ones(33, np.float32),
        certainty=np.full(33, 0.9, np.float32),
        score=0.9,
        box=np.concatenate([keypoints.min(0), keypoints.max(0)]),
    )


def make_recovery(values: NodeParameters) -> MeshRecovery:
    """As the node's own, but for who finds people."""
    return MeshRecovery(
        ScriptedObserver(), load_model(values.weights), load_body(values.body), values.weights
    )


if __name__ == "__main__":
    end_process(run(lambda: [D3PoseNode(make_recovery)]))
