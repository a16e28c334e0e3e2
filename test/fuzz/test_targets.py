"""Every fuzz target on its own seeds and on small changes of them, the same in each run.

`python -m fuzz all` tries far more of them (docs/security.md).
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fuzz import target as targets
from fuzz.target import Target

EXAMPLES = 40


def changed_seeds(target: Target) -> st.SearchStrategy[bytes]:
    """One of the seeds, with bytes taken out and put in at a few places."""
    words = st.sampled_from(target.words or (b"\0",))
    piece = st.one_of(st.binary(max_size=8), words)
    place = st.floats(0, 1)
    edits = st.lists(st.tuples(place, st.integers(0, 8), piece), max_size=4)

    def change(seed: bytes, changes: list[tuple[float, int, bytes]]) -> bytes:
        data = bytearray(seed)
        for where, taken, put in changes:
            at = round(where * len(data))
            data[at : at + taken] = put
        return bytes(data[: target.max_length])

    return st.builds(change, st.sampled_from(list(target.seeds())), edits)


@pytest.mark.parametrize("name", targets.names())
def test_target(name: str) -> None:
    """Nothing but D3PoseError, and not for everything."""
    target = targets.load(name)
    with np.errstate(all="ignore"):
        accepted = [targets.judge(target, data) for data in target.seeds()]
        assert any(accepted)

        @settings(
            max_examples=EXAMPLES,
            derandomize=True,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(changed_seeds(target))
        def try_it(data: bytes) -> None:
            targets.judge(target, data)

        try_it()
