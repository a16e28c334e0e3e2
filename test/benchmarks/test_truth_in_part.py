"""Reports with parts of the truth in them."""

import torch

from benchmarks.truth_in_part import put_right
from d3pose_core.model.view import project
from test.helpers.recordings import exact_recording


def test_what_is_named_is_put_right_and_nothing_else():
    recorded = exact_recording(clips=2, frames=4)
    recorded.seen[1, 3] = False
    for name in ("rays", "landmarks"):
        values = getattr(recorded, name)
        values += 0.1
        values[1, 3] = 0
    parts = dict(put_right(recorded))
    assert parts["as reported"] is recorded
    image, across = (
        parts[name]
        for name in ("right in the image", "right in the image and across the line of sight")
    )
    deep, everything = parts["right depth"], parts["all right"]
    seen = recorded.seen

    # BlazePose's landmarks lie a little elsewhere than the body's; reports here are 0.1 off.
    off = (image.rays - project(recorded.true_landmarks))[seen].norm(dim=-1)
    assert off.median() < 0.02
    assert torch.equal(image.landmarks, recorded.landmarks)
    assert torch.equal(deep.rays, recorded.rays)
    assert torch.equal(deep.landmarks[..., :2], recorded.landmarks[..., :2])
    assert torch.equal(deep.landmarks[..., 2], everything.landmarks[..., 2])
    assert torch.equal(across.landmarks[..., 2], recorded.landmarks[..., 2])
    assert torch.equal(across.landmarks[..., :2], everything.landmarks[..., :2])
    apart = (everything.landmarks - recorded.facing_landmarks())[seen].norm(dim=-1)
    assert apart.median() < 0.05
    for part in parts.values():
        for name in ("rays", "landmarks", "depth_hint"):
            assert not getattr(part, name)[~seen].any(), name
