"""Recordings with other people's errors in the place of their own."""

import torch

from d3pose_core.body import load_body
from d3pose_core.data import borrowed
from d3pose_core.data.borrowed import BorrowedErrors
from d3pose_core.data.simulator import TrainingBatch
from test.helpers.recordings import exact_recording
from tools.measure_landmarks.compare import lent


def test_who_lends_to_themselves_is_reported_as_recorded(monkeypatch):
    """But for the landmarks of those who are lent to, which are true, not the body's."""
    for name, value in (("CANDIDATES", 1), ("SIZE_JITTER", 0.0), ("TRUST_JITTER", 0.0)):
        monkeypatch.setattr(borrowed, name, value)
    body = load_body("free-low")
    recorded = exact_recording(clips=4, frames=3)
    recorded.seen[1, 2] = False
    lenders = BorrowedErrors(TrainingBatch.cat(recorded.batches(body)), body)
    found = lent(recorded, lenders)
    assert torch.equal(found.seen, recorded.seen)
    seen = recorded.seen
    apart = (found.rays - recorded.rays)[seen] * recorded.pelvis[..., 2][seen][:, None, None]
    off = (recorded.true_landmarks - recorded.batches(body)[0].truth.landmarks(body))[seen]
    assert apart.norm(dim=-1).max() < 1.2 * off.norm(dim=-1).max()
    assert not found.rays[~seen].any()
    assert torch.equal(found.certainty[seen].round(), recorded.certainty[seen])
    assert found.start[:, 0].tolist() == [1] * 4
