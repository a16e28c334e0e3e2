"""Recordings as training windows: mirrored, every number goes to the other side's landmark."""

from dataclasses import fields

import torch

from d3pose_core.data.measured import mirrored
from d3pose_core.skeleton import LANDMARK_MIRROR
from test.helpers.motion_shard import simulated

PER_LANDMARK = ("depth_hint", "visibility", "presence", "certainty")


def test_mirrored_people_are_seen_on_the_other_side(tmp_path):
    batch = simulated(tmp_path, frames=4)
    seen = batch.observations
    which = torch.zeros(len(seen.seen), dtype=torch.bool)
    which[::2] = True
    found = mirrored(batch, which).observations
    for name in PER_LANDMARK:
        values = getattr(seen, name)
        expected = values[:, :, list(LANDMARK_MIRROR)]
        assert not torch.equal(expected, values), name
        assert torch.equal(getattr(found, name)[which], expected[which]), name
    back = mirrored(mirrored(batch, which), which).observations
    for field in fields(seen):
        there = getattr(seen, field.name)
        assert torch.equal(getattr(found, field.name)[~which], there[~which]), field.name
        assert torch.equal(getattr(back, field.name), there), field.name
