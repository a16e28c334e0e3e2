"""A person seen through a distorting lens is the person seen through none."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from d3pose_core import Intrinsics, MeshRecovery
from d3pose_core.body import load_body
from d3pose_core.distortion import Distortion
from d3pose_core.model.checkpoint import load_model
from d3pose_core.observe import PersonObservation

PINHOLE = Intrinsics.from_hfov(80, 640, 480)
LENSES = {
    "plumb_bob": (-0.32, 0.1, 0.001, -0.001, -0.01),
    "rational_polynomial": (0.45, -2.5, 0.0005, -0.0003, 1.45, 0.33, -2.33, 1.38),
    "equidistant": (-0.02, 0.04, -0.03, 0.007),
}


def observed(camera: Intrinsics) -> PersonObservation:
    """Perfect landmarks of the free body in T-pose, at the left of the picture."""
    body = load_body("free-low")
    pose = torch.tensor([[np.pi, 0.0, 0.0]]), torch.zeros(1, 23, 3)
    place = torch.tensor([[-1.3, 0.3, 4.0]])
    points = body.landmarks(*pose, torch.zeros(1, 10), place)[0].numpy()
    keypoints = camera.project(points)
    return PersonObservation(
        track_id=1,
        keypoints=keypoints,
        depth_hint=(points[:, 2] - points[23:25, 2].mean()) * camera.fx / 4.0,
        landmarks=points - points[23:25].mean(0),
        visibility=np.ones(33),
        presence=np.ones(33),
        certainty=np.full(33, 0.9),
        score=0.9,
        box=np.concatenate([keypoints.min(0), keypoints.max(0)]),
        rivals=camera.project(points[:, None] + np.array([[0.3, 0.1, 0.0], [-0.2, 0.4, 0.0]])),
        rival_certainty=np.full((33, 2), [0.6, 0.5]),
    )


@pytest.mark.parametrize("model", LENSES)
def test_a_lens_changes_pixels_and_nothing_else(model):
    loaded = MeshRecovery(None, load_model("d3pose-landmarks"), load_body("free-low"))
    lens = replace(PINHOLE, distortion=Distortion(model, LENSES[model]))
    people = {}
    for camera in (PINHOLE, lens):
        recovery = loaded.another(None)
        for frame in range(5):
            (people[camera],) = recovery.recover([observed(camera)], frame / 30, camera)
    np.testing.assert_allclose(people[lens].joints, people[PINHOLE].joints, atol=2e-3)
    moved = people[lens].joints_2d - people[PINHOLE].joints_2d
    assert np.linalg.norm(moved, axis=-1).max() > 3, "this lens distorts what is off its axis"
    np.testing.assert_allclose(lens.project(people[lens].joints), people[lens].joints_2d, atol=1e-2)
