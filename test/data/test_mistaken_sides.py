"""When landmarks count as put on the other side's."""

import torch

from d3pose_core.data.mistaken_sides import better_swapped


def test_sides_are_swapped_where_that_is_much_better():
    own, other = torch.ones(4, 33), torch.ones(4, 33)
    limbs = [11, 12]
    for frame, (as_is, swapped) in enumerate([(0.1, 0.02), (0.1, 0.08), (0.01, 0.0), (0.02, 0.1)]):
        own[frame, limbs], other[frame, limbs] = as_is, swapped
    assert better_swapped(own, other, limbs).tolist() == [True, False, False, False]
    assert not better_swapped(own, other, [20, 21]).any()
