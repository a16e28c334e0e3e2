"""The One-Euro filter on whole poses."""

import roma
import torch

from d3pose_core.model.baselines.base import Peer, PeerOutput
from d3pose_core.model.baselines.one_euro import OneEuroPeer, OneEuroSettings
from d3pose_core.model.decoder import PosePrediction
from d3pose_core.model.view import ViewCamera, into_view, look_at_rotation, place_of
from d3pose_core.smoothing import OneEuroFilter
from test.helpers.observations import random_observations

SETTINGS = OneEuroSettings(min_cutoff_hz=1.0, speed_gain=0.5)


class Says(Peer):
    """Answers with given rotations [B, T, 24, 3, 3] and pelvis [B, T, 3] in the optical frame."""

    def __init__(self, rotations, pelvis):
        super().__init__()
        self.rotations, self.pelvis, self.sizes = rotations, pelvis, {}
        self.weight = torch.nn.Parameter(torch.zeros(1, dtype=rotations.dtype))

    def initial_state(self, batch):
        return []

    def forward(self, batch, state=None, mixed_precision=False):
        size = batch.rays[:, :, 0, 0].abs() + 0.1  # a view camera that never rests
        view = ViewCamera(look_at_rotation(batch.rays[:, :, 0]), size)
        zeros = torch.zeros_like(self.rotations[:, :, :, 0, 0])
        prediction = PosePrediction(
            into_view(self.rotations, view),
            place_of(self.pelvis, view),
            zeros,
            zeros[..., :10],
            zeros[..., 0],
        )
        return PeerOutput(prediction, view, [], [])


def filtered(rotations, pelvis, batch):
    from d3pose_core.model.view import out_of_view, pelvis_of

    output = OneEuroPeer(Says(rotations, pelvis), SETTINGS)(batch)
    prediction = output.prediction
    return out_of_view(prediction.rotations, output.view), pelvis_of(prediction.place, output.view)


def observed(frames, dtype=torch.float64):
    batch = random_observations(1, frames)
    batch.seen[:] = True
    for name in ("rays", "step_s"):
        setattr(batch, name, getattr(batch, name).to(dtype))
    return batch


def turning(angles):
    """Each joint about its x axis: [T] -> [1, T, 24, 3, 3]."""
    axis = torch.tensor([1.0, 0, 0], dtype=angles.dtype)
    rotations = roma.rotvec_to_rotmat(angles[:, None] * axis)
    return rotations[None, :, None].expand(-1, -1, 24, -1, -1)


def standing(frames):
    return torch.tensor([0.3, -0.2, 4.0], dtype=torch.float64).expand(1, frames, 3)


def test_about_one_axis_it_is_the_filter_of_one_number():
    batch = observed(50)
    rng = torch.Generator().manual_seed(3)
    noise = 0.2 * torch.randn(50, generator=rng, dtype=torch.float64)
    angles = 0.1 * torch.arange(50) * 0.5 + noise
    rotations, _ = filtered(turning(angles), standing(50), batch)
    single = OneEuroFilter(SETTINGS.min_cutoff_hz, SETTINGS.speed_gain)
    times = batch.step_s[0].cumsum(0)
    expected = torch.tensor(
        [single(float(a), float(t)) for a, t in zip(angles, times, strict=True)],
        dtype=torch.float64,
    )
    torch.testing.assert_close(rotations, turning(expected), atol=1e-8, rtol=0)


def test_the_pelvis_is_filtered_as_ray_and_log_depth():
    batch = observed(40)
    rng = torch.Generator().manual_seed(4)
    pelvis = standing(40) * (1 + 0.05 * torch.randn(1, 40, 3, generator=rng, dtype=torch.float64))
    _, smooth = filtered(turning(torch.zeros(40, dtype=torch.float64)), pelvis, batch)
    times = batch.step_s[0].cumsum(0)
    single = OneEuroFilter(SETTINGS.min_cutoff_hz, SETTINGS.speed_gain)
    depth = [single(float(z.log()), float(t)) for z, t in zip(pelvis[0, :, 2], times, strict=True)]
    torch.testing.assert_close(
        smooth[0, :, 2].log(), torch.tensor(depth, dtype=torch.float64), atol=1e-8, rtol=0
    )


def test_it_takes_most_of_the_noise_s_acceleration():
    batch = observed(120)
    batch.step_s[:] = 1 / 30
    rng = torch.Generator().manual_seed(5)
    angles = 0.1 * torch.randn(120, generator=rng, dtype=torch.float64)
    raw = turning(angles)
    smooth, _ = filtered(raw, standing(120), batch)

    def shake(rotations):
        return torch.diff(rotations, n=2, dim=1).norm(dim=(-2, -1)).mean()

    assert shake(smooth) < 0.4 * shake(raw)


def test_a_person_who_is_not_seen_stays_as_they_were():
    batch = observed(20)
    batch.seen[:, 8:12] = False
    angles = 0.1 * torch.arange(20, dtype=torch.float64)
    rotations, pelvis = filtered(turning(angles), standing(20), batch)
    held = rotations[:, 7:8].expand(-1, 4, -1, -1, -1)
    torch.testing.assert_close(rotations[:, 8:12], held)
    assert (rotations[:, 12] - rotations[:, 11]).abs().max() > 0.01
    torch.testing.assert_close(pelvis[:, 8:12], standing(4))
