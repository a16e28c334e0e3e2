"""Which of a landmark's places is believed, given where a pose puts it."""

import torch

from d3pose_core.model.sightings import believed, variance

SURE, FAINT, NONE = 0.7, 0.2, 0.0


def told(miss, certainty, rival=(0.0, 0.0), rival_certainty=NONE):
    """The believed miss [2] and variance of a landmark with a rival, `rival` away from where it was seen."""
    rivals = torch.tensor([[rival, (9.0, 9.0)]])
    found, spread = believed(
        torch.tensor([miss]),
        torch.tensor([certainty]),
        rivals,
        torch.tensor([[rival_certainty, NONE]]),
    )
    return found[0], spread[0]


def test_without_rivals_the_landmark_is_believed_however_far_it_is():
    for miss in ((0.0, 0.0), (1.5, -1.0)):
        found, spread = told(miss, FAINT, rival=(-miss[0], -miss[1]))
        assert torch.equal(found, torch.tensor(miss))
        torch.testing.assert_close(spread, variance(torch.tensor(FAINT)))


def test_a_rival_where_the_pose_is_is_believed_instead_of_a_landmark_far_off():
    found, spread = told((1.0, 0.2), FAINT, rival=(-0.9, -0.2), rival_certainty=0.3)
    torch.testing.assert_close(found, torch.tensor([0.1, 0.0]))
    torch.testing.assert_close(spread, variance(torch.tensor(0.3)))


def test_a_sure_landmark_is_not_given_up_for_a_faint_rival_a_little_nearer():
    miss = torch.tensor([0.15, 0.0])
    found, spread = told((0.15, 0.0), SURE, rival=(-0.1, 0.0), rival_certainty=0.06)
    torch.testing.assert_close(found, miss, rtol=0.0, atol=1e-3)
    torch.testing.assert_close(spread, variance(torch.tensor(SURE)), rtol=1e-3, atol=0.0)


def test_of_two_rivals_the_likelier_one():
    rivals = torch.tensor([[[0.5, 0.0], [-1.0, 0.0]]])
    found, spread = believed(
        torch.tensor([[1.0, 0.0]]), torch.tensor([0.1]), rivals, torch.tensor([[0.4, 0.3]])
    )
    torch.testing.assert_close(found, torch.tensor([[0.0, 0.0]]))
    torch.testing.assert_close(spread, variance(torch.tensor([0.3])))


def test_between_equals_rounding_does_not_choose():
    found, _ = told((0.3, 0.0), SURE, rival=(-0.6, 0.0), rival_certainty=SURE)
    torch.testing.assert_close(found, torch.zeros(2), rtol=0.0, atol=1e-4)
    nearer, _ = told((0.3, 0.0), SURE, rival=(-0.5, 0.0), rival_certainty=SURE)
    torch.testing.assert_close(nearer, torch.tensor([-0.2, 0.0]), rtol=0.0, atol=0.02)


def test_the_less_certain_the_wider():
    spread = variance(torch.tensor([0.0, 0.1, 0.3, 0.5, 0.8, 0.9, 1.0]))
    assert spread[0] == spread[1]
    assert spread[-1] == spread[-2]
    assert (spread[1:6].diff() < 0).all()
    torch.testing.assert_close(spread[3].sqrt(), torch.tensor(0.13))
