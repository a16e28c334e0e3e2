"""Streams as cameras, bags and clocks produce them."""

import pytest

from d3pose_ros.stamps import Order, StampOrder


@pytest.mark.parametrize(
    ("stamps", "orders"),
    [
        ([0.0, 0.1, 0.2], [Order.NEXT] * 3),
        ([5.0, 5.0, 5.1], [Order.NEXT, Order.DUPLICATE, Order.NEXT]),
        ([5.0, 4.9, 5.1], [Order.NEXT, Order.OUT_OF_ORDER, Order.NEXT]),
        ([90.0, 2.0, 2.1, 2.0], [Order.NEXT, Order.RESTART, Order.NEXT, Order.OUT_OF_ORDER]),
        ([5.0, 3605.0, 3605.1], [Order.NEXT, Order.GAP, Order.NEXT]),
        ([0.0, 0.0, 0.0], [Order.NEXT, Order.UNSTAMPED, Order.UNSTAMPED]),
        ([1.0, 2.1, 3.1], [Order.NEXT] * 3),  # a camera at 1 Hz
        # Late images don't come in a row, each later than the one before.
        ([5.0, *[4.5, 4.4] * 20], [Order.NEXT] + [Order.OUT_OF_ORDER] * 40),
    ],
)
def test_order(stamps, orders):
    order = StampOrder()
    assert [order.check(stamp) for stamp in stamps] == orders


def test_a_bag_of_less_than_a_second_in_a_loop():
    """The second round is known for one after ten of its images, not thrown away for good."""
    order, round_ = StampOrder(), [7 + k / 30 for k in range(25)]
    assert [order.check(stamp) for stamp in round_] == [Order.NEXT] * 25
    for _ in range(3):
        orders = [order.check(stamp) for stamp in round_]
        late, begun = orders[:9], orders[9:]
        assert late == [Order.OUT_OF_ORDER] * 9
        assert begun == [Order.RESTART] + [Order.NEXT] * 15


def test_clear_forgets():
    order = StampOrder()
    order.check(5.0)
    order.clear()
    assert order.check(5.0) is Order.NEXT
